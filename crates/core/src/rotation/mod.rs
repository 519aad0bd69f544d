//! Rotations: a secret's credential is replaced on a schedule, and the one before is revoked once it is shown that
//! nobody needs it.
//!
//! ```text
//! record      what is asked for, how far it has come
//! machine     one step after the other, each persisted before the next
//! strategies  what each step does to the target
//! evidence    who still holds the credential before; in_use: who uses which, for those who watch
//! begin       which principal comes, which password
//! site        what has a rotation; keeper: where its credential is kept
//! scheduler   what is due, few at once
//! operations  what a caller may ask, with a permit; labelled: as clients ask who know versions by label
//! roles       what the database engine asks for its static roles
//! ```
//!
//! What a step does to a target can be done again: after a crash, a lost answer or a second node it leads to the same.
//! The new password is stored, sealed, in the pending version before the target hears of it.

mod begin;
mod evidence;
mod in_use;
mod keeper;
mod keeping;
mod labelled;
mod machine;
mod operations;
mod record;
mod roles;
mod scheduler;
mod settings;
mod site;
mod strategies;

use std::{
    ops::Deref,
    sync::{Arc, PoisonError, RwLock},
};

pub use evidence::Evidence;
pub use in_use::InUse;
pub(crate) use machine::MAX_ATTEMPTS;
pub use operations::{RotationError, RotationView};
pub use record::{Asked, AtMax, Claim, Credential, Ended, Failure, Hook, Phase, Rotation, Run, Settings, Strategy};
pub(crate) use roles::NotRotated;
pub(crate) use scheduler::Turn;
pub use settings::SettingsError;
pub(crate) use site::{Keeper, Site};

use crate::{
    consumers::Consumers,
    database::RoleStore,
    kv::Kv,
    mount::Mounts,
    outbound::Outbound,
    password::PasswordPolicies,
    storage::BoxFuture,
    store::{Store, StoreError},
    target::{Target, TargetError},
};

/// A connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// There is none of that name.
    #[error("there is no target {0:?}")]
    Missing(String),
    /// It is not for these principals, or cannot be used now.
    #[error("target: {0}")]
    Refused(String),
    /// Its settings make no sense.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Targets by name.
pub trait Connections: Send + Sync {
    /// Opens the target of that name, for work on these principals.
    fn open<'a>(&'a self, name: &'a str, principals: &'a [String]) -> BoxFuture<'a, Result<Opened, ConnectionError>>;

    /// Opens the connection of that name of a mount (its uuid), for work on a static role of that mount.
    fn open_for_role<'a>(
        &'a self,
        mount: &'a str,
        connection: &'a str,
        role: &'a str,
    ) -> BoxFuture<'a, Result<Opened, ConnectionError>> {
        let _ = (mount, role);
        Box::pin(async move { Err(ConnectionError::Missing(connection.to_owned())) })
    }
}

/// A target in use.
pub struct Opened {
    target: Arc<dyn Target>,
    password_policy: String,
    _kept: Box<dyn Send + Sync>,
}

impl Opened {
    /// A target, with what must be kept for as long as it is used.
    pub fn new(target: Arc<dyn Target>, kept: impl Send + Sync + 'static) -> Self {
        Self { target, password_policy: String::new(), _kept: Box::new(kept) }
    }

    /// With the policy by which passwords are made there, unless somebody says otherwise.
    pub(crate) fn with_policy(self, password_policy: String) -> Self {
        Self { password_policy, ..self }
    }

    pub(crate) fn password_policy(&self) -> &str {
        &self.password_policy
    }
}

impl Deref for Opened {
    type Target = dyn Target;

    fn deref(&self) -> &Self::Target {
        &*self.target
    }
}

/// All rotations.
#[derive(Clone)]
pub struct Rotations(Arc<Inner>);

/// What the work on rotations shares.
pub(super) struct Inner {
    store: Arc<Store>,
    kv: Arc<Kv>,
    roles: RoleStore,
    mounts: Arc<Mounts>,
    consumers: Arc<Consumers>,
    passwords: PasswordPolicies,
    outbound: Arc<dyn Outbound>,
    connections: RwLock<Option<Arc<dyn Connections>>>,
    running: scheduler::Running,
}

impl Rotations {
    pub(crate) fn new(
        store: Arc<Store>,
        kv: Arc<Kv>,
        mounts: Arc<Mounts>,
        consumers: Arc<Consumers>,
        outbound: Arc<dyn Outbound>,
    ) -> Self {
        let passwords = PasswordPolicies::new(Arc::clone(&store));
        let roles = RoleStore::new(Arc::clone(&store));
        let (connections, running) = (RwLock::default(), scheduler::Running::default());
        Self(Arc::new(Inner { store, kv, roles, mounts, consumers, passwords, outbound, connections, running }))
    }

    /// Says where targets are found by name; the last to say so is heard.
    pub fn connect(&self, connections: Arc<dyn Connections>) {
        *self.0.connections.write().unwrap_or_else(PoisonError::into_inner) = Some(connections);
    }
}
