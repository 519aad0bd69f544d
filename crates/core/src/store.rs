//! The barrier with types on top: records are read and written as structs, and one key at a time is worked on.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    barrier::{Barrier, BarrierError, Batch},
    clock::{Clock, Timestamp},
    codec::{self, CodecError},
    metrics::Counters,
    random::{Random, RandomError},
    secret::SecretBytes,
    storage::{Commit, Key, Revision},
};

/// How many locks the keys share. Two keys that share one merely wait for each other.
const LOCKS: usize = 256;

/// How many keys a listing reads at a time.
pub(crate) const PAGE: usize = 512;

/// A failure below the domain: nothing that the caller could have done otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The barrier or storage failed.
    #[error(transparent)]
    Barrier(#[from] BarrierError),
    /// A record has another shape than its key promises.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Others kept changing the same records.
    #[error("the records changed underneath each attempt; try again")]
    Contended,
}

/// What the services of core share.
pub(crate) struct Store {
    pub(crate) barrier: Arc<dyn Barrier>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Random,
    pub(crate) counters: Counters,
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Store {
    pub(crate) fn new(barrier: Arc<dyn Barrier>, clock: Arc<dyn Clock>) -> Self {
        let locks = std::iter::repeat_with(|| Mutex::new(())).take(LOCKS).collect();
        Self {
            barrier,
            clock,
            random: Random::default(),
            counters: Counters::default(),
            locks,
            hasher: RandomState::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Waits until nobody else in this process works on `key`. Commits stay conditional all the same, because
    /// another process may.
    pub(crate) async fn lock(&self, key: &[u8]) -> MutexGuard<'_, ()> {
        #[allow(clippy::cast_possible_truncation, reason = "a hash is cut on purpose")]
        let slot = self.hasher.hash_one(key) as usize % LOCKS;
        self.locks[slot].lock().await
    }

    /// Like [`Store::lock`] for several keys at once. Who locks several takes them in one order.
    pub(crate) async fn lock_all(&self, keys: &[Key]) -> Vec<MutexGuard<'_, ()>> {
        #[allow(clippy::cast_possible_truncation, reason = "a hash is cut on purpose")]
        let slots: BTreeSet<usize> =
            keys.iter().map(|key| self.hasher.hash_one(key.as_slice()) as usize % LOCKS).collect();
        let mut guards = Vec::with_capacity(slots.len());
        for slot in slots {
            guards.push(self.locks[slot].lock().await);
        }
        guards
    }

    /// Reads the record at `key` as a `T`.
    pub(crate) async fn read<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<Seen<T>>, StoreError> {
        match self.barrier.get(key).await? {
            None => Ok(None),
            Some(record) => Ok(Some(Seen { revision: record.revision, value: codec::decode(&record.plaintext)? })),
        }
    }

    /// Writes `value` to `key`, whatever was there.
    pub(crate) async fn write<T: Serialize>(&self, key: Key, value: &T) -> Result<(), StoreError> {
        self.apply(Batch::new().put(key, codec::encode(value)?)).await
    }

    /// Removes the record at `key`.
    pub(crate) async fn delete(&self, key: Key) -> Result<(), StoreError> {
        self.apply(Batch::new().delete(key)).await
    }

    /// Commits a batch; a conflict is data.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<Commit, StoreError> {
        Ok(self.barrier.commit(batch).await?)
    }

    /// Commits a batch that the caller holds the lock for; a conflict can only come from another process.
    pub(crate) async fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        match self.commit(batch).await? {
            Commit::Committed(_) => Ok(()),
            Commit::Conflict(_) => Err(StoreError::Contended),
        }
    }

    /// All records below `prefix`, decoded, with the rest of their keys.
    pub(crate) async fn read_all<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<(Key, T)>, StoreError> {
        let mut all = Vec::new();
        let mut after: Option<Key> = None;
        loop {
            let page = self.barrier.scan(prefix, after.as_deref(), PAGE).await?;
            let last = page.len() < PAGE;
            after = page.last().map(|(key, _)| key.clone());
            for (key, record) in page {
                all.push((key[prefix.len()..].to_vec(), codec::decode(&record.plaintext)?));
            }
            if last {
                return Ok(all);
            }
        }
    }

    /// All names below `prefix`, without it.
    pub(crate) async fn names(&self, prefix: &[u8]) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        let mut after: Option<Key> = None;
        loop {
            let page = self.barrier.keys(prefix, after.as_deref(), PAGE).await?;
            names.extend(page.iter().map(|key| String::from_utf8_lossy(&key[prefix.len()..]).into_owned()));
            if page.len() < PAGE {
                return Ok(names);
            }
            after = page.last().cloned();
        }
    }

    /// The immediate children below `prefix`, in order: names, and folders with a trailing `/`. A folder costs one
    /// look-up, however much it holds.
    pub(crate) async fn children(&self, prefix: &[u8]) -> Result<Vec<String>, StoreError> {
        let mut children: Vec<String> = Vec::new();
        let mut after: Option<Key> = None;
        loop {
            let page = self.barrier.keys(prefix, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(children) };
            after = Some(last.clone());
            for key in &page {
                let rest = String::from_utf8_lossy(&key[prefix.len()..]);
                let child = rest.find('/').map_or(&*rest, |slash| &rest[..=slash]);
                if children.last().is_none_or(|known| known != child) {
                    children.push(child.to_owned());
                }
            }
            if page.len() < PAGE {
                return Ok(children);
            }
            if let Some(folder) = children.last().filter(|child| child.ends_with('/')) {
                // Jump behind the folder: 0xff is in no UTF-8 text, so it sorts after all of its content.
                after = Some([prefix, folder.as_bytes(), b"\xff"].concat());
            }
        }
    }

    /// Removes everything below `prefix`, some hundred records at a time.
    pub(crate) async fn delete_below(&self, prefix: &[u8]) -> Result<(), StoreError> {
        loop {
            let keys = self.barrier.keys(prefix, None, PAGE).await?;
            if keys.is_empty() {
                return Ok(());
            }
            self.apply(keys.into_iter().fold(Batch::new(), Batch::delete)).await?;
        }
    }

    /// Encodes a record for a batch.
    pub(crate) fn encode<T: Serialize>(value: &T) -> Result<SecretBytes, StoreError> {
        Ok(codec::encode(value)?)
    }
}

/// A decoded record and the revision it was read at.
#[derive(Debug)]
pub(crate) struct Seen<T> {
    pub(crate) revision: Revision,
    pub(crate) value: T,
}
