//! A token that was looked up before the door is asked, because what is asked depends on whose it is.

use super::super::core::Core;
use crate::{
    project::{self, ConfigScope},
    secret::SecretString,
    store::StoreError,
    token::{Entry, Presented},
};

/// A token that was good a moment ago. Only [`Core::know`] makes one; the door takes it for the token and looks at its
/// networks, uses and entity.
#[derive(Debug)]
pub struct Known {
    pub(crate) token: SecretString,
    pub(crate) presented: Presented,
}

impl Known {
    /// What is known of the token.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.presented.entry
    }

    /// The token, as it was presented.
    #[must_use]
    pub fn token(&self) -> &SecretString {
        &self.token
    }

    /// The one config that it is for, if it is for one.
    #[must_use]
    pub fn scope(&self) -> Option<ConfigScope> {
        project::scope_of(&self.presented.entry.policies)
    }
}

impl Core {
    /// Looks a token up for the door. `None`: it is not good.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn know(&self, token: &SecretString) -> Result<Option<Known>, StoreError> {
        Ok(self.tokens().resolve(token).await?.map(|presented| Known { token: token.clone(), presented }))
    }
}
