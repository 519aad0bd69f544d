//! Identity tokens: what an entity shows to others who trust this server, in the form of OpenID Connect.
//!
//! A named key signs, a role says what is in a token and by which key it is signed. Keys, roles and the issuer are few;
//! they lie decoded in memory and are replaced whole on each change. Private parts stay in the store, sealed, and are
//! opened for one signature.

mod key;
mod role;
mod signing;
mod template;
mod token;

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

pub use key::{KeyInput, NamedKey};
pub use role::{OidcRole, RoleInput};
pub use signing::Algorithm;
pub use token::IdToken;

use super::Identity;
use crate::{
    door::Permit,
    keys,
    random::RandomError,
    store::{Store, StoreError},
};

/// An operation on identity tokens failed.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The request contradicts a rule; the text says which.
    #[error("{0}")]
    Invalid(String),
    /// A key could not be made or used.
    #[error("a signing key could not be made or used")]
    Signing,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OidcError {
    fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}

impl From<signing::SigningError> for OidcError {
    fn from(_: signing::SigningError) -> Self {
        Self::Signing
    }
}

impl From<RandomError> for OidcError {
    fn from(error: RandomError) -> Self {
        Self::Store(error.into())
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Config {
    /// Scheme, host and port; empty: as the request says.
    issuer: String,
}

/// What holds between two changes.
#[derive(Default)]
struct State {
    config: Config,
    keys: BTreeMap<String, Arc<NamedKey>>,
    roles: BTreeMap<String, Arc<OidcRole>>,
}

/// Identity tokens.
pub struct Oidc {
    store: Arc<Store>,
    identity: Arc<Identity>,
    state: ArcSwap<State>,
    changing: Mutex<()>,
}

impl Oidc {
    pub(crate) async fn load(store: Arc<Store>, identity: Arc<Identity>) -> Result<Self, StoreError> {
        let oidc = Self { store, identity, state: ArcSwap::default(), changing: Mutex::new(()) };
        oidc.reload().await?;
        Ok(oidc)
    }

    async fn reload(&self) -> Result<(), StoreError> {
        let config = self.store.read::<Config>(keys::OIDC_CONFIG).await?.map(|seen| seen.value).unwrap_or_default();
        let keys = self.store.read_all::<NamedKey>(keys::OIDC_KEYS).await?;
        let roles = self.store.read_all::<OidcRole>(keys::OIDC_ROLES).await?;
        let state = State {
            config,
            keys: keys.into_iter().map(|(_, key)| (key.name.clone(), Arc::new(key))).collect(),
            roles: roles.into_iter().map(|(_, role)| (role.name.clone(), Arc::new(role))).collect(),
        };
        self.state.store(Arc::new(state));
        Ok(())
    }

    /// Whether a write to this path below the mount would change something that is there.
    pub(crate) fn exists(&self, rest: &str) -> bool {
        let state = self.state.load();
        match rest.split_once('/') {
            Some(("key", name)) if !name.contains('/') => state.keys.contains_key(name),
            Some(("role", name)) => state.roles.contains_key(name),
            _ => true,
        }
    }

    /// The issuer that was set; empty: none.
    #[must_use]
    pub fn issuer(&self, permit: Permit) -> String {
        permit.spend();
        self.state.load().config.issuer.clone()
    }

    /// Sets the issuer: scheme, host and port. Empty: as each request says.
    ///
    /// # Errors
    /// When it is none, or the store fails.
    pub async fn set_issuer(&self, permit: Permit, issuer: &str) -> Result<(), OidcError> {
        permit.spend();
        if !issuer.is_empty() && !is_origin(issuer) {
            return Err(OidcError::invalid(
                "invalid issuer, which must include only a scheme, host, and optional port (e.g. \
                 https://example.com:8200)",
            ));
        }
        let _changing = self.changing.lock().await;
        self.store.write(keys::OIDC_CONFIG.to_vec(), &Config { issuer: issuer.to_owned() }).await?;
        Ok(self.reload().await?)
    }

    /// One round of upkeep: rotates keys whose time has come, and drops public parts that nobody needs any more.
    pub(crate) async fn tend(&self) -> Result<(), StoreError> {
        let now = self.store.now();
        let due: Vec<String> =
            self.state.load().keys.values().filter(|key| key.is_due(now)).map(|key| key.name.clone()).collect();
        for name in due {
            if let Err(error) = self.tend_key(&name).await {
                tracing::error!(key = name, %error, "a key of identity tokens could not be rotated");
            }
        }
        Ok(())
    }
}

/// Whether text is `http://` or `https://`, a host, perhaps a port, and nothing else.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(is_authority)
}

/// Whether text is a host and perhaps a port (RFC 3986, without user information).
pub fn is_authority(text: &str) -> bool {
    let host = match text.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => text,
    };
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    !host.is_empty()
        && host.len() <= 255
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// Checks the name of a key or role.
fn check_name(name: &str) -> Result<(), OidcError> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let fits = (1..=256).contains(&name.len())
        && name.chars().all(|c| is_word(c) || c == '-' || c == '.')
        && name.starts_with(is_word)
        && name.ends_with(is_word);
    if fits {
        return Ok(());
    }
    Err(OidcError::invalid(
        "a name must have 1 to 256 letters, digits, '_', '-' and '.', with neither '-' nor '.' at its ends",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_an_origin() {
        for issuer in ["https://example.com", "http://127.0.0.1:8200", "https://[::1]:8200", "https://a-b.c_d:1"] {
            assert!(is_origin(issuer), "{issuer}");
        }
        for issuer in [
            "",
            "example.com",
            "ftp://a",
            "https://",
            "https://a/",
            "https://a/b",
            "https://u@a",
            "https://a?b",
            "https://a#b",
            "https://a b",
            "https://a:b",
            "https://[::g]",
            "https://:80",
        ] {
            assert!(!is_origin(issuer), "{issuer}");
        }
    }
}
