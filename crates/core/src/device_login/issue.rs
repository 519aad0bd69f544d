//! The tokens of approved logins.

use super::{DeviceLoginError, DeviceLogins, normal};
use crate::{
    clock,
    door::Permit,
    mount::MAX_LEASE_TTL,
    secret::SecretString,
    token::{CreateToken, Entry, Issued, TokenError, TokenId},
};

/// What the tokens of devices begin with.
const PREFIX: &str = "dp.ct.";

impl DeviceLogins {
    /// Approves a login with one's own token: what it gets is a child of that. The permit is that of
    /// `auth/token/create`.
    ///
    /// # Errors
    /// [`DeviceLoginError::NoCode`]; or when the token may have no children.
    pub async fn approve(&self, permit: Permit, code: &str) -> Result<(), DeviceLoginError> {
        let caller = permit.spend_as_caller().ok_or(TokenError::BadToken)?;
        self.give(caller.id(), caller.entry(), code).await
    }

    /// Approves a login by logging in: what it gets is a child of the token that came of it, which nobody sees.
    ///
    /// # Errors
    /// As [`DeviceLogins::approve`].
    pub async fn approve_by_login(&self, issued: &Issued, code: &str) -> Result<(), DeviceLoginError> {
        let id = self.tokens.id_of(&issued.token);
        self.give(&id, &issued.entry, code).await
    }

    async fn give(&self, parent: &TokenId, of: &Entry, code: &str) -> Result<(), DeviceLoginError> {
        let code = normal(code);
        let hash = {
            let waiting = self.waiting();
            let found = waiting.iter().find(|(_, waiting)| waiting.is_open(&code));
            found.map(|(hash, _)| hash.clone()).ok_or(DeviceLoginError::NoCode)?
        };
        let (token, entry) = self.tokens.issue_device(parent, of).await?;
        let given = self.waiting().get_mut(&hash).is_some_and(|waiting| {
            if waiting.approved.is_some() {
                return false;
            }
            waiting.approved = Some((token.clone(), entry.display_name.clone()));
            true
        });
        if !given {
            // Somebody else approved it meanwhile, or its time ran out: nobody has this token.
            self.tokens.revoke_tree(&self.tokens.id_of(&token)).await?;
            return Err(DeviceLoginError::NoCode);
        }
        Ok(())
    }

    /// Puts another token in the place of the caller's own, which ends.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] when it is not a device's.
    pub async fn roll(&self, permit: Permit, token: &SecretString) -> Result<SecretString, TokenError> {
        let caller = permit.spend_as_caller().ok_or(TokenError::BadToken)?;
        if !token.expose_secret().starts_with(PREFIX) || self.tokens.id_of(token) != *caller.id() {
            return Err(TokenError::Invalid("only a token that came of a login can be rolled".to_owned()));
        }
        let new = self.tokens.reissue(caller.entry(), PREFIX).await?;
        self.tokens.revoke_tree(caller.id()).await?;
        Ok(new)
    }
}

impl crate::token::Tokens {
    /// A child with all that its parent may do, for as long.
    async fn issue_device(&self, parent: &TokenId, of: &Entry) -> Result<(SecretString, Entry), TokenError> {
        let now = self.store().now();
        let most = clock::after(now, MAX_LEASE_TTL);
        let expires = of.expires.map_or(most, |end| end.min(most));
        let mut entry = self.child_of(&CreateToken::default(), parent, of)?;
        entry.display_name = format!("cli-{}", of.display_name);
        entry.ttl = clock::seconds_until(now, expires);
        entry.expires = Some(expires);
        let token = self.new_prefixed(PREFIX)?;
        let issued = self.issue(entry, Some(token)).await?;
        Ok((issued.token, issued.entry))
    }
}
