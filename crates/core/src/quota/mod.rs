//! Rate limits: how many requests one address may make in an interval, to everything, to a mount, to a path of a mount,
//! or as one role of an auth method.
//!
//! Of the limits that fit a request the most specific one counts it, and no other: the role's, the exact path's, the
//! longest `path*`, the mount's, the global one. Windows are counted in memory (`windows.rs`); what is stored are the
//! limits. A limit belongs to the mount itself, not to the mount's path: it moves along with it and goes with it.
//!
//! The check comes before the token is looked at. Without any limit it costs one load.

mod record;
mod windows;

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::sync::Mutex;

pub use record::{QuotaConfig, QuotaError, QuotaInfo, WriteQuota};

use self::{
    record::{Record, StoredConfig},
    windows::{Limits, Windows},
};
use crate::{
    core::Core,
    door::Permit,
    keys,
    mount::{Engine, Mount, Mounts, Routed},
    store::{Store, StoreError},
};

/// Limits at the most.
const MAX_QUOTAS: usize = 1024;

/// Where a client stands with the limit that counted its request. Times in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the request goes on.
    pub allowed: bool,
    /// Requests in an interval.
    pub limit: u64,
    /// How many are left in this one.
    pub remaining: u64,
    /// Until the interval ends.
    pub reset: u64,
    /// Until the client may ask again; 0 if it may now.
    pub retry_after: u64,
    /// Whether clients are told about it by headers.
    pub told: bool,
    /// Whether a refusal is recorded in the audit log.
    pub audited: bool,
}

/// A limit at work.
struct Rule {
    /// Names its windows.
    number: u64,
    record: Record,
}

impl Rule {
    fn limits(&self) -> Limits {
        Limits {
            most: self.record.most(),
            interval: self.record.interval.max(1),
            block_interval: self.record.block_interval,
        }
    }
}

/// The limits of one mount.
#[derive(Default)]
struct OfMount {
    whole: Option<Arc<Rule>>,
    roles: HashMap<String, Arc<Rule>>,
    exact: HashMap<String, Arc<Rule>>,
    /// What stands before the `*`, the longest first.
    prefixes: Vec<(String, Arc<Rule>)>,
}

impl OfMount {
    fn put(&mut self, rule: &Arc<Rule>) {
        let rule = Arc::clone(rule);
        let (role, suffix) = (rule.record.role.clone(), rule.record.suffix.clone());
        if !role.is_empty() {
            self.roles.insert(role, rule);
        } else if let Some(prefix) = suffix.strip_suffix('*') {
            self.prefixes.push((prefix.to_owned(), rule));
            self.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        } else if suffix.is_empty() {
            self.whole = Some(rule);
        } else {
            self.exact.insert(suffix, rule);
        }
    }

    fn find(&self, rest: &str) -> Option<&Arc<Rule>> {
        let prefixed = || self.prefixes.iter().find(|(prefix, _)| rest.starts_with(prefix.as_str()));
        self.exact.get(rest).or_else(|| prefixed().map(|(_, rule)| rule)).or(self.whole.as_ref())
    }
}

/// What holds between two changes.
#[derive(Default)]
struct Snapshot {
    rules: BTreeMap<String, Arc<Rule>>,
    global: Option<Arc<Rule>>,
    mounts: HashMap<String, OfMount>,
    config: QuotaConfig,
}

impl Snapshot {
    fn new(rules: BTreeMap<String, Arc<Rule>>, config: QuotaConfig) -> Self {
        let (mut global, mut mounts) = (None, HashMap::<String, OfMount>::new());
        for rule in rules.values() {
            match &rule.record.mount {
                None => global = Some(Arc::clone(rule)),
                Some(uuid) => mounts.entry(uuid.clone()).or_default().put(rule),
            }
        }
        Self { rules, global, mounts, config }
    }

    fn is_exempt(&self, path: &str) -> bool {
        self.config.exempt_paths.iter().any(|exempt| path.starts_with(exempt.as_str()))
    }
}

/// All rate limits.
pub struct Quotas {
    store: Arc<Store>,
    mounts: Arc<Mounts>,
    snapshot: ArcSwap<Snapshot>,
    windows: Windows,
    numbers: AtomicU64,
    changing: Mutex<()>,
}

impl Quotas {
    pub(crate) async fn load(store: Arc<Store>, mounts: Arc<Mounts>) -> Result<Self, StoreError> {
        let quotas = Self {
            store,
            mounts,
            snapshot: ArcSwap::default(),
            windows: Windows::default(),
            numbers: AtomicU64::new(0),
            changing: Mutex::new(()),
        };
        quotas.reload().await?;
        Ok(quotas)
    }

    /// Reads all limits anew. One that did not change keeps its windows.
    async fn reload(&self) -> Result<(), StoreError> {
        let before = self.snapshot.load_full();
        let mut rules = BTreeMap::new();
        for (name, record) in self.store.read_all::<Record>(keys::QUOTAS).await? {
            let name = String::from_utf8_lossy(&name).into_owned();
            let known = before.rules.get(&name).filter(|known| known.record == record).cloned();
            let fresh = || Arc::new(Rule { number: self.numbers.fetch_add(1, Ordering::Relaxed), record });
            rules.insert(name, known.unwrap_or_else(fresh));
        }
        let stored = self.store.read::<StoredConfig>(&keys::config("quotas")).await?;
        let config = stored.map_or_else(QuotaConfig::default, |seen| seen.value.into());
        let kept: Vec<u64> = rules.values().map(|rule| rule.number).collect();
        self.snapshot.store(Arc::new(Snapshot::new(rules, config)));
        self.windows.keep(&kept);
        Ok(())
    }

    /// All names, sorted.
    #[must_use]
    pub fn list(&self, permit: Permit) -> Vec<String> {
        permit.spend();
        self.snapshot.load().rules.keys().cloned().collect()
    }

    /// A limit, if there is one of that name.
    #[must_use]
    pub fn read(&self, permit: Permit, name: &str) -> Option<QuotaInfo> {
        permit.spend();
        let snapshot = self.snapshot.load();
        let record = &snapshot.rules.get(name)?.record;
        let mount = match &record.mount {
            None => String::new(),
            Some(uuid) => self.mounts.all().into_iter().find(|mount| mount.uuid == *uuid)?.path.clone(),
        };
        Some(record.info(&mount))
    }

    /// Creates or replaces a limit. In force when this answers; its windows start anew.
    ///
    /// # Errors
    /// When it is out of bounds, names no mount, or another limit is for the same.
    pub async fn write(&self, permit: Permit, name: &str, quota: WriteQuota) -> Result<(), QuotaError> {
        permit.spend();
        record::check_name(name)?;
        let record = self.resolve(quota)?;
        let _changing = self.changing.lock().await;
        {
            let snapshot = self.snapshot.load();
            let same = snapshot.rules.iter().find(|(other, rule)| *other != name && rule.record.is_for_same(&record));
            if let Some((other, _)) = same {
                return Err(QuotaError::Similar(other.clone()));
            }
            if snapshot.rules.len() >= MAX_QUOTAS && !snapshot.rules.contains_key(name) {
                return Err(QuotaError::TooMany(MAX_QUOTAS));
            }
        }
        self.store.write(keys::quota(name), &record).await?;
        Ok(self.reload().await?)
    }

    /// Removes a limit. One that is not there is no error, as with Vault.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, permit: Permit, name: &str) -> Result<(), QuotaError> {
        permit.spend();
        let _changing = self.changing.lock().await;
        self.store.delete(keys::quota(name)).await?;
        Ok(self.reload().await?)
    }

    /// What holds for all limits.
    #[must_use]
    pub fn config(&self, permit: Permit) -> QuotaConfig {
        permit.spend();
        self.snapshot.load().config.clone()
    }

    /// Changes what holds for all limits.
    ///
    /// # Errors
    /// When it is out of bounds, or the store fails.
    pub async fn configure(&self, permit: Permit, config: QuotaConfig) -> Result<(), QuotaError> {
        permit.spend();
        let _changing = self.changing.lock().await;
        self.store.write(keys::config("quotas"), &StoredConfig::try_from(config)?).await?;
        Ok(self.reload().await?)
    }

    /// Removes the limits of a mount that is gone.
    pub(crate) async fn forget_mount(&self, uuid: &str) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let snapshot = self.snapshot.load_full();
        let of_mount = |rule: &Rule| rule.record.mount.as_deref() == Some(uuid);
        let names: Vec<_> = snapshot.rules.iter().filter(|(_, rule)| of_mount(rule)).map(|(name, _)| name).collect();
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            self.store.delete(keys::quota(name)).await?;
        }
        self.reload().await
    }

    /// The record of what a client asked for.
    fn resolve(&self, quota: WriteQuota) -> Result<Record, QuotaError> {
        let path = quota.path.trim_matches('/');
        let routed = if path.is_empty() {
            None
        } else {
            let path = format!("{path}/");
            let routed = self.mounts.route(&path).ok_or_else(|| QuotaError::NoMount(quota.path.clone()))?;
            let suffix = folded(&routed.mount, routed.rest(&path).trim_end_matches('/'));
            Some((routed.mount, suffix))
        };
        Record::new(quota, routed)
    }

    fn any(&self) -> bool {
        !self.snapshot.load().rules.is_empty()
    }

    /// Counts a request. `role` is who logs in, if that was asked for.
    fn take(&self, path: &str, routed: Option<&Routed>, role: Option<&str>, from: IpAddr) -> Option<Standing> {
        let snapshot = self.snapshot.load();
        let of_mount = routed.and_then(|routed| Some((routed, snapshot.mounts.get(&routed.mount.uuid)?)));
        let found = of_mount.and_then(|(routed, limits)| {
            let by_role = role.and_then(|role| limits.roles.get(&role.to_lowercase()));
            let rest = folded(&routed.mount, routed.rest(path).trim_end_matches('/'));
            by_role.or_else(|| limits.find(&rest))
        });
        let rule = found.or(snapshot.global.as_ref())?;
        let taken = self.windows.take(rule.number, from.to_canonical(), self.store.now(), rule.limits());
        if !taken.allowed {
            self.store.counters.rate_limited.count();
        }
        let config = &snapshot.config;
        Some(Standing { told: config.response_headers, audited: config.audit_logging, ..taken })
    }

    /// Whether the limits of this mount ask who logs in.
    fn wants_role(&self, mount: &Mount) -> bool {
        self.snapshot.load().mounts.get(&mount.uuid).is_some_and(|limits| !limits.roles.is_empty())
    }
}

/// A path below a mount in the spelling that limits are compared in. Only secrets' names differ by case; elsewhere one
/// thing must not have two counts.
fn folded(mount: &Mount, rest: &str) -> String {
    if matches!(mount.engine, Engine::Kv1 | Engine::Kv2) { rest.to_owned() } else { rest.to_lowercase() }
}

impl Core {
    /// Counts a request against the limit that fits it; `None`: there is none. `path` is in the door's spelling, `data`
    /// the request's parameters.
    ///
    /// # Errors
    /// When a role had to be looked up and the store failed.
    pub async fn rate_limit(
        &self,
        path: &str,
        from: Option<IpAddr>,
        data: &crate::secret::SecretBytes,
    ) -> Result<Option<Standing>, StoreError> {
        let quotas = self.quotas();
        if !quotas.any() {
            return Ok(None);
        }
        let Some(from) = from else { return Ok(None) };
        if quotas.snapshot.load().is_exempt(path) {
            return Ok(None);
        }
        let routed = self.mounts().route(path);
        let role = match &routed {
            Some(routed) if routed.mount.engine.is_auth() && quotas.wants_role(&routed.mount) => {
                self.role_of_login(&routed.mount, routed.rest(path), data).await?
            }
            _ => None,
        };
        Ok(quotas.take(path, routed.as_ref(), role.as_deref(), from))
    }

    /// The role that a login is for, before anything is proven.
    async fn role_of_login(
        &self,
        mount: &Mount,
        rest: &str,
        data: &crate::secret::SecretBytes,
    ) -> Result<Option<String>, StoreError> {
        let field = |name: &str| -> Option<String> {
            let object: Value = serde_json::from_slice(data.expose_secret()).ok()?;
            object.get(name)?.as_str().map(|text| text.trim().to_owned())
        };
        match (mount.engine, rest.trim_end_matches('/').split_once('/')) {
            (Engine::UserPass, Some(("login", name))) => Ok(Some(name.to_owned())),
            (Engine::AppRole, None) if rest == "login" => match field("role_id") {
                Some(role_id) => self.logins().approle().role_name(mount, &role_id).await,
                None => Ok(None),
            },
            (Engine::Token | Engine::UserPass | Engine::AppRole, _) => Ok(None),
            _ if rest == "login" => Ok(field("role")),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
