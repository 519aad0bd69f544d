//! The embedded backend: one file, or memory by the same code.

use std::{
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use arc_swap::ArcSwap;
use keyturn_core::storage::{
    BoxFuture, Change, ChangeFeed, Commit, Entry, Key, MAX_KEY_LEN, Replacement, Revision, Storage, StorageError,
    Transaction, View, Write,
};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    engine::{Engine, Snapshot},
    medium::{Medium, Missing},
    writer::{MAX_BATCH, Pending, Request, Writer},
};

/// How many commits a follower may fall behind before it must read anew.
const FEED_LENGTH: usize = 4096;

/// The engine's page cache of a store in memory, whose pages are in memory already.
const MEMORY_CACHE_BYTES: usize = 1 << 20;

/// A store in one file (see the header of `engine.rs` for its format), or in memory.
///
/// Reads are served from the newest snapshot on the caller's thread. Writes go to one thread, which commits all that
/// wait together. Dropping the store finishes what is queued, closes the file and frees its lock.
pub struct Embedded {
    latest: Arc<ArcSwap<Snapshot>>,
    feed: broadcast::Sender<Change>,
    kind: &'static str,
    // `None` only while being dropped: the thread ends when the last sender is gone.
    queue: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

impl Embedded {
    /// Opens the store in the file at `path`, or makes it: the file with mode 0600, missing directories with 0700.
    /// The engine caches up to `cache_bytes` of pages.
    ///
    /// # Errors
    /// [`StorageError::InUse`] when another process has it open, [`StorageError::Unusable`] when the file is foreign,
    /// damaged or of a newer format, [`StorageError::Engine`] when it cannot be read or written.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self, StorageError> {
        Self::start(Medium::File(path.to_owned()), cache_bytes)
    }

    /// A new store in memory, gone when dropped.
    ///
    /// # Errors
    /// [`StorageError::Engine`] when the writer thread cannot be started.
    pub fn in_memory() -> Result<Self, StorageError> {
        Self::start(Medium::memory(), MEMORY_CACHE_BYTES)
    }

    pub(super) fn start(medium: Medium, cache_bytes: usize) -> Result<Self, StorageError> {
        let engine = Engine::open(&medium, cache_bytes, Missing::Create)?;
        let latest = Arc::new(ArcSwap::from_pointee(engine.snapshot()?));
        let (feed, _) = broadcast::channel(FEED_LENGTH);
        let (queue, requests) = mpsc::channel(MAX_BATCH);
        let kind = medium.kind();
        let writer = Writer {
            revision: engine.revision(),
            engine: Some(engine),
            medium,
            cache_bytes,
            queue: requests,
            latest: Arc::clone(&latest),
            feed: feed.clone(),
            unsettled: Vec::new(),
        };
        let writer = thread::Builder::new()
            .name("keyturn-storage".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| StorageError::Engine { doing: "starting the writer", reason: error.to_string() })?;
        Ok(Self { latest, feed, kind, queue: Some(queue), writer: Some(writer) })
    }

    async fn submit(&self, transaction: Transaction) -> Result<Commit, StorageError> {
        check_keys(&transaction)?;
        let (answer, outcome) = oneshot::channel();
        self.send(Request::Commit(Pending { transaction, answer })).await?;
        outcome.await.map_err(|_| stopped())?
    }

    async fn submit_replacement(&self, content: Replacement) -> Result<Revision, StorageError> {
        // A key that no transaction could write must not come in this way either.
        let content = Box::new(content.map(|item| {
            let (key, value) = item?;
            check_key(&key).map(|()| (key, value))
        }));
        let (answer, outcome) = oneshot::channel();
        self.send(Request::Replace { content, answer }).await?;
        outcome.await.map_err(|_| stopped())?
    }

    async fn send(&self, request: Request) -> Result<(), StorageError> {
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(request).await.map_err(|_| stopped())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has already said so; there is nobody to return it to.
            let _ = writer.join();
        }
    }
}

/// Reads happen when the future is first polled. A `commit` whose future is dropped may still be applied: once
/// queued, it is the writer's.
impl Storage for Embedded {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Entry>, StorageError>> {
        Box::pin(async move {
            check_key(key)?;
            self.latest.load().get(key)
        })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Entry)>, StorageError>> {
        Box::pin(async move { self.latest.load_full().scan(prefix, after, limit) })
    }

    fn keys<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Key>, StorageError>> {
        Box::pin(async move { self.latest.load_full().keys(prefix, after, limit) })
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, StorageError>> {
        Box::pin(self.submit(transaction))
    }

    fn view(&self) -> BoxFuture<'_, Result<Box<dyn View>, StorageError>> {
        Box::pin(async move { Ok(Box::new(Frozen(self.latest.load_full())) as Box<dyn View>) })
    }

    fn replace(&self, content: Replacement) -> BoxFuture<'_, Result<Revision, StorageError>> {
        Box::pin(self.submit_replacement(content))
    }

    fn changes(&self) -> ChangeFeed {
        self.feed.subscribe()
    }

    fn kind(&self) -> &'static str {
        self.kind
    }
}

/// A snapshot of the engine that somebody keeps.
struct Frozen(Arc<Snapshot>);

impl View for Frozen {
    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Entry)>, StorageError>> {
        Box::pin(async move { self.0.scan(prefix, after, limit) })
    }
}

fn stopped() -> StorageError {
    StorageError::Engine { doing: "committing", reason: "the writer has stopped; restart the server".to_owned() }
}

fn check_keys(transaction: &Transaction) -> Result<(), StorageError> {
    let expected = transaction.expect.iter().map(|(key, _)| key);
    expected.chain(transaction.writes.iter().map(Write::key)).try_for_each(|key| check_key(key))
}

fn check_key(key: &[u8]) -> Result<(), StorageError> {
    match key.len() {
        1..=MAX_KEY_LEN => Ok(()),
        other => Err(StorageError::KeyLength(other)),
    }
}
