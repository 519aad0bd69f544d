//! `kubernetes`: logins of pods, by the token of their service account.
//!
//! ```text
//! token -> issuer, audience, times, names (and the signature, where pem_keys are given)
//!       -> the cluster's API server: is this token still good, and whose is it?
//! ```
//!
//! Without `kubernetes_host` there is nobody to ask: then `pem_keys` decide alone, and only tokens that end.

mod account;
mod config;
mod login;
mod review;
mod role;

use std::sync::Arc;

pub use config::KubernetesConfig;
pub(super) use role::terms;
pub use role::{AliasSource, KubernetesRole};

use super::{InvalidName, IssueError, SettingsError, issue::Issuer, jose::TokenFault, name_of};
use crate::{
    door::Permit,
    keys,
    mount::{Engine, Mount},
    outbound::Outbound,
    storage::Key,
    store::{Store, StoreError},
};

/// An operation on the configuration or a role, or a login, failed.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// The path is none of this method's.
    #[error("unsupported path")]
    UnsupportedPath,
    /// No role can have this name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Nothing has been configured.
    #[error("could not load backend configuration")]
    NoConfig,
    /// The request is not possible; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// The role's token settings contradict each other.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no such role.
    #[error("invalid role name {0:?}")]
    NoRole(String),
    /// The token is not good for the role.
    #[error("{0}")]
    Refused(String),
    /// The signature is forged, the cluster does not know the token, or it comes from the wrong place.
    #[error("permission denied")]
    Denied,
    /// The login proved itself, but there is no token for it.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<TokenFault> for KubernetesError {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::Signature => Self::Denied,
            fault => Self::Refused(fault.to_string()),
        }
    }
}

/// The configurations and roles of all Kubernetes mounts.
pub struct Kubernetes {
    store: Arc<Store>,
    issuer: Arc<Issuer>,
    outbound: Arc<dyn Outbound>,
}

impl Kubernetes {
    pub(super) fn new(store: Arc<Store>, issuer: Arc<Issuer>, outbound: Arc<dyn Outbound>) -> Self {
        Self { store, issuer, outbound }
    }
}

/// Where a role is. Always taken from a permit: an operation cannot touch another role than the one that the policy
/// was asked about.
struct Place {
    mount: Arc<Mount>,
    name: String,
}

impl Place {
    fn of(permit: &Permit) -> Result<Self, KubernetesError> {
        let mount = mount_of(permit)?;
        let name = name_of(permit.rest().strip_prefix("role/").ok_or(KubernetesError::UnsupportedPath)?)?;
        Ok(Self { mount, name })
    }

    fn key(&self) -> Key {
        keys::login_role(&self.mount.uuid, &self.name)
    }
}

fn mount_of(permit: &Permit) -> Result<Arc<Mount>, KubernetesError> {
    match permit.mount().engine {
        Engine::Kubernetes => Ok(Arc::clone(permit.mount())),
        _ => Err(KubernetesError::UnsupportedPath),
    }
}
