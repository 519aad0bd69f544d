//! Mounts: which engine serves which path prefix.

mod table;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use table::Leftover;
pub use table::{Enable, MountError, Mounts, Routed, Tunable};

/// Seconds that a lease or token lives if nobody says otherwise: 32 days, as Vault's default.
pub const DEFAULT_LEASE_TTL: u64 = 2_764_800;
/// The longest life of a lease or token if the mount says nothing: 32 days, as Vault's default.
pub const MAX_LEASE_TTL: u64 = 2_764_800;

/// What serves a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Engine {
    /// The system's own paths, `sys/`.
    System,
    /// Unversioned secrets.
    Kv1,
    /// Versioned secrets.
    Kv2,
    /// The token auth method, `auth/token/`.
    Token,
    /// `AppRole` logins.
    AppRole,
    /// Logins by username and password.
    UserPass,
    /// What each token keeps for itself, `cubbyhole/`.
    Cubbyhole,
    /// Logins by a signed token.
    Jwt,
    /// The same, mounted under its other name.
    Oidc,
    /// Logins of Kubernetes service accounts.
    Kubernetes,
    /// Logins by a TLS client certificate.
    Cert,
    /// Entities, groups and identity tokens, `identity/`.
    Identity,
    /// Credentials of databases.
    Database,
}

impl Engine {
    /// The engine that clients call `kind` (with the `version` option for `kv`), for secrets.
    #[must_use]
    pub fn secrets(kind: &str, version: Option<&str>) -> Option<Self> {
        match (kind, version) {
            ("kv" | "generic", None | Some("1" | "")) => Some(Self::Kv1),
            ("kv", Some("2")) | ("kv-v2", _) => Some(Self::Kv2),
            ("kv-v1", _) => Some(Self::Kv1),
            ("database", _) => Some(Self::Database),
            _ => None,
        }
    }

    /// The auth method that clients call `kind`.
    #[must_use]
    pub fn auth(kind: &str) -> Option<Self> {
        match kind {
            "approle" => Some(Self::AppRole),
            "userpass" => Some(Self::UserPass),
            "jwt" => Some(Self::Jwt),
            "oidc" => Some(Self::Oidc),
            "kubernetes" => Some(Self::Kubernetes),
            "cert" => Some(Self::Cert),
            _ => None,
        }
    }

    /// The name that clients know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Kv1 | Self::Kv2 => "kv",
            Self::Token => "token",
            Self::AppRole => "approle",
            Self::UserPass => "userpass",
            Self::Cubbyhole => "cubbyhole",
            Self::Jwt => "jwt",
            Self::Oidc => "oidc",
            Self::Kubernetes => "kubernetes",
            Self::Cert => "cert",
            Self::Identity => "identity",
            Self::Database => "database",
        }
    }

    /// Whether the engine belongs to the server and can be neither disabled nor moved.
    #[must_use]
    pub fn is_builtin(self) -> bool {
        matches!(self, Self::System | Self::Token | Self::Cubbyhole | Self::Identity)
    }

    /// Whether the engine is an auth method.
    #[must_use]
    pub fn is_auth(self) -> bool {
        matches!(
            self,
            Self::Token | Self::AppRole | Self::UserPass | Self::Jwt | Self::Oidc | Self::Kubernetes | Self::Cert
        )
    }
}

/// A mount's settings. TTLs are in seconds; 0 means the system's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountConfig {
    /// Seconds that a lease lives if the request says nothing.
    pub default_lease_ttl: u64,
    /// The longest life of a lease, in seconds.
    pub max_lease_ttl: u64,
    /// Kept for clients; Keyturn has no per-mount cache switch.
    pub force_no_cache: bool,
    /// `unauth` shows the mount to everyone in `sys/internal/ui/mounts`; empty or `hidden` does not.
    pub listing_visibility: Option<String>,
    /// Request fields that audit devices record in the clear.
    pub audit_non_hmac_request_keys: Vec<String>,
    /// Response fields that audit devices record in the clear.
    pub audit_non_hmac_response_keys: Vec<String>,
    /// Kept for clients.
    pub passthrough_request_headers: Vec<String>,
    /// Kept for clients.
    pub allowed_response_headers: Vec<String>,
    /// Auth methods: which tokens they issue (`default-service`, `default-batch`, `service`, `batch`).
    pub token_type: Option<String>,
    /// Auth methods: when a user is locked out.
    #[serde(default)]
    pub user_lockout: Option<LockoutConfig>,
}

/// When repeated failed logins lock a user out. Times in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockoutConfig {
    /// Failures in a row that lock.
    pub threshold: u32,
    /// How long the lock holds, in seconds.
    pub duration: u64,
    /// After how many seconds without a failure the count starts anew.
    pub counter_reset: u64,
    /// Whether nobody is ever locked out.
    pub disabled: bool,
}

impl Default for LockoutConfig {
    /// Vault's defaults: 5 failures, 15 minutes, 15 minutes.
    fn default() -> Self {
        Self { threshold: 5, duration: 900, counter_reset: 900, disabled: false }
    }
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The full path prefix, with its trailing slash: `secret/`, `auth/approle/`.
    pub path: String,
    /// What serves it.
    pub engine: Engine,
    /// Identifies the mount's records; a moved mount keeps it.
    pub uuid: String,
    /// The public name of the mount: `kv_1a2b3c4d`.
    pub accessor: String,
    /// For people.
    pub description: String,
    /// As clients gave them: for `kv`, `version`.
    pub options: BTreeMap<String, String>,
    /// Settings.
    pub config: MountConfig,
    /// Kept for clients.
    pub local: bool,
    /// Kept for clients.
    pub seal_wrap: bool,
}

impl Mount {
    /// Seconds that a lease lives by default.
    #[must_use]
    pub fn default_lease_ttl(&self) -> u64 {
        if self.config.default_lease_ttl == 0 {
            DEFAULT_LEASE_TTL.min(self.max_lease_ttl())
        } else {
            self.config.default_lease_ttl
        }
    }

    /// The longest life of a lease, in seconds.
    #[must_use]
    pub fn max_lease_ttl(&self) -> u64 {
        if self.config.max_lease_ttl == 0 { MAX_LEASE_TTL } else { self.config.max_lease_ttl }
    }

    /// The path below `auth/`, or the whole path for a secrets mount; as `sys/auth` and `sys/mounts` list it.
    #[must_use]
    pub fn listed_path(&self) -> &str {
        if self.engine.is_auth() { self.path.strip_prefix("auth/").unwrap_or(&self.path) } else { &self.path }
    }
}
