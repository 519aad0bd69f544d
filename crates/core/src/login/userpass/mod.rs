//! userpass: logins of people, by name and password.

mod login;
mod password;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use password::PasswordError;
use password::{PasswordHash, Passwords};

use super::{InvalidName, IssueError, SettingsError, Terms, TokenSettings, issue::Issuer, lockout::Lockouts, name_of};
use crate::{
    barrier::Batch,
    door::Permit,
    keys,
    mount::{Engine, Mount},
    secret::SecretString,
    storage::{Key, Revision},
    store::{Seen, Store, StoreError},
    token::{Entry, TokenError, sanitize_policies},
};

/// The longest password, in bytes.
pub const MAX_PASSWORD_LEN: usize = 4096;

/// An operation on a user, or a login, failed.
#[derive(Debug, thiserror::Error)]
pub enum UserPassError {
    /// The path is none of this method's.
    #[error("unsupported path")]
    UnsupportedPath,
    /// No user can have this name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// There is no such user.
    #[error("username does not exist")]
    NoUser,
    /// No password was given.
    #[error("missing password")]
    MissingPassword,
    /// The password cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The user's token settings contradict each other.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The login is refused; one text for all reasons, so that it does not tell which.
    #[error("invalid username or password")]
    InvalidLogin,
    /// The login comes from the wrong place, or too many failed lately.
    #[error("permission denied")]
    Denied,
    /// The login proved itself, but there is no token for it.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A user's record.
#[derive(Debug, Serialize, Deserialize)]
struct User {
    password: PasswordHash,
    token: TokenSettings,
}

/// The users of all userpass mounts.
pub struct UserPass {
    store: Arc<Store>,
    issuer: Arc<Issuer>,
    lockouts: Lockouts,
    passwords: Passwords,
}

impl UserPass {
    pub(super) fn new(store: Arc<Store>, issuer: Arc<Issuer>) -> Self {
        let lockouts = Lockouts::new(Arc::clone(&store.clock));
        Self { store, issuer, lockouts, passwords: Passwords::new() }
    }

    pub(super) fn lockouts(&self) -> &Lockouts {
        &self.lockouts
    }

    /// The names of all users of the mount.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_users(&self, permit: Permit) -> Result<Vec<String>, UserPassError> {
        let mount = mount_of(&permit)?;
        permit.spend();
        Ok(self.store.names(&keys::userpass_users(&mount.uuid)).await?)
    }

    /// What a user's tokens are like. The password is never told.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn read_user(&self, permit: Permit) -> Result<Option<TokenSettings>, UserPassError> {
        let key = Place::of(&permit, "users/")?.key();
        permit.spend();
        Ok(self.store.read::<User>(&key).await?.map(|seen| seen.value.token))
    }

    /// Creates a user or changes one; without `password` the old one stays.
    ///
    /// # Errors
    /// [`UserPassError::MissingPassword`] for a new user without one; also when the settings contradict each other or
    /// `change` fails.
    pub async fn write_user<E: From<UserPassError>>(
        &self,
        permit: Permit,
        password: Option<SecretString>,
        change: impl FnOnce(&mut TokenSettings) -> Result<(), E>,
    ) -> Result<(), E> {
        let key = Place::of(&permit, "users/")?.key();
        permit.spend();
        let password = self.hashed(password).await?;
        let _lock = self.store.lock(&key).await;
        let found = self.store.read::<User>(&key).await.map_err(UserPassError::from)?;
        let (revision, mut user) = match (found, password) {
            (None, None) => return Err(UserPassError::MissingPassword.into()),
            (None, Some(password)) => (None, User { password, token: TokenSettings::default() }),
            (Some(Seen { revision, value }), None) => (Some(revision), value),
            (Some(Seen { revision, value }), Some(password)) => (Some(revision), User { password, ..value }),
        };
        change(&mut user.token)?;
        Ok(self.put(key, revision, &user).await?)
    }

    /// Changes what the tokens of a user who is there are like.
    ///
    /// # Errors
    /// [`UserPassError::NoUser`]; otherwise as [`UserPass::write_user`].
    pub async fn change_user<E: From<UserPassError>>(
        &self,
        permit: Permit,
        change: impl FnOnce(&mut TokenSettings) -> Result<(), E>,
    ) -> Result<(), E> {
        let key = Place::of(&permit, "users/")?.key();
        permit.spend();
        let _lock = self.store.lock(&key).await;
        let Seen { revision, value: mut user } = self.require(&key).await?;
        change(&mut user.token)?;
        Ok(self.put(key, Some(revision), &user).await?)
    }

    /// Replaces a user's password. Tokens issued before stay.
    ///
    /// # Errors
    /// [`UserPassError::NoUser`], or when the password is empty or too long.
    pub async fn set_password(&self, permit: Permit, password: SecretString) -> Result<(), UserPassError> {
        let key = Place::of(&permit, "users/")?.key();
        permit.spend();
        let password = self.hashed(Some(password)).await?.ok_or(UserPassError::MissingPassword)?;
        let _lock = self.store.lock(&key).await;
        let Seen { revision, value } = self.require(&key).await?;
        self.put(key, Some(revision), &User { password, ..value }).await
    }

    /// Removes a user. Tokens issued before stay, but can no longer be renewed.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn delete_user(&self, permit: Permit) -> Result<(), UserPassError> {
        let key = Place::of(&permit, "users/")?.key();
        permit.spend();
        Ok(self.store.delete(key).await?)
    }

    /// `None` for no password, and for an empty one.
    async fn hashed(&self, password: Option<SecretString>) -> Result<Option<PasswordHash>, UserPassError> {
        let Some(password) = password.filter(|password| !password.is_empty()) else { return Ok(None) };
        let salt = self.store.random.bytes().map_err(StoreError::from)?;
        Ok(Some(self.passwords.worker().await?.hash(password, salt).await?))
    }

    async fn require(&self, key: &Key) -> Result<Seen<User>, UserPassError> {
        self.store.read(key).await?.ok_or(UserPassError::NoUser)
    }

    async fn put(&self, key: Key, revision: Option<Revision>, user: &User) -> Result<(), UserPassError> {
        user.token.check()?;
        let batch = Batch::new().expect(key.clone(), revision).put(key, Store::encode(user)?);
        Ok(self.store.apply(batch).await?)
    }
}

/// Where a user is. Always taken from a permit: an operation cannot touch another user than the one that the policy
/// was asked about.
struct Place {
    mount: Arc<Mount>,
    name: String,
}

impl Place {
    /// `area` is what stands before the name: `users/` or `login/`.
    fn of(permit: &Permit, area: &str) -> Result<Self, UserPassError> {
        let mount = mount_of(permit)?;
        let below = permit.rest().strip_prefix(area).ok_or(UserPassError::UnsupportedPath)?;
        let name = name_of(below.split('/').next().unwrap_or_default())?;
        Ok(Self { mount, name })
    }

    fn key(&self) -> Key {
        keys::userpass_user(&self.mount.uuid, &self.name)
    }
}

fn mount_of(permit: &Permit) -> Result<Arc<Mount>, UserPassError> {
    match permit.mount().engine {
        Engine::UserPass => Ok(Arc::clone(permit.mount())),
        _ => Err(UserPassError::UnsupportedPath),
    }
}

/// The terms of a token that a user's login got.
pub(super) async fn terms(store: &Store, mount: &Mount, entry: &Entry) -> Result<Terms, TokenError> {
    let name = entry.meta.get(login::USERNAME).map_or("", String::as_str);
    let found = store.read::<User>(&keys::userpass_user(&mount.uuid, name)).await?;
    let gone = || TokenError::Invalid(format!("user {name:?} does not exist any more, not renewing"));
    let settings = found.ok_or_else(gone)?.value.token;
    let own = |names: &[String]| {
        let mut own = sanitize_policies(names, false);
        own.retain(|name| name != "default");
        own
    };
    if own(&settings.policies) != own(&entry.policies) {
        return Err(TokenError::Invalid("policies have changed, not renewing".to_owned()));
    }
    Ok(Terms::from(&settings))
}
