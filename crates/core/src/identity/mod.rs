//! Who is behind the tokens: entities with their aliases, groups, and what tokens inherit from them.
//!
//! A login names an [`Alias`]: a mount's accessor and a name. It belongs to an [`Entity`], which is made at the first
//! login. Tokens of the entity have its policies and those of its [`Group`]s besides their own.
//!
//! All of it lies decoded in memory (`index.rs`); the store is read at the start and for changes. An entity is one record
//! with its aliases, so they change together; what changes several records is one commit. Administrators' changes
//! happen one at a time. Logins run beside each other, one at a time for an alias, and never beside a change.

mod aliases;
mod change;
mod effective;
mod entities;
mod group_aliases;
mod groups;
mod index;
mod log_in;
mod members;
mod merge;
pub mod oidc;
mod record;
mod template;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::RwLock as Gate;

pub use aliases::AliasInput;
pub use effective::Effective;
pub use entities::{EntityInput, Find};
pub use group_aliases::GroupAliasInput;
pub use groups::{GroupInput, GroupView};
pub use members::Membership;
pub use merge::Merge;
pub use record::{Alias, Entity, Group, GroupKind, MAX_NAME_LEN};

use self::{effective::Cache, index::Index};
use crate::{
    keys,
    mount::Mounts,
    random::RandomError,
    store::{Store, StoreError},
};

pub(crate) use self::effective::Access;

/// An operation on identities failed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The request contradicts a rule; the text says which.
    #[error("{0}")]
    Invalid(String),
    /// The entity is disabled.
    #[error("permission denied")]
    Disabled,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IdentityError {
    fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}

impl From<RandomError> for IdentityError {
    fn from(error: RandomError) -> Self {
        Self::Store(error.into())
    }
}

/// Whom a token stands for.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// Itself: it has no entity.
    Alone,
    /// An entity.
    For(Arc<Effective>),
    /// One that is disabled or gone: the token is refused.
    Refused,
}

/// All identities.
pub struct Identity {
    store: Arc<Store>,
    mounts: Arc<Mounts>,
    index: RwLock<Index>,
    cache: Cache,
    /// Logins pass beside each other, a change waits until it is alone.
    gate: Gate<()>,
}

impl Identity {
    pub(crate) async fn load(store: Arc<Store>, mounts: Arc<Mounts>) -> Result<Self, StoreError> {
        let mut index = Index::default();
        for (_, entity) in store.read_all::<Entity>(keys::ENTITIES).await? {
            index.put_entity(entity);
        }
        for (_, group) in store.read_all::<Group>(keys::GROUPS).await? {
            index.put_group(group);
        }
        for member in store.names(keys::MEMBERS).await? {
            // A group that was removed takes its members' records along only afterwards; some may be left.
            match member.split_once('/') {
                Some((group, entity)) if index.group(group).is_some() && index.entity(entity).is_some() => {
                    index.join(group, entity);
                }
                _ => store.delete(keys::join(&[keys::MEMBERS, member.as_bytes()])).await?,
            }
        }
        Ok(Self { store, mounts, index: RwLock::new(index), cache: Cache::new(), gate: Gate::new(()) })
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom a token of `entity_id` stands for.
    pub(crate) fn standing(&self, entity_id: &str) -> Standing {
        if entity_id.is_empty() {
            return Standing::Alone;
        }
        let known = self.cache.get(entity_id).or_else(|| {
            let index = self.index();
            let effective = Arc::new(Effective::of(&index, index.standing_for(entity_id)?));
            self.cache.put(entity_id, &effective);
            Some(effective)
        });
        known.filter(|effective| !effective.entity.disabled).map_or(Standing::Refused, Standing::For)
    }

    /// The policies that a token of `entity_id` has besides its own; sorted.
    #[must_use]
    pub fn policies_of(&self, entity_id: &str) -> Vec<String> {
        match self.standing(entity_id) {
            Standing::For(effective) => effective.policies.clone(),
            Standing::Alone | Standing::Refused => Vec::new(),
        }
    }

    /// A part of a path below `entity/name/` or `group/name/` as it is stored, if there is one of that name: names are
    /// the same in any case, and a policy is asked about one spelling.
    #[must_use]
    pub fn stored_path(&self, rest: &str) -> Option<String> {
        let index = self.index();
        if let Some(name) = rest.strip_prefix("entity/name/") {
            return index.entity_named(name).map(|entity| format!("entity/name/{}", entity.name));
        }
        let name = rest.strip_prefix("group/name/")?;
        index.group_named(name).map(|group| format!("group/name/{}", group.name))
    }

    /// Why tokens of an entity are refused, in the words of an introspection.
    pub(super) fn why_refused(&self, entity_id: &str) -> &'static str {
        if self.index().standing_for(entity_id).is_some() { "entity is disabled" } else { "entity was not found" }
    }

    fn new_id(&self) -> Result<String, RandomError> {
        Ok(self.store.random.uuid()?.to_string())
    }

    /// A name that is free: `entity_` and 16 hex digits.
    fn new_name(&self, kind: &str) -> Result<String, RandomError> {
        let random: [u8; 8] = self.store.random.bytes()?;
        Ok(format!("{kind}_{}", hex::encode(random)))
    }
}
