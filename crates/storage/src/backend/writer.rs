//! Group commit: one thread applies all the transactions that wait, as one durable commit of the engine.
//!
//! ```text
//! commit() ─┐                       ┌─ check and apply each, in order ─┐
//! commit() ─┼─> queue ─> [thread] ──┤                                  ├─> new snapshot ─> feed ─> answers
//! commit() ─┘                       └─ one commit, made durable        ┘
//! ```
//!
//! While the disk syncs one batch, the next gathers in the queue: the more writers, the larger the batch, without a
//! timer. The order at the end is the contract: whoever is answered finds the write in the snapshot, and whoever
//! follows the feed has been told.

use std::sync::Arc;

use arc_swap::ArcSwap;
use keyturn_core::storage::{Change, Commit, Key, Replacement, Revision, StorageError, Transaction, Write};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    engine::{Engine, Snapshot},
    medium::{Medium, Missing},
};

/// The most transactions that share one commit.
pub(super) const MAX_BATCH: usize = 256;

/// What the thread is asked to do.
pub(super) enum Request {
    /// Commit a transaction, together with others.
    Commit(Pending),
    /// Put other content in the place of all records.
    Replace { content: Replacement, answer: oneshot::Sender<Result<Revision, StorageError>> },
}

/// A transaction and whom to tell of its outcome.
pub(super) struct Pending {
    pub(super) transaction: Transaction,
    pub(super) answer: oneshot::Sender<Result<Commit, StorageError>>,
}

/// The state of the writer thread.
pub(super) struct Writer {
    pub(super) engine: Option<Engine>,
    pub(super) medium: Medium,
    pub(super) cache_bytes: usize,
    pub(super) queue: mpsc::Receiver<Request>,
    pub(super) latest: Arc<ArcSwap<Snapshot>>,
    pub(super) feed: broadcast::Sender<Change>,
    /// The newest revision that anyone has been told of.
    pub(super) revision: u64,
    /// The keys of the commits that failed since the store was last opened; none at all stand for all.
    pub(super) unsettled: Vec<Arc<[Key]>>,
}

impl Writer {
    /// Serves until the last sender is gone, then closes the store.
    pub(super) fn run(mut self) {
        let mut requests = Vec::with_capacity(MAX_BATCH);
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while self.queue.blocking_recv_many(&mut requests, MAX_BATCH) > 0 {
            for request in requests.drain(..) {
                match request {
                    Request::Commit(pending) => batch.push(pending),
                    Request::Replace { content, answer } => {
                        self.serve(&mut batch);
                        let _ = answer.send(self.replace(content));
                    }
                }
            }
            self.serve(&mut batch);
        }
    }

    /// Commits what has gathered and tells everybody who asked.
    fn serve(&mut self, batch: &mut Vec<Pending>) {
        if batch.is_empty() {
            return;
        }
        match self.commit(batch) {
            Ok(outcomes) => {
                for (request, outcome) in batch.drain(..).zip(outcomes) {
                    // An asker that has gone away does not mind.
                    let _ = request.answer.send(Ok(outcome));
                }
            }
            Err(error) => {
                tracing::error!(%error, transactions = batch.len(), "a batch could not be committed");
                for request in batch.drain(..) {
                    let _ = request.answer.send(Err(error.clone()));
                }
            }
        }
    }

    fn replace(&mut self, content: Replacement) -> Result<Revision, StorageError> {
        let replaced = self.try_replace(content);
        match &replaced {
            Ok(_) | Err(StorageError::Source(_) | StorageError::KeyLength(_)) => {}
            Err(error) => {
                tracing::error!(%error, "the store could not be replaced");
                self.give_up([Arc::from([])]);
            }
        }
        replaced
    }

    fn try_replace(&mut self, content: Replacement) -> Result<Revision, StorageError> {
        if self.engine.is_none() {
            self.reopen()?;
        }
        let Some(engine) = &mut self.engine else { return Ok(Revision(self.revision)) };
        let revision = engine.replace(content)?;
        self.latest.store(Arc::new(engine.snapshot()?));
        self.revision = revision.0;
        self.announce(revision, Arc::from([]));
        Ok(revision)
    }

    fn commit(&mut self, batch: &[Pending]) -> Result<Vec<Commit>, StorageError> {
        let outcomes = self.try_commit(batch);
        if outcomes.is_err() {
            self.give_up(batch.iter().map(|request| keys(&request.transaction)).filter(|keys| !keys.is_empty()));
        }
        outcomes
    }

    /// The engine refuses to write once a commit has failed. Opening the store again settles what became of it, and
    /// serves the readers and the next batch; if that fails too, the next batch tries anew.
    fn give_up(&mut self, touched: impl IntoIterator<Item = Arc<[Key]>>) {
        self.engine = None;
        self.unsettled.extend(touched);
        if let Err(error) = self.reopen() {
            tracing::error!(%error, "the store could not be opened again after a failed commit");
        }
    }

    fn try_commit(&mut self, batch: &[Pending]) -> Result<Vec<Commit>, StorageError> {
        if self.engine.is_none() {
            self.reopen()?;
        }
        let Some(engine) = &mut self.engine else { return Ok(Vec::new()) };
        let outcomes = engine.apply(batch.iter().map(|request| &request.transaction))?;
        if engine.revision() > self.revision {
            self.latest.store(Arc::new(engine.snapshot()?));
            self.revision = engine.revision();
            for (request, outcome) in batch.iter().zip(&outcomes) {
                if let Commit::Committed(revision) = outcome
                    && !request.transaction.writes.is_empty()
                {
                    self.announce(*revision, keys(&request.transaction));
                }
            }
        }
        Ok(outcomes)
    }

    fn announce(&self, revision: Revision, keys: Arc<[Key]>) {
        // Without followers there is nobody to tell.
        let _ = self.feed.send(Change { revision, keys });
    }

    /// Opens the store again after the engine has failed.
    fn reopen(&mut self) -> Result<(), StorageError> {
        let engine = Engine::open(&self.medium, self.cache_bytes, Missing::Refuse)?;
        if engine.revision() < self.revision {
            return Err(StorageError::Unusable {
                path: self.medium.place(),
                reason: format!(
                    "it holds revision {} after {} was acknowledged: the disk lost writes; restore it from a backup",
                    engine.revision(),
                    self.revision
                ),
            });
        }
        self.latest.store(Arc::new(engine.snapshot()?));
        let unsettled = std::mem::take(&mut self.unsettled);
        if engine.revision() > self.revision {
            // A commit that failed did reach the disk. Its askers heard of an error, which leaves the outcome open;
            // the caches must still learn of every key that it may have touched.
            self.revision = engine.revision();
            unsettled.into_iter().for_each(|keys| self.announce(Revision(self.revision), keys));
        }
        tracing::warn!(revision = self.revision, "the store was opened again after a failure");
        self.engine = Some(engine);
        Ok(())
    }
}

fn keys(transaction: &Transaction) -> Arc<[Key]> {
    transaction.writes.iter().map(Write::key).cloned().collect()
}
