//! Leases that end with something else: their token, their mount, the prefix that somebody names.
//!
//! A token's removal leaves a note in the same commit if it ever had a lease ([`crate::token`]); the leases are marked
//! from the note, page by page, and the note goes last. A mount that is gone has its `sweep/` record, which stays until
//! its leases are revoked: the connections that they need are not removed before.

use std::{
    collections::HashSet,
    sync::{Arc, MutexGuard, PoisonError},
};

use tokio::task::JoinSet;

use super::{
    Leases,
    attempt::{Came, Why},
    record::Change,
};
use crate::{
    barrier::Batch,
    keys,
    storage::{Commit, Key},
    store::{PAGE, StoreError},
};

/// Leases that one commit marks.
const CHUNK: usize = 64;

/// Revocations under way for one who waits.
const AT_ONCE: usize = 8;

/// What came of revoking many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Credentials that were revoked.
    pub(crate) revoked: usize,
    /// Leases that are still to be revoked, since it failed.
    pub(crate) failed: usize,
    /// Leases that were dropped although it failed.
    pub(crate) dropped: usize,
    /// Why the first of these two kinds did.
    pub(crate) first: Option<String>,
}

impl Swept {
    fn add(&mut self, id: &str, came: Came) {
        let reason = match came {
            Came::Nothing => return,
            Came::Revoked => return self.revoked += 1,
            Came::Failed(reason) => {
                self.failed += 1;
                reason
            }
            Came::Dropped(reason) => {
                self.dropped += 1;
                reason
            }
        };
        self.first.get_or_insert_with(|| format!("{id:?}: {reason}"));
    }
}

impl Leases {
    /// Marks the leases of tokens that are gone.
    pub(super) async fn end_orphaned(&self) -> Result<(), StoreError> {
        loop {
            let notes = self.store.barrier.keys(keys::LEASES_ORPHANED, None, PAGE).await?;
            for note in &notes {
                let token = String::from_utf8_lossy(&note[keys::LEASES_ORPHANED.len()..]);
                let index = keys::leases_of_token(&token);
                self.end_all(&index, index.len(), false).await?;
                self.store.delete(note.clone()).await?;
            }
            if notes.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Writes down that all leases below a path are to end.
    pub(crate) async fn end_below(&self, path: &str, asked: bool) -> Result<(), StoreError> {
        self.end_all(&keys::lease(path), keys::LEASES.len(), asked).await
    }

    /// Writes down, once, that all leases of a mount that is gone are to end: no more can begin below its path.
    pub(crate) async fn end_left(&self, path: &str) -> Result<(), StoreError> {
        if self.left().contains(path) {
            return Ok(());
        }
        self.end_below(path, false).await?;
        self.left().insert(path.to_owned());
        Ok(())
    }

    /// Forgets a mount that is gone: another may be there from now on.
    pub(crate) fn forget_left(&self, path: &str) {
        self.left().remove(path);
    }

    fn left(&self) -> MutexGuard<'_, HashSet<String>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are leases below a path.
    pub(crate) async fn any_below(&self, path: &str) -> Result<bool, StoreError> {
        Ok(!self.store.barrier.keys(&keys::lease(path), None, 1).await?.is_empty())
    }

    /// Ends all leases below a path and waits for one attempt on each.
    pub(super) async fn revoke_below(self: &Arc<Self>, path: &str, why: Why) -> Result<Swept, StoreError> {
        self.end_below(path, true).await?;
        let prefix = keys::lease(path);
        let (mut swept, mut workers, mut after) = (Swept::default(), JoinSet::new(), None::<Key>);
        loop {
            let page = self.store.barrier.keys(&prefix, after.as_deref(), PAGE).await?;
            for key in &page {
                let Ok(id) = String::from_utf8(key[keys::LEASES.len()..].to_vec()) else { continue };
                if workers.len() >= AT_ONCE {
                    take_one(&mut workers, &mut swept).await?;
                }
                let leases = Arc::clone(self);
                workers.spawn(async move {
                    let came = leases.revoke_now(&id, why).await;
                    (id, came)
                });
            }
            if page.len() < PAGE {
                break;
            }
            after = page.last().cloned();
        }
        while !workers.is_empty() {
            take_one(&mut workers, &mut swept).await?;
        }
        Ok(swept)
    }

    /// The same for a mount that is gone, as far as its leases can be revoked.
    pub(crate) async fn sweep_below(self: &Arc<Self>, path: &str) -> Result<Swept, StoreError> {
        self.revoke_below(path, Why::Asked).await
    }

    /// Attempts to revoke a lease at once.
    pub(super) async fn revoke_now(&self, id: &str, why: Why) -> Result<Came, StoreError> {
        let _claim = self.claims.claim(id).await;
        self.attempt(id, why, None).await
    }

    /// Marks the leases whose ids follow the first `cut` bytes of the keys with a prefix.
    async fn end_all(&self, prefix: &[u8], cut: usize, asked: bool) -> Result<(), StoreError> {
        let mut after: Option<Key> = None;
        loop {
            let page = self.store.barrier.keys(prefix, after.as_deref(), PAGE).await?;
            for chunk in page.chunks(CHUNK) {
                let ids: Vec<_> = chunk.iter().map(|key| String::from_utf8_lossy(&key[cut..])).collect();
                self.end_chunk(&ids, asked).await?;
            }
            if page.len() < PAGE {
                return Ok(());
            }
            after = page.last().cloned();
        }
    }

    /// In one commit, or one by one if somebody else is at one of them.
    async fn end_chunk(&self, ids: &[impl AsRef<str> + Sync], asked: bool) -> Result<(), StoreError> {
        let now = self.store.now();
        let mut changes = Vec::new();
        for id in ids {
            if let Some(seen) = self.find(id.as_ref()).await?
                && let Some(after) = seen.value.ended(now, asked)
            {
                changes.push(Change::update(seen, after));
            }
        }
        if changes.is_empty() || matches!(self.commit(&changes, Batch::new()).await?, Commit::Committed(_)) {
            return Ok(());
        }
        for id in ids {
            self.change(id.as_ref(), |lease| lease.ended(now, asked)).await?;
        }
        Ok(())
    }
}

async fn take_one(
    workers: &mut JoinSet<(String, Result<Came, StoreError>)>,
    swept: &mut Swept,
) -> Result<(), StoreError> {
    match workers.join_next().await {
        Some(Ok((id, came))) => swept.add(&id, came?),
        Some(Err(error)) => {
            tracing::error!(%error, "a revocation broke off");
            swept.failed += 1;
        }
        None => {}
    }
    Ok(())
}
