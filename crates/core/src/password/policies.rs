//! The stored password policies.

use std::sync::Arc;

use super::{
    generator::{Generator, GeneratorError},
    parse::{PasswordPolicyError, parse},
};
use crate::{
    door::Permit,
    keys,
    secret::SecretString,
    store::{Store, StoreError},
};

/// The longest name of a policy, in bytes.
const MAX_NAME: usize = 128;

/// A password policy could not be read, changed or used.
#[derive(Debug, thiserror::Error)]
pub enum PasswordPolicyStoreError {
    /// A name that no policy can have.
    #[error(
        "the name of a password policy is 1 to {MAX_NAME} letters, digits, '_', '-' and '.', with neither '-' nor '.' at \
         its ends"
    )]
    Name,
    /// No policy of that name.
    #[error("policy does not exist")]
    NotFound,
    /// The text is no policy.
    #[error(transparent)]
    Policy(#[from] PasswordPolicyError),
    /// No password could be made.
    #[error("failed to generate password from policy: {0}")]
    Generate(GeneratorError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which passwords are to be made, by name.
pub struct PasswordPolicies {
    store: Arc<Store>,
}

impl PasswordPolicies {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// All names, sorted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, permit: Permit) -> Result<Vec<String>, PasswordPolicyStoreError> {
        permit.spend();
        Ok(self.store.names(keys::PASSWORD_POLICIES).await?)
    }

    /// The text of a policy, as it was written.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn read(&self, permit: Permit, name: &str) -> Result<String, PasswordPolicyStoreError> {
        permit.spend();
        self.text(name).await
    }

    /// Creates or replaces a policy.
    ///
    /// # Errors
    /// When the text is no policy, or hardly any password would keep it.
    pub async fn write(&self, permit: Permit, name: &str, text: &str) -> Result<(), PasswordPolicyStoreError> {
        permit.spend();
        if !is_name(name) {
            return Err(PasswordPolicyStoreError::Name);
        }
        let checked = parse(text)?.check(&self.store.random);
        checked.map_err(PasswordPolicyError::from)?;
        Ok(self.store.write(keys::password_policy(name), &text).await?)
    }

    /// Removes a policy. One that is not there is no error, as with Vault.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, permit: Permit, name: &str) -> Result<(), PasswordPolicyStoreError> {
        permit.spend();
        Ok(self.store.delete(keys::password_policy(name)).await?)
    }

    /// A password that keeps a policy.
    ///
    /// # Errors
    /// When there is no such policy, or no randomness.
    pub async fn generate(&self, permit: Permit, name: &str) -> Result<SecretString, PasswordPolicyStoreError> {
        permit.spend();
        self.generator(name).await?.generate(&self.store.random).map_err(PasswordPolicyStoreError::Generate)
    }

    /// What makes passwords by a policy, for whatever issues credentials.
    pub(crate) async fn generator(&self, name: &str) -> Result<Generator, PasswordPolicyStoreError> {
        Ok(parse(&self.text(name).await?)?)
    }

    async fn text(&self, name: &str) -> Result<String, PasswordPolicyStoreError> {
        let seen = self.store.read::<String>(&keys::password_policy(name)).await?;
        seen.map(|seen| seen.value).ok_or(PasswordPolicyStoreError::NotFound)
    }
}

fn is_name(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=MAX_NAME).contains(&name.len())
        && name.chars().all(|c| is_word(c) || c == '-' || c == '.')
        && name.starts_with(is_word)
        && name.ends_with(is_word)
}
