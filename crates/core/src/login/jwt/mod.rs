//! `jwt` and `oidc`: logins by a token that an identity provider signed.
//!
//! ```text
//! config -> where the provider's keys are      role -> which of its tokens are good for what
//!
//! login:          token -> signature by one of the keys -> times, issuer, audience -> the role's claims -> identity
//! oidc/auth_url:  state, nonce, PKCE -> a URL for the browser
//! oidc/callback:  state, code -> the provider's token endpoint -> an ID token, judged as above and by its nonce
//! ```
//!
//! [`Jwt::verify`] is the first line without a token at its end: other protocols build their own keyless logins on the
//! same trust.

mod claims;
mod config;
mod flow;
mod login;
mod oidc;
mod provider;
mod redirect;
mod role;

use std::sync::Arc;

pub use config::JwtConfig;
pub use login::Trusted;
pub use oidc::Callback;
pub(super) use role::terms;
pub use role::{JwtRole, RoleType};

use self::{flow::Flows, provider::Providers};
use super::{InvalidName, IssueError, SettingsError, issue::Issuer, jose::TokenFault, name_of};
use crate::{
    door::Permit,
    keys,
    mount::{Engine, Mount},
    outbound::Outbound,
    random::RandomError,
    storage::Key,
    store::{Store, StoreError},
};

/// An operation on the configuration or a role, or a login, failed.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// The path is none of this method's.
    #[error("unsupported path")]
    UnsupportedPath,
    /// No role can have this name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Nothing has been configured.
    #[error("could not load configuration")]
    NoConfig,
    /// The request is not possible; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// The role's token settings contradict each other.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no such role.
    #[error("role {0:?} could not be found")]
    NoRole(String),
    /// The token is refused.
    #[error("error validating token: {0}")]
    Token(#[from] TokenFault),
    /// The provider's keys could not be had.
    #[error("error validating token: error verifying token signature: {0}")]
    Keys(String),
    /// The token lacks what the role demands or needs.
    #[error("{0}")]
    Claims(String),
    /// The flow through the browser did not end well.
    #[error("Vault login failed. {0}")]
    Flow(String),
    /// The login comes from the wrong place.
    #[error("permission denied")]
    Denied,
    /// The login proved itself, but there is no token for it.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<RandomError> for JwtError {
    fn from(error: RandomError) -> Self {
        Self::Store(error.into())
    }
}

/// The configurations and roles of all JWT mounts.
pub struct Jwt {
    store: Arc<Store>,
    issuer: Arc<Issuer>,
    outbound: Arc<dyn Outbound>,
    providers: Providers,
    flows: Flows,
}

impl Jwt {
    pub(super) fn new(store: Arc<Store>, issuer: Arc<Issuer>, outbound: Arc<dyn Outbound>) -> Self {
        let providers = Providers::new(Arc::clone(&outbound), Arc::clone(&store.clock));
        Self { store, issuer, outbound, providers, flows: Flows::default() }
    }
}

/// Where a role is. Always taken from a permit: an operation cannot touch another role than the one that the policy
/// was asked about.
struct Place {
    mount: Arc<Mount>,
    name: String,
}

impl Place {
    fn of(permit: &Permit) -> Result<Self, JwtError> {
        let mount = mount_of(permit)?;
        let name = name_of(permit.rest().strip_prefix("role/").ok_or(JwtError::UnsupportedPath)?)?;
        Ok(Self { mount, name })
    }

    fn key(&self) -> Key {
        keys::login_role(&self.mount.uuid, &self.name)
    }
}

fn mount_of(permit: &Permit) -> Result<Arc<Mount>, JwtError> {
    match permit.mount().engine {
        Engine::Jwt | Engine::Oidc => Ok(Arc::clone(permit.mount())),
        _ => Err(JwtError::UnsupportedPath),
    }
}
