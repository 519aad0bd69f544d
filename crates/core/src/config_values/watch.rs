//! Following a config: who watches is told that it has changed, never what.
//!
//! The store's feed says which records a commit touched. Those of the config, of what it inherits from and of what it
//! refers to make a watch look at the versions again; only if they differ has the config changed. A token, an entity or
//! a policy that changes makes it look at the caller again, as do times that pass.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use tokio::sync::broadcast::error::RecvError;

use super::{ConfigError, reading::config_of};
use crate::{
    barrier::{Changes, Mac},
    core::Core,
    door::{Caller, Permit},
    keys,
    mount::Mount,
    policy::{AclAsk, Decision, Operation},
    project::ConfigName,
    secret::SecretString,
    storage::{Change, Key},
};

/// A config that is followed. It holds neither the store open nor a token good.
pub struct Watch {
    mount: Arc<Mount>,
    target: ConfigName,
    token: SecretString,
    from: Option<IpAddr>,
    last: Mac,
    interest: HashSet<Key>,
    feed: Changes,
}

/// What a look at a watched config found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// All is as it was.
    Same,
    /// It has changed.
    Changed,
    /// The caller may not follow it any longer, or it is gone.
    Over,
}

impl Core {
    /// Begins to follow a config, for as long as whoever has `token`, for which the permit is, may read it.
    ///
    /// # Errors
    /// [`ConfigError::NotFound`]; [`ConfigError::NoPlace`], also for a permit that is nobody's.
    pub async fn watch_config(&self, permit: Permit, token: SecretString) -> Result<Watch, ConfigError> {
        let (mount, target) = config_of(&permit)?;
        let from = permit.remote();
        let caller = permit.spend_as_caller().ok_or(ConfigError::NoPlace)?;
        // The feed comes first: what is committed while the versions are read is seen in it.
        let feed = self.barrier().changes();
        let mut watch = Watch { mount, target, token, from, last: Mac::default(), interest: HashSet::new(), feed };
        watch.read(self, &caller).await?;
        Ok(watch)
    }
}

impl Watch {
    /// Waits until something was committed that this config or its watcher may depend on. `false`: the store has no
    /// more to tell.
    pub async fn stirred(&mut self) -> bool {
        loop {
            match self.feed.recv().await {
                Ok(change) if self.concerns(&change) => return true,
                Ok(_) => {}
                // Who has fallen behind looks for itself.
                Err(RecvError::Lagged(_)) => return true,
                Err(RecvError::Closed) => return false,
            }
        }
    }

    /// Whether a commit touched what this depends on. One that names no key touched any.
    fn concerns(&self, change: &Change) -> bool {
        let touches = |key: &Key| self.interest.contains(key) || keys::decides_access(key);
        change.keys.is_empty() || change.keys.iter().any(touches)
    }

    /// Looks at the config and at the caller again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn look(&mut self, core: &Core) -> Result<Look, ConfigError> {
        let Some(caller) = core.caller_again(&self.token, self.from).await? else { return Ok(Look::Over) };
        let there = core.mounts().at(&self.mount.path).is_some_and(|mount| mount.uuid == self.mount.uuid);
        let rest = format!("data/{}/{}", self.target.project, self.target.config);
        let allowed = core.projects().trusts(&self.mount, &rest, self.from);
        if !there || !allowed || !may_read(&caller, &self.mount, &self.target) {
            return Ok(Look::Over);
        }
        let before = self.last;
        match self.read(core, &caller).await {
            Ok(()) if self.last == before => Ok(Look::Same),
            Ok(()) => Ok(Look::Changed),
            Err(ConfigError::NotFound(_)) => Ok(Look::Over),
            // A version went while it was looked at, which is a change.
            Err(ConfigError::Changed) => Ok(Look::Changed),
            Err(error) => Err(error),
        }
    }

    async fn read(&mut self, core: &Core, caller: &Caller) -> Result<(), ConfigError> {
        let (mount, target) = (Arc::clone(&self.mount), self.target.clone());
        let mut reading = core.open_reading(mount, target, None).await?;
        reading.advance_unrecorded(caller).await?;
        self.last = reading.etag(&[], false);
        self.interest = reading.record_keys();
        self.interest.extend(access_keys(caller));
        Ok(())
    }
}

/// Whether the caller's policies let them read a config.
pub(super) fn may_read(caller: &Caller, mount: &Mount, config: &ConfigName) -> bool {
    let path = format!("{}data/{}/{}", mount.path, config.project, config.config);
    let ask = AclAsk { path: &path, operation: Operation::Read, parameters: &|| None, wrap_ttl: None };
    matches!(caller.acl().allows(&ask), Decision::Granted(_))
}

/// The records that say whether the caller's token is good.
fn access_keys(caller: &Caller) -> impl Iterator<Item = Key> {
    let entry = caller.entry();
    let tokens = [Some(caller.id()), entry.parent.as_ref()].into_iter().flatten().map(|id| keys::token(&id.0));
    let entity = (!entry.entity_id.is_empty()).then(|| keys::entity(&entry.entity_id));
    tokens.chain(entity).collect::<Vec<_>>().into_iter()
}
