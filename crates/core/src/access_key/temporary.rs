//! Temporary credentials: a key, its secret and a session token, which end soon and cannot be renewed.

use super::{AccessKeyError, AccessKeys, IssuedAccessKey, Proven, TEMPORARY_PREFIX, create::Who, session};
use crate::{
    barrier::MacPurpose,
    clock::{self, Timestamp},
    core::Core,
    door::Permit,
    login::jwt::{JwtError, Trusted},
    mount::Mount,
    random::base32,
    secret::SecretString,
    store::Store,
    token::{Entry, TokenError, TokenKind},
};

/// Temporary credentials at the moment they are made: the only time that they are seen.
#[derive(Debug)]
pub struct TemporaryCredentials {
    /// The key.
    pub key: IssuedAccessKey,
    /// What must be sent besides a signature.
    pub session_token: SecretString,
    /// When they end.
    pub expires: Timestamp,
}

/// What somebody asks for who has a token of an identity provider.
#[derive(Debug)]
pub struct AssumeRole<'a> {
    /// The role of the mount that the permit is for.
    pub role: &'a str,
    /// What the session is called: 2 to 64 letters, digits and `_+=,.@-`.
    pub session_name: &'a str,
    /// The provider's token.
    pub token: &'a SecretString,
    /// Seconds to live, at most; the role may allow less.
    pub seconds: u64,
    /// The account that the credentials are to belong to; empty: the server's own.
    pub account: &'a str,
}

/// A role that was assumed.
#[derive(Debug)]
pub struct AssumedRole {
    /// Its credentials. They are named after the role and the session: `role/session`.
    pub credentials: TemporaryCredentials,
    /// What STS calls whoever uses them: `AROA…:session`.
    pub user_id: String,
    /// Who it is, and what the provider's token says.
    pub trusted: Trusted,
}

/// A role could not be assumed.
#[derive(Debug, thiserror::Error)]
pub enum AssumeRoleError {
    /// The provider's token is not good for the role.
    #[error(transparent)]
    Login(#[from] JwtError),
    /// The session's name is unfit.
    #[error("the name of the session must be 2 to 64 letters, digits and _+=,.@-")]
    SessionName,
    /// The credentials could not be made.
    #[error(transparent)]
    AccessKey(#[from] AccessKeyError),
}

impl Core {
    /// Gives temporary credentials to whoever a JWT auth method trusts, in place of the token that a login would give;
    /// the permit is that of the mount's login path. They have the token's policies, networks and, at most, its time.
    ///
    /// # Errors
    /// When the trust does not hold, or the store fails.
    pub async fn assume_role(&self, permit: Permit, ask: AssumeRole<'_>) -> Result<AssumedRole, AssumeRoleError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if !(2..=64).contains(&ask.session_name.len()) || !ask.session_name.chars().all(fits) {
            return Err(AssumeRoleError::SessionName);
        }
        let (mount, path) = (permit.mount().clone(), permit.path().to_owned());
        let trusted = self.logins().jwt().verify(permit, ask.role, ask.token).await?;
        let entry = self.logins().jwt().prepare(&mount, path, &trusted).await?;
        let now = self.now();
        let whole = clock::after(now, ask.seconds);
        let expires = entry.expires.map_or(whole, |end| end.min(whole));
        let entry = Entry {
            ttl: clock::seconds_until(now, expires),
            expires: Some(expires),
            // Whatever kind of token the mount gives: this one must be stored, so that it can be revoked, and is not
            // counted, since a client of AWS asks as often as it likes.
            kind: TokenKind::Service,
            uses: 0,
            period: 0,
            ..entry
        };
        let keys = self.access_keys();
        let user_id = format!("{}:{}", role_id(&keys.store, &mount, &trusted.role), ask.session_name);
        let who = Who {
            name: format!("{}/{}", trusted.role, ask.session_name),
            user_id: user_id.clone(),
            account: ask.account.to_owned(),
        };
        let credentials = keys.issue_temporary(entry, expires, who).await?;
        Ok(AssumedRole { credentials, user_id, trusted })
    }
}

/// What stands for a role of a mount in the names of its sessions: always the same, and no other's.
fn role_id(store: &Store, mount: &Mount, role: &str) -> String {
    let hash = store.barrier.mac(MacPurpose::Token, &[b"\0role\0", mount.uuid.as_bytes(), b"\0", role.as_bytes()]);
    format!("AROA{}", base32(&hash[..16]))
}

impl AccessKeys {
    /// Makes temporary credentials with the rights of the key that asks, for `seconds` or until that ends. They end with
    /// it, whatever ends it.
    ///
    /// # Errors
    /// When temporary credentials ask for more of their kind, or the store fails.
    pub async fn create_session(
        &self,
        permit: Permit,
        proven: &Proven,
        seconds: u64,
    ) -> Result<TemporaryCredentials, AccessKeyError> {
        let path = permit.path().to_owned();
        let caller = permit.spend_as_caller().ok_or(TokenError::BadToken)?;
        if proven.is_temporary() {
            return Err(AccessKeyError::Temporary);
        }
        let now = self.store.now();
        let whole = clock::after(now, seconds);
        let expires = caller.entry().expires.map_or(whole, |end| end.min(whole));
        let entry = Entry {
            path,
            created: now,
            ttl: clock::seconds_until(now, expires),
            expires: Some(expires),
            parent: Some(caller.id().clone()),
            period: 0,
            explicit_max_ttl: 0,
            last_renewal: None,
            ..caller.entry().clone()
        };
        let who = Who {
            name: proven.name().to_owned(),
            user_id: proven.user_id().to_owned(),
            account: proven.account().to_owned(),
        };
        self.issue_temporary(entry, expires, who).await
    }

    async fn issue_temporary(
        &self,
        entry: Entry,
        expires: Timestamp,
        who: Who,
    ) -> Result<TemporaryCredentials, AccessKeyError> {
        let id = self.new_id(TEMPORARY_PREFIX)?;
        let session_token = session::issue(&self.store, &id, expires)?;
        let key = self.issue(Entry { renewable: false, ..entry }, id, who).await?;
        Ok(TemporaryCredentials { key, session_token, expires })
    }
}
