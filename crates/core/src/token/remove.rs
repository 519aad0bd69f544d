//! Taking tokens out of the store with all that belongs to them: accessor, indexes, cubbyhole, wrapped answer.
//!
//! A token and what it keeps go in one commit, under the revision at which the token was read; whatever adds to a
//! cubbyhole writes the token's record as well. So neither a crash nor a write at the same moment leaves something
//! behind that nobody can reach.

use super::{Entry, TokenId, TokenKind, Tokens};
use crate::{
    barrier::Batch,
    keys,
    storage::{Commit, Key},
    store::{PAGE, Seen, Store, StoreError},
};

/// Records that one commit removes, roughly: a token's own are never divided.
const ROOM: usize = 4096;

/// Attempts on tokens that others are changing before one token at a time is removed under its lock.
const ATTEMPTS: usize = 3;

impl Tokens {
    /// Removes tokens in the order given, and the records at `also` with the last of them.
    pub(super) async fn remove(&self, ids: &[TokenId], also: &[Key]) -> Result<(), StoreError> {
        let (mut rest, mut attempts) = (ids, 0);
        while !rest.is_empty() && attempts < ATTEMPTS {
            let (mut batch, taken) = self.removal(rest).await?;
            if taken == rest.len() {
                batch = also.iter().cloned().fold(batch, Batch::delete);
            }
            if self.removed(batch).await? {
                (rest, attempts) = (&rest[taken..], 0);
                if rest.is_empty() {
                    return Ok(());
                }
            } else {
                attempts += 1;
            }
        }
        for id in rest {
            self.remove_one(id).await?;
        }
        self.removed(also.iter().cloned().fold(Batch::new(), Batch::delete)).await?;
        Ok(())
    }

    /// Removes a token that is in use: within this process only those who hold its lock change it.
    async fn remove_one(&self, id: &TokenId) -> Result<(), StoreError> {
        let _lock = self.store.lock(&keys::token(&id.0)).await;
        let (batch, _) = self.removal(std::slice::from_ref(id)).await?;
        if self.removed(batch).await? { Ok(()) } else { Err(StoreError::Contended) }
    }

    async fn removed(&self, batch: Batch) -> Result<bool, StoreError> {
        let tokens = batch.writes.iter().filter(|(key, _)| key.starts_with(keys::TOKENS)).count();
        let removed = batch.writes.is_empty() || matches!(self.store.commit(batch).await?, Commit::Committed(_));
        if removed {
            self.store.counters.removed_tokens.add(tokens as u64);
        }
        Ok(removed)
    }

    /// What removes the first of `ids`, and how many of them.
    async fn removal(&self, ids: &[TokenId]) -> Result<(Batch, usize), StoreError> {
        let mut batch = Batch::new();
        for (index, id) in ids.iter().enumerate() {
            if batch.writes.len() >= ROOM {
                return Ok((batch, index));
            }
            if let Some(seen) = self.find(id).await? {
                batch = self.removal_of(batch, id, seen).await?;
            }
        }
        Ok((batch, ids.len()))
    }

    /// Adds to `batch` what removes a token, provided that it still is as it was seen.
    pub(crate) async fn removal_of(
        &self,
        mut batch: Batch,
        id: &TokenId,
        seen: Seen<Entry>,
    ) -> Result<Batch, StoreError> {
        let entry = seen.value;
        debug_assert!(entry.kind == TokenKind::Service, "only service tokens are stored");
        let key = keys::token(&id.0);
        batch = batch
            .expect(key.clone(), Some(seen.revision))
            .delete(key)
            .delete(keys::token_accessor(&self.accessor_hash(&entry.accessor)));
        if let Some(parent) = &entry.parent {
            batch = batch.delete(keys::token_child(&parent.0, &id.0));
        }
        if let Some(end) = entry.expires {
            batch = batch.delete(keys::token_expiry(end, &id.0)).delete(keys::token_lease(&entry.path, &id.0));
        }
        if let Some(key) = &entry.access_key {
            batch = batch.delete(keys::access_key(key)).delete(keys::access_key_secret(key));
        }
        if let Some(place) = &entry.named {
            batch = batch.delete(keys::named_token(place));
        }
        if entry.is_wrapping() {
            return Ok(batch.delete(keys::wrapping(&id.0)));
        }
        let owner = keys::lease_owner(&id.0);
        if self.store.barrier.get(&owner).await?.is_some() {
            // The leases of its credentials are ended from the note: see lease::ended.
            batch = batch.delete(owner).put(keys::leases_orphaned(&id.0), Store::encode(&())?);
        }
        let cubbyhole = keys::cubbyhole(&id.0);
        let mut after: Option<Key> = None;
        loop {
            let page = self.store.barrier.keys(&cubbyhole, after.as_deref(), PAGE).await?;
            let last = page.len() < PAGE;
            after = page.last().cloned();
            batch = page.into_iter().fold(batch, Batch::delete);
            if last {
                return Ok(batch);
            }
        }
    }
}
