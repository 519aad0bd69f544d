//! The barrier: everything above it is plaintext, everything below it is sealed.
//!
//! `envelope` seals one record, `keyring` has the data keys, `purpose` all other keys, `cache` the sealed bytes that
//! are read often. A read that the cache serves costs one lookup and one pass of the cipher, from the cached bytes
//! into the buffer that is returned.

pub(crate) mod cache;
pub(crate) mod envelope;
pub(crate) mod keyring;
mod purpose;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use keyturn_core::{
    barrier::{Barrier, BarrierError, Batch, Changes, KeyRotation, KeyStatus, Mac, MacPurpose, Record},
    clock::{Clock, SignedDuration, Timestamp},
    metrics::BarrierStatistics,
    random::Random,
    secret::{Key256, SecretBytes},
    snapshot::SnapshotStream,
    storage::{BoxFuture, Change, Commit, Entry, Key, Revision, Transaction, Write},
};

use self::{
    cache::{CachedStorage, Era},
    envelope::Envelope,
    keyring::{Bounds, KEYRING_KEY, KeyKeeper, Keyring, NO_RANDOMNESS},
    purpose::PurposeKeys,
};
use crate::{
    hardening::Locked,
    seal::SEAL_KEY,
    snapshot::{RESTORED_KEY, SnapshotWriter},
};

/// How the barrier is to behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarrierOptions {
    /// The most bytes of sealed records to keep in memory; 0 keeps none.
    pub cache_bytes: usize,
    /// The most records to seal under one data key, at least 1 and at most [`MAX_TERM_ENCRYPTIONS`].
    pub max_term_encryptions: u64,
    /// The age at which the next write begins a new data key; at least [`MIN_TERM_AGE`].
    pub max_term_age: SignedDuration,
}

/// The highest bound on records under one data key.
pub const MAX_TERM_ENCRYPTIONS: u64 = keyturn_core::barrier::MAX_OPERATIONS;

/// The lowest bound on a data key's age: each write would begin a term otherwise.
pub const MIN_TERM_AGE: SignedDuration = SignedDuration::from_mins(1);

impl Default for BarrierOptions {
    /// 32 MiB, [`MAX_TERM_ENCRYPTIONS`] records, 365 days.
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            max_term_encryptions: MAX_TERM_ENCRYPTIONS,
            max_term_age: SignedDuration::from_hours(365 * 24),
        }
    }
}

impl BarrierOptions {
    fn bounds(&self) -> Bounds {
        let encryptions = self.max_term_encryptions.clamp(1, MAX_TERM_ENCRYPTIONS);
        Bounds { encryptions, age: self.max_term_age.max(MIN_TERM_AGE) }
    }
}

/// What initialisation writes beside the seal's own record: a first keyring under `root`.
pub(crate) fn found(root: &Key256, clock: &dyn Clock) -> Result<Write, BarrierError> {
    let keys = PurposeKeys::derive(root)?;
    let sealed = keyring::found(&keys, &Random::default(), clock.now())?;
    Ok(Write::Put(KEYRING_KEY.to_vec(), sealed))
}

/// The barrier over any storage. Dropping the last handle wipes its keys.
pub struct AeadBarrier {
    storage: Arc<CachedStorage>,
    era: Era,
    keys: Arc<Locked<PurposeKeys>>,
    keyring: KeyKeeper,
    rotation: ArcSwap<KeyRotation>,
    random: Random,
}

impl AeadBarrier {
    /// Opens the store whose root key this is. All barriers over one storage in a process share its cache, so that
    /// the commits of each are seen by all.
    pub(crate) async fn open(
        storage: Arc<CachedStorage>,
        root: &Key256,
        options: &BarrierOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BarrierError> {
        let keys = Arc::new(Locked::new(PurposeKeys::derive(root)?));
        let era = storage.era().await;
        let below = Arc::clone(storage.storage());
        let keyring = KeyKeeper::open(below, Arc::clone(&keys), options.bounds(), clock).await?;
        let rotation = ArcSwap::from_pointee(rotation_of(options.bounds()));
        Ok(Self { storage, era, keys, keyring, rotation, random: Random::default() })
    }

    /// Forgets what another node's commit has replaced. On a backend that several nodes write to, the change feed is
    /// passed here; this process's own commits need no such help.
    pub fn observe(&self, change: &Change) {
        self.storage.observe(change);
    }

    async fn open_record(&self, key: &[u8], entry: &Entry) -> Result<Record, BarrierError> {
        let envelope = Envelope::parse(&entry.value)?;
        let known = self.keyring.current();
        let plaintext = if let Some(cipher) = known.cipher(envelope.term) {
            envelope.open(cipher, key)?
        } else {
            let known = arc_swap::Guard::into_inner(known);
            self.keyring.reload(&known).await?;
            let renewed = self.keyring.current();
            envelope.open(renewed.cipher(envelope.term).ok_or(BarrierError::Forged)?, key)?
        };
        Ok(Record { revision: entry.revision, plaintext })
    }

    async fn read(&self, key: &[u8]) -> Result<Option<Record>, BarrierError> {
        if is_reserved(key) {
            return Ok(None);
        }
        match self.storage.get(key).await? {
            Some(entry) => self.open_record(key, &entry).await.map(Some),
            None => Ok(None),
        }
    }

    /// The entries of a scan without the barrier's own.
    async fn entries(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, BarrierError> {
        let mut found = self.storage.storage().scan(prefix, after, with_reserved(limit)).await?;
        found.retain(|(key, _)| !is_reserved(key));
        found.truncate(limit);
        Ok(found)
    }

    /// The keys of storage without the barrier's own.
    async fn list(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Key>, BarrierError> {
        let mut found = self.storage.storage().keys(prefix, after, with_reserved(limit)).await?;
        found.retain(|key| !is_reserved(key));
        found.truncate(limit);
        Ok(found)
    }

    async fn write(&self, batch: Batch) -> Result<Commit, BarrierError> {
        if batch.writes.iter().any(|(key, _)| is_reserved(key)) {
            return Err(BarrierError::Seal(
                "core/seal, core/keyring and core/restored are not records; they change by rekey, rotate and restore",
            ));
        }
        let puts = batch.writes.iter().filter(|(_, plaintext)| plaintext.is_some()).count() as u64;
        let keyring = self.keyring.permit(puts).await?;
        let writes = batch.writes.into_iter().map(|(key, plaintext)| self.seal_write(&keyring, key, plaintext));
        let transaction = Transaction { expect: batch.expect, writes: writes.collect::<Result<_, _>>()? };
        Ok(self.storage.commit(self.era, transaction).await?)
    }

    fn seal_write(&self, keyring: &Keyring, key: Key, plaintext: Option<SecretBytes>) -> Result<Write, BarrierError> {
        let Some(plaintext) = plaintext else { return Ok(Write::Delete(key)) };
        let (term, cipher) = keyring.newest();
        let nonce = self.random.bytes().map_err(|_| NO_RANDOMNESS)?;
        let sealed = envelope::seal(cipher, term, nonce, &key, plaintext.expose_secret())?;
        Ok(Write::Put(key, sealed))
    }
}

fn rotation_of(bounds: Bounds) -> KeyRotation {
    let interval = u64::try_from(bounds.age.as_secs()).unwrap_or(0);
    KeyRotation { enabled: true, max_operations: bounds.encryptions, interval }
}

/// The hard bound on records holds whatever is configured.
fn bounds_of(rotation: KeyRotation) -> Bounds {
    let KeyRotation { enabled, max_operations, interval } = rotation;
    let encryptions = if enabled { max_operations.clamp(1, MAX_TERM_ENCRYPTIONS) } else { MAX_TERM_ENCRYPTIONS };
    let age = match i64::try_from(interval) {
        Ok(seconds @ 1..) if enabled => SignedDuration::from_secs(seconds).max(MIN_TERM_AGE),
        _ => SignedDuration::MAX,
    };
    Bounds { encryptions, age }
}

/// Records of the seal and the keyring: below the barrier, so nobody above can read or write them.
const RESERVED: [&[u8]; 3] = [SEAL_KEY, KEYRING_KEY, RESTORED_KEY];

fn is_reserved(key: &[u8]) -> bool {
    RESERVED.contains(&key)
}

/// How many to ask storage for, so that `limit` are left without the reserved ones.
fn with_reserved(limit: usize) -> usize {
    limit.saturating_add(RESERVED.len())
}

impl Barrier for AeadBarrier {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Record>, BarrierError>> {
        Box::pin(self.read(key))
    }

    fn held(&self, key: &[u8]) -> Option<Revision> {
        if is_reserved(key) { None } else { self.storage.held(key) }
    }

    fn revision<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Revision>, BarrierError>> {
        Box::pin(async move {
            let found = if is_reserved(key) { None } else { self.storage.get(key).await? };
            Ok(found.map(|entry| entry.revision))
        })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Record)>, BarrierError>> {
        Box::pin(async move {
            let found = self.entries(prefix, after, limit).await?;
            let mut records = Vec::with_capacity(found.len());
            for (key, entry) in found {
                let record = self.open_record(&key, &entry).await?;
                records.push((key, record));
            }
            Ok(records)
        })
    }

    fn keys<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Key>, BarrierError>> {
        Box::pin(self.list(prefix, after, limit))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Commit, BarrierError>> {
        Box::pin(self.write(batch))
    }

    fn changes(&self) -> Changes {
        // A follower keeps no store open.
        let cached = Arc::downgrade(&self.storage);
        Changes::new(self.storage.storage().changes(), move |change| {
            if let Some(cached) = cached.upgrade() {
                cached.observe(change);
            }
        })
    }

    fn mac(&self, purpose: MacPurpose, parts: &[&[u8]]) -> Mac {
        self.keys.mac(purpose, parts)
    }

    fn seal_token(&self, plaintext: &[u8]) -> Result<Vec<u8>, BarrierError> {
        self.keys.seal_token(&self.random, plaintext)
    }

    fn open_token(&self, blob: &[u8]) -> Result<SecretBytes, BarrierError> {
        self.keys.open_token(blob)
    }

    fn key_status(&self) -> KeyStatus {
        self.keyring.current().status()
    }

    fn statistics(&self) -> BarrierStatistics {
        self.storage.statistics()
    }

    fn rotate(&self) -> BoxFuture<'_, Result<KeyStatus, BarrierError>> {
        Box::pin(self.keyring.rotate())
    }

    fn key_rotation(&self) -> KeyRotation {
        **self.rotation.load()
    }

    fn set_key_rotation(&self, rotation: KeyRotation) {
        self.keyring.set_bounds(bounds_of(rotation));
        self.rotation.store(Arc::new(rotation));
    }

    fn snapshot(&self, now: Timestamp) -> BoxFuture<'_, Result<Box<dyn SnapshotStream>, BarrierError>> {
        Box::pin(async move {
            let view = self.storage.storage().view().await?;
            let keys = Arc::clone(&self.keys);
            let mac = Box::new(move |digest: &[u8]| keys.mac(MacPurpose::Snapshot, &[digest]));
            Ok(Box::new(SnapshotWriter::begin(view, mac, now).await?) as Box<dyn SnapshotStream>)
        })
    }
}
