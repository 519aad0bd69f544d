//! Temporary credentials: a key, its secret and a session token, which end soon and cannot be renewed.

use super::{AccessKeyError, AccessKeys, IssuedAccessKey, Proven, TEMPORARY_PREFIX, create::Who, session};
use crate::{
    clock::{self, Timestamp},
    door::Permit,
    secret::SecretString,
    token::{Entry, TokenError},
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
        let who = Who { name: proven.name().to_owned(), user_id: proven.user_id().to_owned() };
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
