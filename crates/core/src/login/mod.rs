//! Auth methods: how somebody without a token gets one.
//!
//! A method proves who asks; [`TokenSettings`] of the role or user it found say which token that one gets. Each
//! method can be mounted several times, and what a mount knows lies below its own prefix.

pub mod approle;
pub mod cert;
mod glob;
mod issue;
mod jose;
pub mod jwt;
pub(crate) mod kept;
pub mod kubernetes;
mod locked_users;
mod lockout;
mod record;
mod settings;
pub mod userpass;

use std::sync::Arc;

pub use issue::{IssueError, LoginIdentity};
pub use jose::TokenFault;
pub use locked_users::LockedUsers;
pub use settings::{LoginTokenType, SettingsError, TokenSettings};

use self::{approle::AppRole, cert::Cert, issue::Issuer, jwt::Jwt, kubernetes::Kubernetes, userpass::UserPass};
use crate::{
    core::Core,
    identity::Identity,
    keys,
    mount::{Engine, Mount},
    outbound::Outbound,
    store::{Store, StoreError},
    token::{Entry, TokenError, Tokens},
};

/// The longest name of a role or user, in bytes.
pub const MAX_NAME_LEN: usize = 256;

/// A name that no role or user can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} cannot be the name of a role or user: use 1 to {MAX_NAME_LEN} letters, digits, '_', '-' and '.', with \
     neither '-' nor '.' at its ends"
)]
pub struct InvalidName {
    /// The name, cut to 80 characters.
    pub name: String,
}

/// The auth methods.
pub struct Logins {
    store: Arc<Store>,
    approle: AppRole,
    userpass: UserPass,
    jwt: Jwt,
    kubernetes: Kubernetes,
    cert: Cert,
}

impl Logins {
    pub(crate) fn new(
        store: Arc<Store>,
        tokens: Arc<Tokens>,
        identity: Arc<Identity>,
        outbound: Arc<dyn Outbound>,
    ) -> Self {
        let issuer = Arc::new(Issuer::new(Arc::clone(&store), tokens, identity));
        let approle = AppRole::new(Arc::clone(&store), Arc::clone(&issuer));
        let userpass = UserPass::new(Arc::clone(&store), Arc::clone(&issuer));
        let jwt = Jwt::new(Arc::clone(&store), Arc::clone(&issuer), Arc::clone(&outbound));
        let kubernetes = Kubernetes::new(Arc::clone(&store), Arc::clone(&issuer), outbound);
        let cert = Cert::new(Arc::clone(&store), issuer);
        Self { store, approle, userpass, jwt, kubernetes, cert }
    }

    /// Logins of machines: a role's id and a secret id.
    #[must_use]
    pub fn approle(&self) -> &AppRole {
        &self.approle
    }

    /// Logins by username and password.
    #[must_use]
    pub fn userpass(&self) -> &UserPass {
        &self.userpass
    }

    /// The lockouts of all methods.
    fn lockouts(&self) -> [&lockout::Lockouts; 2] {
        [self.approle.lockouts(), self.userpass.lockouts()]
    }

    /// Logins by a signed token.
    #[must_use]
    pub fn jwt(&self) -> &Jwt {
        &self.jwt
    }

    /// Logins of Kubernetes service accounts.
    #[must_use]
    pub fn kubernetes(&self) -> &Kubernetes {
        &self.kubernetes
    }

    /// Logins by a TLS client certificate.
    #[must_use]
    pub fn cert(&self) -> &Cert {
        &self.cert
    }

    /// Whether a write to this path of an auth method would change something that is there.
    async fn exists(&self, mount: &Mount, rest: &str) -> Result<bool, StoreError> {
        let key = match (mount.engine, rest.split_once('/')) {
            (Engine::AppRole, Some(("role", name))) => name_of(name).map(|name| keys::approle_role(&mount.uuid, &name)),
            (Engine::UserPass, Some(("users", name))) => {
                name_of(name).map(|name| keys::userpass_user(&mount.uuid, &name))
            }
            (Engine::Jwt | Engine::Oidc | Engine::Kubernetes, Some(("role", name))) => {
                name_of(name).map(|name| keys::login_role(&mount.uuid, &name))
            }
            _ => return Ok(true),
        };
        // The methods have no say for what is below a role or user, such as its password: a write is an update.
        let Ok(key) = key else { return Ok(true) };
        Ok(self.store.barrier.get(&key).await?.is_some())
    }

    /// One round of upkeep: removes secret ids that have ended.
    pub(crate) async fn tend(&self, mounts: &[Arc<Mount>]) -> Result<(), StoreError> {
        for mount in mounts.iter().filter(|mount| mount.engine == Engine::AppRole) {
            self.approle.expire_due(mount).await?;
        }
        Ok(())
    }
}

impl Core {
    pub(crate) async fn login_exists(&self, mount: &Mount, rest: &str) -> Result<bool, StoreError> {
        self.logins().exists(mount, rest).await
    }
}

/// What the renewal of a login's token goes by: its role or user as it is now. Times in seconds, 0: the mount's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) ttl: u64,
    pub(crate) max_ttl: u64,
    pub(crate) period: u64,
}

impl From<&TokenSettings> for Terms {
    fn from(settings: &TokenSettings) -> Self {
        Self { ttl: settings.ttl, max_ttl: settings.max_ttl, period: settings.period }
    }
}

/// The terms on which a token of `mount` may be renewed; `None` if no login issued it. A token whose role or user is
/// gone is not renewed, nor one whose user has other policies by now, nor one whose client shows another certificate.
pub(crate) async fn terms(
    store: &Store,
    mount: &Mount,
    entry: &Entry,
    certificates: &[Vec<u8>],
) -> Result<Option<Terms>, TokenError> {
    match mount.engine {
        Engine::AppRole => approle::terms(store, mount, entry).await.map(Some),
        Engine::UserPass => userpass::terms(store, mount, entry).await.map(Some),
        Engine::Jwt | Engine::Oidc => jwt::terms(store, mount, entry).await.map(Some),
        Engine::Kubernetes => kubernetes::terms(store, mount, entry).await.map(Some),
        Engine::Cert => cert::terms(store, mount, entry, certificates).await.map(Some),
        Engine::System
        | Engine::Token
        | Engine::Kv1
        | Engine::Kv2
        | Engine::Cubbyhole
        | Engine::Identity
        | Engine::Database => Ok(None),
    }
}

/// Checks a name and makes it lower case: names are the same in any case, as with Vault.
fn name_of(given: &str) -> Result<String, InvalidName> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let fits = (1..=MAX_NAME_LEN).contains(&given.len())
        && given.chars().all(|c| is_word(c) || c == '-' || c == '.')
        && given.starts_with(is_word)
        && given.ends_with(is_word);
    if fits { Ok(given.to_lowercase()) } else { Err(InvalidName { name: given.chars().take(80).collect() }) }
}

#[cfg(test)]
pub(crate) mod testing {
    pub(crate) use super::issue::tests::mount;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_in_lower_case() {
        for (given, name) in [("Web", "web"), ("a", "a"), ("a.b-C_9", "a.b-c_9"), ("_", "_")] {
            assert_eq!(name_of(given).as_deref(), Ok(name));
        }
        for given in ["", "-a", "a.", "a/b", "a b", "ä", "a\0b", &"x".repeat(257)] {
            assert!(name_of(given).is_err(), "{given:?}");
        }
    }
}
