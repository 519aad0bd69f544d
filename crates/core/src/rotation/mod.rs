//! Rotations: a secret's credential is replaced on a schedule, and the one before is revoked once it is shown that
//! nobody needs it.
//!
//! ```text
//! record      what is asked for, how far it has come
//! machine     one step after the other, each persisted before the next
//! strategies  what each step does to the target
//! evidence    who still holds the credential before; in_use: who uses which, for those who watch
//! begin       which principal comes, which password
//! scheduler   what is due, few at once
//! operations  what a caller may ask, with a permit; labelled: as clients ask who know versions by label
//! ```
//!
//! What a step does to a target can be done again: after a crash, a lost answer or a second node it leads to the same.
//! The new password is stored, sealed, in the pending version before the target hears of it.

mod begin;
mod evidence;
mod in_use;
mod keeping;
mod labelled;
mod machine;
mod operations;
mod record;
mod scheduler;
mod settings;
mod strategies;

use std::{
    ops::Deref,
    sync::{Arc, PoisonError, RwLock},
};

pub use evidence::Evidence;
pub use in_use::InUse;
pub use operations::{RotationError, RotationView};
pub use record::{Asked, AtMax, Claim, Credential, Ended, Failure, Hook, Phase, Rotation, Run, Settings, Strategy};
pub use settings::SettingsError;

use crate::{
    consumers::Consumers,
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
}

/// A target in use.
pub struct Opened {
    target: Arc<dyn Target>,
    _kept: Box<dyn Send + Sync>,
}

impl Opened {
    /// A target, with what must be kept for as long as it is used.
    pub fn new(target: Arc<dyn Target>, kept: impl Send + Sync + 'static) -> Self {
        Self { target, _kept: Box::new(kept) }
    }
}

impl Deref for Opened {
    type Target = dyn Target;

    fn deref(&self) -> &Self::Target {
        &*self.target
    }
}

/// All rotations.
pub struct Rotations(Arc<Inner>);

/// What the work on rotations shares.
pub(super) struct Inner {
    store: Arc<Store>,
    kv: Arc<Kv>,
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
        let (connections, running) = (RwLock::default(), scheduler::Running::default());
        Self(Arc::new(Inner { store, kv, mounts, consumers, passwords, outbound, connections, running }))
    }

    /// Says where targets are found by name; the last to say so is heard.
    pub fn connect(&self, connections: Arc<dyn Connections>) {
        *self.0.connections.write().unwrap_or_else(PoisonError::into_inner) = Some(connections);
    }
}

impl Inner {
    async fn target(&self, name: &str, principals: &[String]) -> Result<Opened, ConnectionError> {
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner).clone();
        match connections {
            Some(connections) => connections.open(name, principals).await,
            None => Err(ConnectionError::Missing(name.to_owned())),
        }
    }
}
