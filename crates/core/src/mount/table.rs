//! The table of mounts: loaded once, read without a lock, changed by one writer at a time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;
use foldhash::quality::RandomState;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{Engine, Mount, MountConfig};
use crate::{
    barrier::Batch,
    door::Permit,
    keys,
    store::{Store, StoreError},
};

/// The longest mount path, in bytes.
const MAX_PATH: usize = 512;

/// A mount could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The path cannot be a mount's.
    #[error("{path:?} cannot be a mount path: {reason}")]
    InvalidPath {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Another mount is there, above or below.
    #[error("path is already in use at {0}")]
    InUse(String),
    /// Nothing is mounted there.
    #[error("no matching mount at {0:?}")]
    NotMounted(String),
    /// The mount belongs to the server.
    #[error("cannot {verb} {path:?}: it is part of the server")]
    Builtin {
        /// What was asked.
        verb: &'static str,
        /// Where.
        path: String,
    },
    /// A default TTL above the maximum.
    #[error("given default lease TTL of {default} seconds is greater than the max lease TTL of {max} seconds")]
    TtlOrder {
        /// The default, in seconds.
        default: u64,
        /// The maximum, in seconds.
        max: u64,
    },
    /// A secrets mount was to become an auth method or the reverse.
    #[error("cannot move {from:?} to {to:?}: secrets engines and auth methods do not change places")]
    ClassChange {
        /// From where.
        from: String,
        /// To where.
        to: String,
    },
    /// A `kv` mount cannot go back to unversioned.
    #[error("cannot change the kv version of {0:?}: enable a new mount and copy the secrets")]
    VersionChange(String),
    /// The mount is gone, but not all that it issued.
    #[error(
        "{path:?} is no longer mounted, but {failed} of its leases could not be revoked, first {first}; they are tried \
         again until it succeeds, and the path is not free until then: sys/leases/revoke-force/{path} forgets them"
    )]
    NotRevoked {
        /// Where it was mounted.
        path: String,
        /// How many leases.
        failed: usize,
        /// Which was the first, and why.
        first: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a mount that was disabled or moved leaves to be removed, noted until it is done: a crash in between leaves no
/// token of a method that is gone, and no record that nobody can reach.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Leftover {
    /// Where it was mounted: tokens issued below are to be revoked, wrapping tokens of its answers among them.
    pub(crate) path: String,
    /// Whose records are to be removed; `None`: they have moved along.
    pub(crate) uuid: Option<String>,
    /// Whether it is an auth method.
    pub(crate) auth: bool,
}

impl Leftover {
    fn of(mount: &Mount, gone: bool) -> Self {
        Self { path: mount.path.clone(), uuid: gone.then(|| mount.uuid.clone()), auth: mount.engine.is_auth() }
    }
}

/// What a new mount is made from.
#[derive(Debug)]
pub struct Enable {
    /// The full path: `team/secret`, `auth/approle`; slashes at its ends do not matter.
    pub path: String,
    /// What serves it.
    pub engine: Engine,
    /// For people.
    pub description: String,
    /// As given.
    pub options: BTreeMap<String, String>,
    /// Settings.
    pub config: MountConfig,
    /// As given.
    pub local: bool,
    /// As given.
    pub seal_wrap: bool,
}

/// What may change of a mount while it is there.
#[derive(Debug, Clone)]
pub struct Tunable {
    /// For people.
    pub description: String,
    /// As clients gave them.
    pub options: BTreeMap<String, String>,
    /// Settings.
    pub config: MountConfig,
}

/// A path and the mount that serves it.
#[derive(Debug, Clone)]
pub struct Routed {
    /// The mount.
    pub mount: Arc<Mount>,
}

impl Routed {
    /// The path below the mount.
    #[must_use]
    pub fn rest<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(self.mount.path.as_str()).unwrap_or("")
    }
}

type Table = HashMap<String, Arc<Mount>, RandomState>;

/// All mounts.
pub struct Mounts {
    store: Arc<Store>,
    table: ArcSwap<Table>,
    /// Held while the table changes, so that two mounts cannot take one place.
    changing: Mutex<()>,
}

impl Mounts {
    pub(crate) async fn load(store: Arc<Store>) -> Result<Self, StoreError> {
        let mounts = Self { store, table: ArcSwap::default(), changing: Mutex::new(()) };
        mounts.reload().await?;
        Ok(mounts)
    }

    /// Reads the table anew from the store.
    pub(crate) async fn reload(&self) -> Result<(), StoreError> {
        let stored = self.store.read_all::<Mount>(keys::MOUNTS).await?;
        let table = stored.into_iter().map(|(_, mount)| (mount.path.clone(), Arc::new(mount))).collect();
        self.table.store(Arc::new(table));
        Ok(())
    }

    /// Mounts what every server has: `sys/`, `auth/token/`, `cubbyhole/` and `identity/`.
    pub(crate) async fn enable_builtins(&self) -> Result<(), MountError> {
        for (path, engine, description) in [
            ("sys/", Engine::System, "system endpoints used for control, policy and debugging"),
            ("auth/token/", Engine::Token, "token based credentials"),
            ("cubbyhole/", Engine::Cubbyhole, "per-token private secret storage"),
            ("identity/", Engine::Identity, "identity store"),
        ] {
            if !self.table.load().contains_key(path) {
                let mount = self.build(Enable {
                    path: path.to_owned(),
                    engine,
                    description: description.to_owned(),
                    options: BTreeMap::new(),
                    config: MountConfig::default(),
                    local: engine == Engine::Cubbyhole,
                    seal_wrap: false,
                })?;
                self.store.write(keys::mount(path), &mount).await?;
            }
        }
        Ok(self.reload().await?)
    }

    /// The mount with the longest prefix of `path`. A path that names the mount itself, without its trailing slash,
    /// is not below it.
    #[must_use]
    pub fn route(&self, path: &str) -> Option<Routed> {
        let table = self.table.load();
        let mut end = path.len();
        while let Some(slash) = path[..end].rfind('/') {
            if let Some(mount) = table.get(&path[..=slash]) {
                return Some(Routed { mount: Arc::clone(mount) });
            }
            end = slash;
        }
        None
    }

    /// The mount that has that uuid.
    #[must_use]
    pub fn with_uuid(&self, uuid: &str) -> Option<Arc<Mount>> {
        self.table.load().values().find(|mount| mount.uuid == uuid).map(Arc::clone)
    }

    /// The mount at exactly `path` (trailing slash optional).
    #[must_use]
    pub fn at(&self, path: &str) -> Option<Arc<Mount>> {
        let table = self.table.load();
        table.get(path).or_else(|| table.get(&format!("{path}/"))).cloned()
    }

    /// The mount with this accessor.
    #[must_use]
    pub fn with_accessor(&self, accessor: &str) -> Option<Arc<Mount>> {
        self.table.load().values().find(|mount| mount.accessor == accessor).cloned()
    }

    /// All mounts, by path.
    #[must_use]
    pub fn list(&self, permit: Permit) -> Vec<Arc<Mount>> {
        permit.spend();
        self.all()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Mount>> {
        let mut mounts: Vec<_> = self.table.load().values().cloned().collect();
        mounts.sort_by(|a, b| a.path.cmp(&b.path));
        mounts
    }

    /// Mounts an engine.
    ///
    /// # Errors
    /// When the path is invalid or taken, or the settings contradict each other.
    pub async fn enable(&self, permit: Permit, what: Enable) -> Result<(), MountError> {
        permit.spend();
        self.enable_unguarded(what).await
    }

    /// Mounts an engine at start-up, before there is anybody to ask.
    pub(crate) async fn enable_unguarded(&self, mut what: Enable) -> Result<(), MountError> {
        what.path = check_path(&what.path)?;
        check_ttls(&what.config)?;
        let _changing = self.changing.lock().await;
        self.check_free(&what.path, None)?;
        self.check_swept(&what.path).await?;
        let mount = self.build(what)?;
        let key = keys::mount(&mount.path);
        let batch = Batch::new().expect(key.clone(), None).put(key, Store::encode(&mount)?);
        self.store.apply(batch).await?;
        Ok(self.reload().await?)
    }

    /// Takes a mount out of the table; answers where it was. What it leaves behind is noted in the same commit: see
    /// [`Leftover`].
    pub(crate) async fn detach(&self, path: &str) -> Result<Option<String>, MountError> {
        let _changing = self.changing.lock().await;
        let Some(mount) = self.at(path) else { return Ok(None) };
        if mount.engine.is_builtin() {
            return Err(MountError::Builtin { verb: "disable", path: mount.path.clone() });
        }
        let batch = Batch::new()
            .delete(keys::mount(&mount.path))
            .put(keys::sweep(&mount.uuid), Store::encode(&Leftover::of(&mount, true))?);
        self.store.apply(batch).await?;
        self.reload().await?;
        Ok(Some(mount.path.clone()))
    }

    /// Moves a mount with all that it holds; answers where it was. Effective when this answers.
    pub(crate) async fn remount(&self, from: &str, to: &str) -> Result<String, MountError> {
        let to = check_path(to)?;
        let _changing = self.changing.lock().await;
        let mount = self.at(from).ok_or_else(|| MountError::NotMounted(from.to_owned()))?;
        if mount.engine.is_builtin() {
            return Err(MountError::Builtin { verb: "move", path: mount.path.clone() });
        }
        if mount.engine.is_auth() != to.starts_with("auth/") {
            return Err(MountError::ClassChange { from: mount.path.clone(), to });
        }
        self.check_free(&to, Some(&mount.path))?;
        self.check_swept(&to).await?;
        let moved = Mount { path: to, ..(*mount).clone() };
        let batch = Batch::new()
            .delete(keys::mount(&mount.path))
            .put(keys::mount(&moved.path), Store::encode(&moved)?)
            .put(keys::sweep(&format!("{}-moved", mount.uuid)), Store::encode(&Leftover::of(&mount, false))?);
        self.store.apply(batch).await?;
        self.reload().await?;
        Ok(mount.path.clone())
    }

    /// Replaces a mount's settings by what `change` makes of them.
    ///
    /// # Errors
    /// When nothing is mounted there, the settings contradict each other, or `change` fails.
    pub async fn tune<E: From<MountError>>(
        &self,
        permit: Permit,
        path: &str,
        change: impl FnOnce(&mut Tunable) -> Result<(), E>,
    ) -> Result<(), E> {
        permit.spend();
        let _changing = self.changing.lock().await;
        let mount = self.at(path).ok_or_else(|| MountError::NotMounted(path.to_owned()))?;
        if mount.engine == Engine::Cubbyhole {
            // Its audit settings would put what tokens keep for themselves into the log in clear.
            return Err(MountError::Builtin { verb: "tune", path: mount.path.clone() }.into());
        }
        let mut tuned = Tunable {
            description: mount.description.clone(),
            options: mount.options.clone(),
            config: mount.config.clone(),
        };
        change(&mut tuned)?;
        Ok(self.store_tuned(&mount, tuned).await?)
    }

    async fn store_tuned(&self, mount: &Mount, tuned: Tunable) -> Result<(), MountError> {
        check_ttls(&tuned.config)?;
        let version = tuned.options.get("version").map(String::as_str);
        if mount.engine == Engine::Kv1 && version == Some("2") || mount.engine == Engine::Kv2 && version != Some("2") {
            return Err(MountError::VersionChange(mount.path.clone()));
        }
        let Tunable { description, options, config } = tuned;
        let mount = Mount { description, options, config, ..mount.clone() };
        self.store.write(keys::mount(&mount.path), &mount).await?;
        Ok(self.reload().await?)
    }

    fn build(&self, what: Enable) -> Result<Mount, StoreError> {
        let random = &self.store.random;
        let suffix: [u8; 4] = random.bytes()?;
        let mut options = what.options;
        match what.engine {
            Engine::Kv2 => _ = options.insert("version".to_owned(), "2".to_owned()),
            Engine::Kv1 => _ = options.entry("version".to_owned()).or_insert_with(|| "1".to_owned()),
            _ => {}
        }
        Ok(Mount {
            path: what.path,
            engine: what.engine,
            uuid: random.uuid()?.to_string(),
            accessor: format!("{}_{}", accessor_prefix(what.engine), hex::encode(suffix)),
            description: what.description,
            options,
            config: what.config,
            local: what.local,
            seal_wrap: what.seal_wrap,
        })
    }

    fn check_free(&self, path: &str, except: Option<&str>) -> Result<(), MountError> {
        let table = self.table.load();
        let clash = table
            .keys()
            .filter(|taken| Some(taken.as_str()) != except)
            .find(|taken| taken.starts_with(path) || path.starts_with(taken.as_str()));
        match clash {
            None => Ok(()),
            Some(taken) => Err(MountError::InUse(taken.clone())),
        }
    }
}

impl Mounts {
    /// Whether something of a mount that was at `path` is still to be removed.
    pub(crate) async fn is_left(&self, path: &str) -> Result<bool, StoreError> {
        let left = self.store.read_all::<Leftover>(keys::SWEEPS).await?;
        Ok(left.iter().any(|(_, left)| left.path == path))
    }

    /// Leases of a mount that is gone lie below its path until they are revoked: no other may be there meanwhile.
    async fn check_swept(&self, path: &str) -> Result<(), MountError> {
        let left = self.store.read_all::<Leftover>(keys::SWEEPS).await?;
        let clash = left.into_iter().find(|(_, left)| left.path.starts_with(path) || path.starts_with(&left.path));
        match clash {
            None => Ok(()),
            Some((_, left)) => Err(MountError::InUse(format!("{} (its leases are still to be revoked)", left.path))),
        }
    }
}

fn accessor_prefix(engine: Engine) -> String {
    if engine.is_auth() { format!("auth_{}", engine.name()) } else { engine.name().to_owned() }
}

/// Checks and completes a mount path.
fn check_path(path: &str) -> Result<String, MountError> {
    let bare = path.trim_matches('/');
    let invalid = |reason| Err(MountError::InvalidPath { path: path.chars().take(80).collect(), reason });
    if bare.is_empty() || bare == "auth" {
        return invalid("it is empty");
    }
    if bare.len() > MAX_PATH {
        return invalid("it is longer than 512 bytes");
    }
    if bare.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return invalid("it has white space or control characters");
    }
    if bare.contains(['*', '+', '?', '#', '%', '\\']) {
        return invalid("it has one of * + ? # % \\");
    }
    if bare.split('/').any(|segment| segment.is_empty() || segment == "." || segment == "..") {
        return invalid("it has an empty segment or one of dots");
    }
    let reserved = ["sys", "cubbyhole", "identity", "auth/token"];
    if reserved.iter().any(|taken| bare == *taken || bare.strip_prefix(taken).is_some_and(|rest| rest.starts_with('/')))
    {
        return Err(MountError::InUse(format!("{bare}/")));
    }
    Ok(format!("{bare}/"))
}

fn check_ttls(config: &MountConfig) -> Result<(), MountError> {
    let max = if config.max_lease_ttl == 0 { super::MAX_LEASE_TTL } else { config.max_lease_ttl };
    if config.default_lease_ttl > max {
        return Err(MountError::TtlOrder { default: config.default_lease_ttl, max });
    }
    Ok(())
}
