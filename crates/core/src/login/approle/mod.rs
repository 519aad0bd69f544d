//! `AppRole`: logins of machines, by a role's id and a secret id.
//!
//! A role's id says which role is meant and is no secret; a secret id proves the right to it. Secret ids are stored
//! by their keyed hash alone. The hash covers the mount and the role's *series*, a UUID that the role gets when it is
//! made: a role that is made anew under an old name inherits no secret id, even if a crash left some behind.

mod cidr;
mod login;
mod role;
mod secret_id;
mod tidy;

use std::sync::Arc;

pub use role::Role;
pub(super) use role::terms;
pub use secret_id::{IssuedSecretId, NewSecretId, SecretId};

use super::{InvalidName, IssueError, SettingsError, issue::Issuer, lockout::Lockouts, name_of};
use crate::{
    barrier::MacPurpose,
    door::Permit,
    keys,
    mount::{Engine, Mount},
    random::RandomError,
    storage::Key,
    store::{Seen, Store, StoreError},
    token::to_hex,
};

/// The longest role id and secret id, in bytes.
pub const MAX_ID_LEN: usize = 1024;

/// An operation on a role or secret id, or a login, failed.
#[derive(Debug, thiserror::Error)]
pub enum AppRoleError {
    /// The path is none of this method's.
    #[error("unsupported path")]
    UnsupportedPath,
    /// No role can have this name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// There is no such role.
    #[error("role {0:?} does not exist")]
    NoRole(String),
    /// Another role of the mount has this role id.
    #[error("role_id already in use")]
    RoleIdTaken,
    /// The role has this secret id already.
    #[error("SecretID is already registered")]
    SecretIdTaken,
    /// The role has no secret id with this accessor.
    #[error("failed to find accessor entry for secret_id_accessor: {0:?}")]
    NoAccessor(String),
    /// The request is not possible; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// The role's token settings contradict each other.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No role id was given.
    #[error("missing role_id")]
    MissingRoleId,
    /// No secret id was given.
    #[error("missing secret_id")]
    MissingSecretId,
    /// The login is refused; one text for all reasons, so that it does not tell which.
    #[error("invalid role or secret ID")]
    InvalidLogin,
    /// The login comes from the wrong place.
    #[error("source address {address:?} unauthorized through CIDR restrictions on the {whose}")]
    Source {
        /// Where it comes from.
        address: String,
        /// Who says so: `secret ID` or `role`.
        whose: &'static str,
    },
    /// Too many logins failed lately.
    #[error("permission denied")]
    Locked,
    /// The login proved itself, but there is no token for it.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<RandomError> for AppRoleError {
    fn from(error: RandomError) -> Self {
        Self::Store(error.into())
    }
}

/// The roles of all `AppRole` mounts.
pub struct AppRole {
    store: Arc<Store>,
    issuer: Arc<Issuer>,
    lockouts: Lockouts,
}

impl AppRole {
    pub(super) fn new(store: Arc<Store>, issuer: Arc<Issuer>) -> Self {
        let lockouts = Lockouts::new(Arc::clone(&store.clock));
        Self { store, issuer, lockouts }
    }

    pub(super) fn lockouts(&self) -> &Lockouts {
        &self.lockouts
    }

    async fn find(&self, place: &Place) -> Result<Option<Seen<Role>>, StoreError> {
        self.store.read(&place.key()).await
    }

    async fn require(&self, place: &Place) -> Result<Seen<Role>, AppRoleError> {
        self.find(place).await?.ok_or_else(|| AppRoleError::NoRole(place.name.clone()))
    }

    fn role_id_key(&self, mount: &Mount, role_id: &str) -> Key {
        keys::approle_role_id(&mount.uuid, &self.hash(&mount.uuid, "role-id", "", role_id))
    }

    /// The keyed hash of an id, in hex. No part but the last holds a NUL, so no two kinds can be mistaken.
    fn hash(&self, mount: &str, kind: &str, series: &str, id: &str) -> String {
        let parts = [mount, "\0", kind, "\0", series, "\0", id].map(str::as_bytes);
        to_hex(&self.store.barrier.mac(MacPurpose::SecretId, &parts))
    }
}

/// Where a role is. Always taken from a permit: an operation cannot touch another role than the one that the policy
/// was asked about.
struct Place {
    mount: Arc<Mount>,
    name: String,
}

impl Place {
    fn of(permit: &Permit) -> Result<Self, AppRoleError> {
        let mount = mount_of(permit)?;
        let below = permit.rest().strip_prefix("role/").ok_or(AppRoleError::UnsupportedPath)?;
        let name = name_of(below.split('/').next().unwrap_or_default())?;
        Ok(Self { mount, name })
    }

    fn key(&self) -> Key {
        keys::approle_role(&self.mount.uuid, &self.name)
    }
}

fn mount_of(permit: &Permit) -> Result<Arc<Mount>, AppRoleError> {
    match permit.mount().engine {
        Engine::AppRole => Ok(Arc::clone(permit.mount())),
        _ => Err(AppRoleError::UnsupportedPath),
    }
}
