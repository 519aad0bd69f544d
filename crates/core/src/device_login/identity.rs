//! Identities of service accounts: a token of an identity provider for a short-lived one of ours.

use crate::{
    core::Core,
    door::Permit,
    login::jwt::JwtError,
    secret::SecretString,
    token::{Entry, Issued, TokenKind},
};

/// What such tokens begin with.
const PREFIX: &str = "dp.said.";

impl Core {
    /// Logs in at a role of a JWT auth method, as its own login path does; the permit is that path's. What comes of it
    /// begins as clients expect, and is stored whatever kind of token the mount gives, so that it can be revoked.
    ///
    /// # Errors
    /// When the provider's token is not good for the role.
    pub async fn log_in_identity(&self, permit: Permit, role: &str, jwt: &SecretString) -> Result<Issued, JwtError> {
        let (mount, path) = (permit.mount().clone(), permit.path().to_owned());
        let trusted = self.logins().jwt().verify(permit, role, jwt).await?;
        let entry = self.logins().jwt().prepare(&mount, path, &trusted).await?;
        let entry = Entry { kind: TokenKind::Service, renewable: false, ..entry };
        let token = self.tokens().new_prefixed(PREFIX)?;
        self.tokens().issue(entry, Some(token)).await.map_err(|error| JwtError::Issue(error.into()))
    }
}
