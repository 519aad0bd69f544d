//! Looking tokens up: one's own, another's, or by accessor.

use std::sync::Arc;

use super::{Entry, TokenError, TokenId, Tokens};
use crate::{
    door::Permit,
    keys,
    secret::SecretString,
    storage::Key,
    store::{PAGE, Seen, StoreError},
};

/// Which token is meant.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// The token itself.
    Token(&'a SecretString),
    /// Its accessor.
    Accessor(&'a str),
}

impl Tokens {
    /// How many service tokens are in the store, those that have ended and are not removed yet among them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count(&self, permit: Permit) -> Result<usize, StoreError> {
        permit.spend();
        let mut count = 0;
        let mut after: Option<Key> = None;
        loop {
            let page = self.store.barrier.keys(keys::TOKENS, after.as_deref(), PAGE).await?;
            count += page.len();
            if page.len() < PAGE {
                return Ok(count);
            }
            after = page.last().cloned();
        }
    }

    /// What is known of a token that is good now.
    ///
    /// # Errors
    /// [`TokenError::BadToken`] for a token, [`TokenError::NotFound`] for an accessor, that is not there.
    pub async fn lookup(&self, permit: Permit, which: Which<'_>) -> Result<Entry, TokenError> {
        permit.spend();
        match which {
            Which::Token(token) => {
                Ok(Arc::unwrap_or_clone(self.resolve(token).await?.ok_or(TokenError::BadToken)?.entry))
            }
            Which::Accessor(accessor) => {
                let (_, seen) = self.by_accessor(accessor).await?.ok_or(TokenError::NotFound("invalid accessor"))?;
                Ok(seen.value)
            }
        }
    }

    /// The accessors of all stored tokens.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn accessors(&self, permit: Permit) -> Result<Vec<String>, TokenError> {
        permit.spend();
        let found = self.store.read_all::<(String, String)>(keys::TOKEN_ACCESSORS).await?;
        Ok(found.into_iter().map(|(_, (_, accessor))| accessor).collect())
    }

    pub(crate) async fn by_accessor(&self, accessor: &str) -> Result<Option<(TokenId, Seen<Entry>)>, StoreError> {
        if accessor.is_empty() {
            return Ok(None);
        }
        let key = keys::token_accessor(&self.accessor_hash(accessor));
        let Some(found) = self.store.read::<(String, String)>(&key).await? else { return Ok(None) };
        let id = TokenId(found.value.0);
        let now = self.store.now();
        Ok(self.find(&id).await?.filter(|seen| seen.value.is_live(now)).map(|seen| (id, seen)))
    }

    /// The entry of a stored token that is good now.
    pub(crate) async fn live(&self, id: &TokenId) -> Result<Option<Arc<Entry>>, StoreError> {
        let now = self.store.now();
        Ok(self.entry(id).await?.filter(|entry| entry.is_live(now)))
    }

    /// Finds the stored token that is meant, or says why not in the words of `missing`.
    pub(super) async fn stored(
        &self,
        which: Which<'_>,
        missing: &'static str,
        batch: &'static str,
    ) -> Result<(TokenId, Entry), TokenError> {
        let found = match which {
            Which::Accessor(accessor) => self.by_accessor(accessor).await?.map(|(id, seen)| (id, seen.value)),
            Which::Token(token) => {
                self.resolve(token).await?.map(|presented| (presented.id, Arc::unwrap_or_clone(presented.entry)))
            }
        };
        match found {
            None => Err(TokenError::NotFound(missing)),
            Some((_, entry)) if entry.kind == super::TokenKind::Batch => Err(TokenError::invalid(batch)),
            Some(found) => Ok(found),
        }
    }
}
