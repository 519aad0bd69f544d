//! The cache of sealed bytes above a storage backend.
//!
//! It holds ciphertext alone, bounded in bytes, and never serves a value older than a commit that has been answered.
//!
//! # Why a stale value cannot stay
//!
//! The danger is a slow reader: it reads the old value from storage, a commit replaces it and removes the key from the
//! cache, and only then does the reader insert what it holds. So each key belongs to a shard with a generation:
//!
//! - a reader that misses notes the generation *before* it reads storage, and inserts only if, under the shard's lock,
//!   the generation is still the same;
//! - a commit, *after* storage shows its writes and *before* it is answered, raises the generation and removes the
//!   key, both under the shard's lock.
//!
//! A reader inserts an old value only if it read storage before the commit; then it noted the generation before the
//! commit raised it. If it takes the lock first, the commit removes what it inserted; if second, it sees another
//! generation and inserts nothing. A hit takes no such lock. Whoever follows commits, of another node or of this one
//! before they are answered, calls [`CachedStorage::observe`], and from then on the same holds.
//!
//! # Replacing the whole store
//!
//! A replacement begins a new era. Barriers that were opened before it hold keys and tables of what is gone, so their
//! commits are refused from then on: each names the era that it belongs to, under a lock that a replacement takes alone.
//!
//! The commit runs as a task of its own: a caller that goes away in the middle (a client that hangs up) must not
//! leave behind a commit that is applied and a cache that does not know.

use std::{
    hash::BuildHasher,
    sync::{Arc, Mutex, PoisonError},
};

use foldhash::quality::RandomState;
use keyturn_core::{
    metrics::{BarrierStatistics, Counter},
    storage::{Change, Commit, Entry, Key, Replacement, Revision, Storage, StorageError, Transaction, Write},
};
use quick_cache::{
    Weighter,
    sync::{Cache, DefaultLifecycle},
};
use tokio::sync::RwLock;

/// Shards of keys that share a generation: enough that commits seldom meet the readers of other keys.
const SHARDS: usize = 64;

/// What an entry costs beside its bytes: both allocations' headers, the cache's own slot, the revision.
const ENTRY_OVERHEAD: u64 = 128;

/// The size of a usual entry, from which the cache guesses how many it will hold.
const USUAL_ENTRY: usize = 1024;

/// A storage backend behind a cache of its sealed bytes.
pub(crate) struct CachedStorage {
    storage: Arc<dyn Storage>,
    cache: Cache<Box<[u8]>, Entry, InBytes, RandomState>,
    generations: [Mutex<u64>; SHARDS],
    hasher: RandomState,
    /// How often the whole store was replaced; held for reading over each commit.
    era: RwLock<Era>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    hits: Counter,
    misses: Counter,
    commits: Counter,
    conflicts: Counter,
    failures: Counter,
}

/// What a barrier's commits belong to: the time between two replacements of the whole store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Era(u64);

impl CachedStorage {
    /// `storage` behind a cache of at most `bytes`.
    pub(crate) fn new(storage: Arc<dyn Storage>, bytes: usize) -> Self {
        let hasher = RandomState::default();
        let lifecycle = DefaultLifecycle::default();
        let cache = Cache::with(bytes / USUAL_ENTRY, bytes as u64, InBytes, hasher.clone(), lifecycle);
        let generations = std::array::from_fn(|_| Mutex::new(0));
        let era = RwLock::new(Era(0));
        Self { storage, cache, generations, hasher, counters: Counters::default(), era }
    }

    /// The backend, for what must not or need not be cached.
    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The entry at `key`, from the cache if it is there.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Entry>, StorageError> {
        if let Some(entry) = self.cache.get(key) {
            self.counters.hits.count();
            return Ok(Some(entry));
        }
        self.counters.misses.count();
        let before = *self.generation(key).lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.storage.get(key).await?;
        if let Some(entry) = &found {
            self.insert(key, entry, before);
        }
        Ok(found)
    }

    /// The revision of the entry at `key`, if the cache has it.
    pub(crate) fn held(&self, key: &[u8]) -> Option<Revision> {
        let entry = self.cache.get(key)?;
        self.counters.hits.count();
        Some(entry.revision)
    }

    /// The era that begins or goes on now.
    pub(crate) async fn era(&self) -> Era {
        *self.era.read().await
    }

    /// Commits, and forgets what it replaced before it answers.
    pub(crate) async fn commit(self: &Arc<Self>, era: Era, transaction: Transaction) -> Result<Commit, StorageError> {
        let this = Arc::clone(self);
        let task = tokio::spawn(async move {
            let current = this.era.read().await;
            if *current != era {
                return Err(StorageError::Engine { doing: "committing", reason: REPLACED.to_owned() });
            }
            let keys: Vec<Key> = transaction.writes.iter().map(Write::key).cloned().collect();
            let outcome = this.storage.commit(transaction).await;
            let counted = match &outcome {
                Ok(Commit::Committed(revision)) => {
                    this.forget(&keys, *revision);
                    &this.counters.commits
                }
                Ok(Commit::Conflict(_)) => &this.counters.conflicts,
                Err(_) => {
                    // It may have been applied all the same, under a revision that nobody told.
                    this.forget(&keys, Revision(u64::MAX));
                    &this.counters.failures
                }
            };
            counted.count();
            outcome
        });
        task.await.unwrap_or_else(|error| {
            Err(StorageError::Engine { doing: "committing", reason: format!("the commit was cut short: {error}") })
        })
    }

    /// Puts `content` in the place of the whole store. With it a new era begins.
    pub(crate) async fn replace(self: &Arc<Self>, content: Replacement) -> Result<Revision, StorageError> {
        let this = Arc::clone(self);
        let task = tokio::spawn(async move {
            let mut era = this.era.write().await;
            let replaced = this.storage.replace(content).await;
            // Only this error says for sure that nothing has changed.
            if !matches!(replaced, Err(StorageError::Source(_))) {
                era.0 += 1;
                this.forget_all();
            }
            replaced
        });
        task.await.unwrap_or_else(|error| {
            Err(StorageError::Engine { doing: "replacing the store", reason: format!("it was cut short: {error}") })
        })
    }

    /// Forgets what a commit replaced: another node's, or one that storage shows but that is not answered yet.
    pub(crate) fn observe(&self, change: &Change) {
        if change.keys.is_empty() {
            self.forget_all();
        } else {
            self.forget(&change.keys, change.revision);
        }
    }

    /// What was counted so far.
    pub(crate) fn statistics(&self) -> BarrierStatistics {
        let counters = &self.counters;
        BarrierStatistics {
            commits: counters.commits.value(),
            conflicts: counters.conflicts.value(),
            failures: counters.failures.value(),
            cache_hits: counters.hits.value(),
            cache_misses: counters.misses.value(),
            cache_bytes: self.cache.weight(),
        }
    }

    /// How many bytes it holds.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.cache.weight()
    }

    fn insert(&self, key: &[u8], entry: &Entry, before: u64) {
        let generation = self.generation(key).lock().unwrap_or_else(PoisonError::into_inner);
        // Of two readers that race with a commit not yet answered, the one with the newer value wins.
        let newer = self.cache.peek(key).is_none_or(|cached| cached.revision < entry.revision);
        if *generation == before && newer {
            self.cache.insert(key.into(), entry.clone());
        }
    }

    fn forget(&self, keys: &[Key], revision: Revision) {
        for key in keys {
            let mut generation = self.generation(key).lock().unwrap_or_else(PoisonError::into_inner);
            *generation += 1;
            // An entry of this revision or a later one was read after the commit: it may stay.
            self.cache.remove_if(key.as_slice(), |cached| cached.revision < revision);
        }
    }

    /// Forgets everything. The generations first: what a reader on its way inserts after that is gone with the rest, or
    /// refused.
    fn forget_all(&self) {
        for generation in &self.generations {
            *generation.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
        self.cache.clear();
    }

    fn generation(&self, key: &[u8]) -> &Mutex<u64> {
        #[allow(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
        let hash = self.hasher.hash_one(key) as usize;
        &self.generations[hash % SHARDS]
    }
}

const REPLACED: &str = "the store has been replaced by a snapshot since; unseal it anew";

#[derive(Clone)]
struct InBytes;

impl Weighter<Box<[u8]>, Entry> for InBytes {
    fn weight(&self, key: &Box<[u8]>, entry: &Entry) -> u64 {
        (key.len() + entry.value.len()) as u64 + ENTRY_OVERHEAD
    }
}
