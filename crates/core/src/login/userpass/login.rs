//! Login by name and password.

use super::{Place, User, UserPass, UserPassError, mount_of};
use crate::{
    door::Permit,
    login::{
        InvalidName, TokenSettings,
        issue::{LoginIdentity, Proven},
    },
    secret::SecretString,
    token::{Issued, address_allowed},
};

/// The entry of a token's metadata that names its user.
pub(super) const USERNAME: &str = "username";

impl UserPass {
    /// Logs in. An unknown user costs the same work as a wrong password.
    ///
    /// # Errors
    /// [`UserPassError::InvalidLogin`] when name and password do not fit, [`UserPassError::Denied`] when they do but
    /// come from the wrong place, or after too many failures.
    pub async fn login(&self, permit: Permit, password: SecretString) -> Result<Issued, UserPassError> {
        let mount = mount_of(&permit)?;
        let place = match Place::of(&permit, "login/") {
            Ok(place) => place,
            // A name that nobody can have is one more unknown user.
            Err(UserPassError::Name(InvalidName { .. })) => Place { mount, name: String::new() },
            Err(error) => return Err(error),
        };
        let (path, from) = (permit.path().to_owned(), permit.remote());
        permit.spend();
        if password.is_empty() {
            return Err(UserPassError::MissingPassword);
        }
        let settings = self.prove(&place, password).await?;
        if !address_allowed(&settings.bound_cidrs, from) {
            return Err(UserPassError::Denied);
        }
        let meta = [(USERNAME.to_owned(), place.name.clone())].into();
        let bound_cidrs = settings.bound_cidrs.clone();
        let identity = LoginIdentity { alias: place.name.clone(), ..LoginIdentity::default() };
        let (mount, name) = (&place.mount, &place.name);
        let proven = Proven { mount, identity, path, name, meta, settings: &settings, bound_cidrs };
        Ok(self.issuer.issue(proven).await?)
    }

    /// Checks the password, and counts a failure.
    async fn prove(&self, place: &Place, password: SecretString) -> Result<TokenSettings, UserPassError> {
        let is_locked = || self.lockouts.is_locked(&place.mount, &place.name);
        if is_locked() {
            return Err(UserPassError::Denied);
        }
        let worker = self.passwords.worker().await?;
        // Others may have failed while this one waited for its turn.
        if is_locked() {
            return Err(UserPassError::Denied);
        }
        let user = self.store.read::<User>(&place.key()).await?.map(|seen| seen.value);
        let (hash, settings) = user.map(|user| (user.password, user.token)).unzip();
        let fits = worker.verify(password, hash).await?;
        match settings {
            Some(settings) if fits => {
                self.lockouts.forget(&place.mount, &place.name);
                Ok(settings)
            }
            _ => {
                self.lockouts.record_failure(&place.mount, &place.name);
                Err(UserPassError::InvalidLogin)
            }
        }
    }
}
