//! What is due, and the workers that revoke it. They run beside the upkeep, so many at once and so many at one target;
//! the upkeep only starts them, and they end when nothing is left that may be begun now.
//!
//! The index is ordered by target and time. A target that does not answer is passed over without reading what waits for
//! it, and a storm at one does not hold up another.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Leases, attempt::Why};
use crate::{
    keys,
    storage::Key,
    store::{PAGE, StoreError},
};

/// Revocations under way in all.
const AT_ONCE: usize = 64;

impl Leases {
    /// Starts what is due, unless somebody sees to that already.
    pub(crate) fn nudge(self: &Arc<Self>) {
        if let Ok(alone) = Arc::clone(&self.working).try_lock_owned() {
            let leases = Arc::clone(self);
            tokio::spawn(async move {
                let _alone = alone;
                if let Err(error) = leases.work().await {
                    tracing::warn!(%error, "revocations stopped; they go on with the next round of upkeep");
                }
            });
        }
    }

    /// Waits until all that is due now is done, or cannot be at the moment.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn settle(self: &Arc<Self>) -> Result<(), StoreError> {
        let _alone = self.working.lock().await;
        self.work().await
    }

    async fn work(self: &Arc<Self>) -> Result<(), StoreError> {
        self.end_orphaned().await?;
        let mut workers = JoinSet::new();
        let mut result = Ok(());
        while result.is_ok() && !self.is_closed() {
            result = self.start_due(&mut workers).await;
            let Some(done) = workers.join_next().await else { break };
            result = result.and(outcome(done));
            while let Some(done) = workers.try_join_next() {
                result = result.and(outcome(done));
            }
        }
        // What was begun is finished: it is not stopped half-way.
        while let Some(done) = workers.join_next().await {
            result = result.and(outcome(done));
        }
        self.limits.tidy(self.store.now());
        result
    }

    /// Begins as much as there is room for.
    async fn start_due(self: &Arc<Self>, workers: &mut JoinSet<Result<(), StoreError>>) -> Result<(), StoreError> {
        let mut after: Option<Key> = None;
        while let Some(target) = self.next_target(after.as_deref()).await? {
            after = Some([&keys::leases_due(&target)[..], b"\xff"].concat());
            let mut room = self.limits.room(&target, self.store.now()).min(AT_ONCE.saturating_sub(workers.len()));
            if room == 0 {
                continue;
            }
            for (key, id) in self.due(&target, room + self.limits.running(&target)).await? {
                // One that is held is under way, or asked for by hand.
                let Some(claim) = self.claims.try_claim(&id).filter(|_| room > 0) else { continue };
                room -= 1;
                let (leases, turn) = (Arc::clone(self), self.limits.begin(&target, self.store.now()));
                workers.spawn(async move {
                    let _claim = claim;
                    leases.attempt(&id, Why::Due, Some(turn)).await?;
                    leases.drop_stale(key, &id).await
                });
            }
        }
        Ok(())
    }

    /// The first target after `after` that has leases: one look-up, however many there are.
    async fn next_target(&self, after: Option<&[u8]>) -> Result<Option<String>, StoreError> {
        let first = self.store.barrier.keys(keys::LEASES_DUE, after, 1).await?.pop();
        Ok(first.and_then(|key| {
            let rest = std::str::from_utf8(key.get(keys::LEASES_DUE.len()..)?).ok()?;
            rest.split_once('/').map(|(target, _)| target.to_owned())
        }))
    }

    /// What is due at a target, the oldest first.
    async fn due(&self, target: &str, limit: usize) -> Result<Vec<(Key, String)>, StoreError> {
        let prefix = keys::leases_due(target);
        let now = self.store.now().as_second();
        let page = self.store.barrier.keys(&prefix, None, limit.min(PAGE)).await?;
        let parse = |key: Key| {
            let rest = std::str::from_utf8(&key[prefix.len()..]).ok()?;
            let (second, id) = rest.split_once('/')?;
            let second = i64::from_str_radix(second, 16).ok()?;
            let id = id.to_owned();
            (second <= now).then_some((key, id))
        };
        Ok(page.into_iter().map_while(parse).collect())
    }
}

/// What a worker answers. One that broke off stops the round, or it would be begun again and again.
fn outcome(done: Result<Result<(), StoreError>, tokio::task::JoinError>) -> Result<(), StoreError> {
    done.unwrap_or_else(|error| {
        tracing::error!(%error, "a revocation broke off");
        Err(StoreError::Contended)
    })
}
