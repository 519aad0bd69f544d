//! What Keyturn asks of a storage engine: ordered keys, atomic conditional commits, a feed of changes.
//!
//! A backend sees ciphertext alone (the [`crate::barrier`] stands above it) and must pass the conformance suite in
//! `keyturn-storage`. The contract:
//!
//! - **Atomic.** A [`Transaction`] is applied whole or not at all.
//! - **Conditional.** It is applied only if all its preconditions hold at that moment; otherwise nothing changes and
//!   the answer is [`Commit::Conflict`].
//! - **Durable.** When `commit` answers `Committed`, the writes survive `kill -9` and power loss (a backend in
//!   memory is exempt). Concurrent commits may share one fsync, each is answered only after it.
//! - **Ordered.** Revisions grow with each commit; a key carries the revision of the commit that last wrote it.
//! - **Read your writes.** A `get` that starts after a commit was answered sees it.
//! - **One moment.** A [`View`] shows the store as it was when the view was made, and holds up no writer.
//! - **Replaceable.** [`Storage::replace`] puts other content in the place of all that is there, whole or not at all.

use std::{future::Future, pin::Pin, sync::Arc};

/// A boxed future, which keeps the traits usable behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A storage key: 1 to [`MAX_KEY_LEN`] bytes, ordered bytewise.
pub type Key = Vec<u8>;

/// The longest storage key, in bytes.
pub const MAX_KEY_LEN: usize = 2048;

/// The number of the commit that last wrote a key. Grows monotonically over the whole store, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A stored value and the revision that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which commit wrote the value.
    pub revision: Revision,
    /// The sealed bytes.
    pub value: Arc<[u8]>,
}

/// What must hold of one key for a transaction to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The key exists and was last written by this commit.
    Revision(Revision),
}

/// One change to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets the key.
    Put(Key, Arc<[u8]>),
    /// Removes the key; no effect if it does not exist.
    Delete(Key),
}

impl Write {
    /// The key that is written.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }
}

/// Preconditions and writes, applied together or not at all. Writes are applied in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What must hold.
    pub expect: Vec<(Key, Expect)>,
    /// What is written if it does.
    pub writes: Vec<Write>,
}

/// The answer to a commit. A conflict is data, not an error: the caller reads again and decides.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// Applied and durable, under this revision.
    Committed(Revision),
    /// Not applied: this key was not as expected.
    Conflict(Key),
}

/// One commit, as told to those who follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The commit's revision.
    pub revision: Revision,
    /// The keys it wrote or removed. None at all: the whole store was replaced, so any key may have changed.
    pub keys: Arc<[Key]>,
}

/// What [`Storage::replace`] puts into a store: each key once. An error stops the replacement, and nothing has changed.
pub type Replacement = Box<dyn Iterator<Item = Result<(Key, Vec<u8>), StorageError>> + Send>;

/// A follower of commits, from the moment of its creation on.
///
/// A follower that falls too far behind gets [`tokio::sync::broadcast::error::RecvError::Lagged`] and must read anew
/// whatever it derives from the store.
pub type ChangeFeed = tokio::sync::broadcast::Receiver<Change>;

/// A failure of the storage engine.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The key is empty or longer than [`MAX_KEY_LEN`].
    #[error("a storage key must be 1 to {MAX_KEY_LEN} bytes long, this one has {0}")]
    KeyLength(usize),
    /// Another process has the store open.
    #[error("the store at {path} is in use by another process")]
    InUse {
        /// Where the store is.
        path: String,
    },
    /// The file is not a Keyturn store, or is damaged, or of a newer format.
    #[error("the store at {path} cannot be used: {reason}")]
    Unusable {
        /// Where the store is.
        path: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// What was to replace the store's content broke off.
    #[error("the store was not replaced: {0}")]
    Source(String),
    /// The engine failed: disk full, I/O error.
    #[error("storage failed while {doing}: {reason}")]
    Engine {
        /// What was attempted.
        doing: &'static str,
        /// The engine's own words.
        reason: String,
    },
}

/// An ordered, transactional store of sealed bytes. See the module's contract.
pub trait Storage: Send + Sync {
    /// The entry at `key`, if there is one.
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Entry>, StorageError>>;

    /// Up to `limit` entries whose keys start with `prefix` and sort after `after`, in key order. Fewer than `limit`
    /// means that there are no more. The answer holds all their values at once; who needs none asks for the keys.
    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Entry)>, StorageError>>;

    /// The keys of what [`Storage::scan`] would answer to the same question, without their values.
    ///
    /// The answer holds at most `limit` times [`MAX_KEY_LEN`] bytes however large the values are. A backend whose
    /// values lie beside their keys may pass over them one after another, but must not gather them on the way.
    fn keys<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Key>, StorageError>>;

    /// Applies `transaction` if its preconditions hold; answers once it is durable.
    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, StorageError>>;

    /// The store as it is now, to be read in peace: for copying all of it.
    ///
    /// What a view shows cannot be reclaimed while it lives, so it should not live longer than it is read.
    fn view(&self) -> BoxFuture<'_, Result<Box<dyn View>, StorageError>>;

    /// Removes all that is there and puts `content` in its place, in one durable commit under one revision. The content
    /// is drawn one entry after another and never gathered. Other commits wait until it is done.
    fn replace(&self, content: Replacement) -> BoxFuture<'_, Result<Revision, StorageError>>;

    /// Follows all commits from now on.
    fn changes(&self) -> ChangeFeed;

    /// The backend's name, as `sys/seal-status` shows it: `embedded`, `memory`, `postgresql`.
    fn kind(&self) -> &'static str;
}

/// A store at one moment: what is committed later does not show.
pub trait View: Send + Sync {
    /// Like [`Storage::scan`], of that moment.
    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Entry)>, StorageError>>;
}
