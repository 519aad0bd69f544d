//! Limits as they are stored, asked for and told.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    mount::{Engine, Mount},
    store::StoreError,
};

/// The longest name of a limit, and the longest of an exempt path, in bytes.
const MAX_NAME: usize = 128;
const MAX_PATH: usize = 2048;
/// Exempt paths at the most.
const MAX_EXEMPT: usize = 256;
/// The longest interval, in seconds: 30 days.
const MAX_INTERVAL: u64 = 30 * 24 * 3600;
/// The most requests in an interval.
const MAX_RATE: f64 = 1e9;

/// What needs no token or must stay reachable, exempt unless the operator says otherwise; as with Vault.
const EXEMPT: [&str; 7] = [
    "sys/generate-recovery-token/attempt",
    "sys/generate-recovery-token/update",
    "sys/generate-root/attempt",
    "sys/generate-root/update",
    "sys/health",
    "sys/seal-status",
    "sys/unseal",
];

/// A limit could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// A name that no limit can have.
    #[error("the name of a quota is 1 to {MAX_NAME} letters, digits, '_', '-' and '.'")]
    Name,
    /// No rate, or an absurd one.
    #[error("'rate' is invalid: it is a number above 0, and at most {MAX_RATE:e}")]
    Rate,
    /// An interval that is too long.
    #[error("{0:?} is invalid: at most {MAX_INTERVAL} seconds")]
    Interval(&'static str),
    /// The path is below no mount.
    #[error("invalid mount path {0:?}")]
    NoMount(String),
    /// A `*` elsewhere than at the end, or an empty segment.
    #[error("invalid path {0:?}: a '*' stands at its end or nowhere, and no two slashes stand in a row")]
    Path(String),
    /// Both ways to be more specific than a mount.
    #[error(
        "Quotas cannot contain both a path suffix and a role. If a role is provided, path must be a valid auth mount with \
         a concept of roles"
    )]
    SuffixAndRole,
    /// A role where nobody logs in as one.
    #[error("Mount path {0:?} is not a valid auth method and therefore unsuitable for use with role-based quotas")]
    NoRoles(String),
    /// Another limit is for the same requests.
    #[error("quota rule with similar properties exists under the name {0:?}")]
    Similar(String),
    /// Too many limits.
    #[error("there are {0} quotas, which is the most that this server keeps")]
    TooMany(usize),
    /// Too many exempt paths, or too long ones.
    #[error("rate_limit_exempt_paths takes at most {MAX_EXEMPT} paths of 1 to {MAX_PATH} bytes")]
    Exempt,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a client asks for. Times in seconds; an interval of 0 is one second.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WriteQuota {
    /// Empty: everything; else a mount, and perhaps a path below it, which may end with `*`.
    pub path: String,
    /// Logins as this role.
    pub role: String,
    /// Requests in an interval.
    pub rate: f64,
    /// How long requests are counted together.
    pub interval: u64,
    /// For how long nothing is answered once the limit was reached; 0: until the interval ends.
    pub block_interval: u64,
    /// Kept for clients: there is one namespace.
    pub inheritable: Option<bool>,
}

/// A limit as clients are told it.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaInfo {
    /// The mount's path as it is now, and the path below it.
    pub path: String,
    /// The role.
    pub role: String,
    /// Requests in an interval.
    pub rate: f64,
    /// In seconds.
    pub interval: u64,
    /// In seconds.
    pub block_interval: u64,
    /// As given; by default, whether it is for everything.
    pub inheritable: bool,
}

/// A stored limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The mount's uuid; `None`: everything.
    pub(super) mount: Option<String>,
    /// Below the mount, without slashes at its ends, in the spelling that is compared.
    pub(super) suffix: String,
    /// In lower case.
    pub(super) role: String,
    pub(super) rate: f64,
    pub(super) interval: u64,
    pub(super) block_interval: u64,
    pub(super) inheritable: bool,
}

impl Record {
    /// `place`: the mount and the path below it.
    pub(super) fn new(quota: WriteQuota, place: Option<(Arc<Mount>, String)>) -> Result<Self, QuotaError> {
        if !(quota.rate > 0.0 && quota.rate <= MAX_RATE) {
            return Err(QuotaError::Rate);
        }
        for (name, seconds) in [("interval", quota.interval), ("block_interval", quota.block_interval)] {
            if seconds > MAX_INTERVAL {
                return Err(QuotaError::Interval(name));
            }
        }
        let suffix = place.as_ref().map_or("", |(_, suffix)| suffix);
        let before_star = suffix.strip_suffix('*').unwrap_or(suffix);
        if before_star.contains('*') || before_star.contains("//") || quota.path.len() > MAX_PATH {
            return Err(QuotaError::Path(quota.path.chars().take(80).collect()));
        }
        if !quota.role.is_empty() {
            if !suffix.is_empty() {
                return Err(QuotaError::SuffixAndRole);
            }
            let has_roles = |mount: &Mount| mount.engine.is_auth() && mount.engine != Engine::Token;
            if !place.as_ref().is_some_and(|(mount, _)| has_roles(mount)) {
                return Err(QuotaError::NoRoles(quota.path));
            }
        }
        Ok(Self {
            inheritable: quota.inheritable.unwrap_or(place.is_none()),
            suffix: suffix.to_owned(),
            mount: place.map(|(mount, _)| mount.uuid.clone()),
            role: quota.role.to_lowercase(),
            rate: quota.rate,
            interval: quota.interval.max(1),
            block_interval: quota.block_interval,
        })
    }

    /// Whether both count the same requests.
    pub(super) fn is_for_same(&self, other: &Self) -> bool {
        (&self.mount, &self.suffix, &self.role) == (&other.mount, &other.suffix, &other.role)
    }

    /// Whole requests in an interval, at least one.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked when it was written")]
    pub(super) fn most(&self) -> u64 {
        (self.rate.round() as u64).max(1)
    }

    pub(super) fn info(&self, mount: &str) -> QuotaInfo {
        QuotaInfo {
            path: format!("{mount}{}", self.suffix),
            role: self.role.clone(),
            rate: self.rate,
            interval: self.interval,
            block_interval: self.block_interval,
            inheritable: self.inheritable,
        }
    }
}

/// What holds for all limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaConfig {
    /// Paths that begin with one of these are not counted.
    pub exempt_paths: Vec<String>,
    /// Whether refusals are recorded in the audit log.
    pub audit_logging: bool,
    /// Whether answers say where the client stands.
    pub response_headers: bool,
}

impl Default for QuotaConfig {
    fn default() -> Self {
        let exempt_paths = EXEMPT.iter().map(|path| (*path).to_owned()).collect();
        Self { exempt_paths, audit_logging: false, response_headers: false }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredConfig {
    exempt_paths: Vec<String>,
    audit_logging: bool,
    response_headers: bool,
}

impl From<StoredConfig> for QuotaConfig {
    fn from(stored: StoredConfig) -> Self {
        let StoredConfig { exempt_paths, audit_logging, response_headers } = stored;
        Self { exempt_paths, audit_logging, response_headers }
    }
}

impl TryFrom<QuotaConfig> for StoredConfig {
    type Error = QuotaError;

    fn try_from(config: QuotaConfig) -> Result<Self, QuotaError> {
        let exempt_paths: Vec<String> =
            config.exempt_paths.iter().map(|path| path.trim_start_matches('/').to_owned()).collect();
        let fits = |path: &String| (1..=MAX_PATH).contains(&path.len());
        if exempt_paths.len() > MAX_EXEMPT || !exempt_paths.iter().all(fits) {
            return Err(QuotaError::Exempt);
        }
        Ok(Self { exempt_paths, audit_logging: config.audit_logging, response_headers: config.response_headers })
    }
}

pub(super) fn check_name(name: &str) -> Result<(), QuotaError> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let fits = (1..=MAX_NAME).contains(&name.len()) && name.chars().all(is_of_name);
    if fits { Ok(()) } else { Err(QuotaError::Name) }
}
