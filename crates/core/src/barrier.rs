//! The encryption layer as core sees it: records go in and come out as plaintext, storage sees sealed bytes.
//!
//! A [`Barrier`] exists only while the store is unsealed; dropping the last handle wipes its keys.

use jiff::Timestamp;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::{
    metrics::BarrierStatistics,
    secret::SecretBytes,
    snapshot::SnapshotStream,
    storage::{BoxFuture, Change, ChangeFeed, Commit, Expect, Key, Revision, StorageError},
};

/// An opened record and the revision that wrote it.
#[derive(Debug, Clone)]
pub struct Record {
    /// Which commit wrote it.
    pub revision: Revision,
    /// The plaintext, wiped on drop.
    pub plaintext: SecretBytes,
}

/// A follower of all commits. What it reads from the barrier once it was told of a change is never older than that.
///
/// Storage tells of a commit as soon as it shows it, which may be before the one who committed has seen to the cache.
pub struct Changes {
    feed: ChangeFeed,
    observe: Box<dyn Fn(&Change) + Send + Sync>,
}

impl Changes {
    /// Follows `feed`; `observe` makes the barrier forget what a change replaced.
    pub fn new(feed: ChangeFeed, observe: impl Fn(&Change) + Send + Sync + 'static) -> Self {
        Self { feed, observe: Box::new(observe) }
    }

    /// Waits for the next change.
    ///
    /// # Errors
    /// When it has fallen behind and must read anew, and when there will be no more.
    pub async fn recv(&mut self) -> Result<Change, RecvError> {
        let change = self.feed.recv().await?;
        (self.observe)(&change);
        Ok(change)
    }

    /// The next change, if there is one already.
    ///
    /// # Errors
    /// As [`Changes::recv`], and when there is none yet.
    pub fn try_recv(&mut self) -> Result<Change, TryRecvError> {
        let change = self.feed.try_recv()?;
        (self.observe)(&change);
        Ok(change)
    }
}

/// Preconditions and writes of plaintext records; sealed one by one, applied together or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    /// What must hold.
    pub expect: Vec<(Key, Expect)>,
    /// `Some` sets the record, `None` removes it.
    pub writes: Vec<(Key, Option<SecretBytes>)>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires that `key` is as it was when `seen` was read (`None`: absent).
    #[must_use]
    pub fn expect(mut self, key: impl Into<Key>, seen: Option<Revision>) -> Self {
        self.expect.push((key.into(), seen.map_or(Expect::Absent, Expect::Revision)));
        self
    }

    /// Sets a record.
    #[must_use]
    pub fn put(mut self, key: impl Into<Key>, plaintext: SecretBytes) -> Self {
        self.writes.push((key.into(), Some(plaintext)));
        self
    }

    /// Removes a record.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Key>) -> Self {
        self.writes.push((key.into(), None));
        self
    }
}

/// What a keyed hash is for. Hashes of one purpose say nothing about those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MacPurpose {
    /// Finding a token without storing it.
    Token,
    /// Finding an AppRole secret id without storing it.
    SecretId,
    /// Recognising a value in an audit log without logging it.
    Audit,
    /// Finding equal secret values.
    Fingerprint,
    /// Recognising a snapshot as one of this store.
    Snapshot,
    /// Knowing one's own page tokens again.
    Page,
    /// Knowing again what an answer was made from.
    Etag,
}

/// A keyed hash (HMAC-SHA256).
pub type Mac = [u8; 32];

/// The state of the newest data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyStatus {
    /// The term: 1 for the first data key, one more with each rotation.
    pub term: u32,
    /// When the term began.
    pub install_time: Timestamp,
    /// How many records were sealed under it, rounded up to what has been persisted.
    pub encryptions: u64,
}

/// The highest bound on records under one data key: a quarter of the 2^32 that NIST SP 800-38D allows with random
/// nonces.
pub const MAX_OPERATIONS: u64 = 1 << 30;

/// When a data key is followed by the next by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRotation {
    /// Whether it happens at all. [`MAX_OPERATIONS`] holds either way.
    pub enabled: bool,
    /// Records sealed under one data key, at most.
    pub max_operations: u64,
    /// Seconds for which a data key is used, at most; 0: as long as the number of records allows.
    pub interval: u64,
}

/// A failure of the barrier.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BarrierError {
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A record does not open: altered, moved from another key, or of another store.
    #[error("a stored record does not open under its key: it was altered or moved; restore it from a backup")]
    Forged,
    /// A sealed token does not open.
    #[error("a sealed token does not open")]
    ForgedToken,
    /// The record is sealed in a newer format than this program reads.
    #[error("a stored record has format {0}, which this version of keyturn does not read; upgrade keyturn")]
    NewerFormat(u8),
    /// Sealing failed: no randomness, or a term's bound was reached and it could not be rotated.
    #[error("a record could not be sealed: {0}")]
    Seal(&'static str),
}

/// The encrypted store. Every record is sealed with its full key as associated data.
pub trait Barrier: Send + Sync {
    /// Opens the record at `key`, if there is one.
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Record>, BarrierError>>;

    /// The revision of the record at `key`, if it can be told without reading storage or opening anything. As true as
    /// what [`Barrier::get`] would answer at this moment, so that what was decoded from that revision still holds.
    fn held(&self, key: &[u8]) -> Option<Revision>;

    /// The revision of the record at `key`, if there is one. Nothing is opened for it.
    fn revision<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Revision>, BarrierError>>;

    /// Opens up to `limit` records whose keys start with `prefix` and sort after `after`, in key order. Fewer than
    /// `limit` means that there are no more. The answer holds all their plaintext at once.
    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Record)>, BarrierError>>;

    /// The keys of what [`Barrier::scan`] would answer to the same question. No record is opened and no value gathered,
    /// so that the answer holds at most `limit` keys however large the values are.
    fn keys<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Key>, BarrierError>>;

    /// Seals and commits; the answer comes when it is durable.
    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Commit, BarrierError>>;

    /// Follows all commits from now on.
    fn changes(&self) -> Changes;

    /// The keyed hash of `parts`, fed one after the other, under the key of `purpose`.
    fn mac(&self, purpose: MacPurpose, parts: &[&[u8]]) -> Mac;

    /// Seals `plaintext` into a self-contained blob under a key of its own (batch tokens).
    ///
    /// # Errors
    /// When there is no randomness.
    fn seal_token(&self, plaintext: &[u8]) -> Result<Vec<u8>, BarrierError>;

    /// Opens what [`Barrier::seal_token`] sealed.
    ///
    /// # Errors
    /// [`BarrierError::ForgedToken`] when the blob is not one of this store.
    fn open_token(&self, blob: &[u8]) -> Result<SecretBytes, BarrierError>;

    /// The newest data key's term, age and use.
    fn key_status(&self) -> KeyStatus;

    /// What was counted so far.
    fn statistics(&self) -> BarrierStatistics;

    /// Starts a new term: later records are sealed under a new data key, older terms still open.
    fn rotate(&self) -> BoxFuture<'_, Result<KeyStatus, BarrierError>>;

    /// When the next term begins by itself.
    fn key_rotation(&self) -> KeyRotation;

    /// Sets when the next term begins by itself, for as long as the barrier is open.
    fn set_key_rotation(&self, rotation: KeyRotation);

    /// The whole store as it is now, sealed as it is stored.
    fn snapshot(&self, now: Timestamp) -> BoxFuture<'_, Result<Box<dyn SnapshotStream>, BarrierError>>;
}
