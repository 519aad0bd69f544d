//! The data keys, by term, and how many records each may still seal.
//!
//! One record, `core/keyring`, sealed under a key derived from the root key (term 0 in its envelope). Its plaintext,
//! all numbers big-endian, one block for each term from 1 on:
//!
//! ```text
//! ┌───────────┬─────────────────────────┬───────────────┬───────────┐
//! │ term, u32 │ begun, i64 Unix seconds │ reserved, u64 │ key, 32 B │ ...
//! └───────────┴─────────────────────────┴───────────────┴───────────┘
//! ```
//!
//! # Counting
//!
//! `reserved` is how many records may have been sealed under the key so far. A process reserves a step of
//! [`RESERVATION`] in the record *before* it seals the first of them, so a crash can only make the count too high,
//! and several nodes can share a term. When a term's bound is reached or it is too old, the next write begins a new
//! one. Old terms stay, to open what they sealed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::LessSafeKey;
use jiff::{SignedDuration, Timestamp};
use keyturn_core::{
    barrier::{BarrierError, KeyStatus},
    clock::Clock,
    random::Random,
    secret::SecretBytes,
    storage::{Commit, Expect, Revision, Storage, Transaction, Write},
};

use super::{
    envelope::{self, Envelope, KEYRING_TERM},
    purpose::PurposeKeys,
};
use crate::hardening::Locked;

/// Where the keyring is.
pub(crate) const KEYRING_KEY: &[u8] = b"core/keyring";

/// How many records are reserved at a time: one more commit in this many, and at most this many lost to a restart.
const RESERVATION: u64 = 1 << 16;

const BLOCK_LEN: usize = 4 + 8 + 8 + 32;

/// When a term ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Records sealed under one data key, at most.
    pub(super) encryptions: u64,
    /// Age of a data key, at most.
    pub(super) age: SignedDuration,
}

/// One data key. The bytes are kept beside the cipher's own form of them, to be written into the next keyring.
struct DataKey {
    bytes: [u8; 32],
    cipher: LessSafeKey,
}

#[derive(Clone)]
struct Term {
    number: u32,
    begun: Timestamp,
    reserved: u64,
    key: Arc<Locked<DataKey>>,
    /// What this process has left of its reservations.
    allowance: Arc<AtomicU64>,
}

impl Term {
    fn new(number: u32, begun: Timestamp, reserved: u64, bytes: [u8; 32]) -> Result<Self, BarrierError> {
        let key = Arc::new(Locked::new(DataKey { bytes, cipher: envelope::aead_key(&bytes)? }));
        Ok(Self { number, begun, reserved, key, allowance: Arc::default() })
    }

    fn take(&self, count: u64) -> bool {
        let left = |allowance: u64| allowance.checked_sub(count);
        self.allowance.fetch_update(Ordering::AcqRel, Ordering::Acquire, left).is_ok()
    }
}

/// All terms at one moment; never empty.
pub(super) struct Keyring {
    revision: Revision,
    older: Vec<Term>,
    newest: Term,
}

impl Keyring {
    fn first(random: &Random, now: Timestamp) -> Result<Self, BarrierError> {
        Ok(Self { revision: Revision(0), older: Vec::new(), newest: begin_term(1, 0, random, now)? })
    }

    /// The data key of a term.
    pub(super) fn cipher(&self, term: u32) -> Option<&LessSafeKey> {
        let mut terms = std::iter::once(&self.newest).chain(self.older.iter().rev());
        terms.find(|known| known.number == term).map(|known| &known.key.cipher)
    }

    /// The term for new records, and its data key.
    pub(super) fn newest(&self) -> (u32, &LessSafeKey) {
        (self.newest.number, &self.newest.key.cipher)
    }

    /// The newest term as `sys/key-status` shows it.
    pub(super) fn status(&self) -> KeyStatus {
        let Term { number, begun, reserved, .. } = self.newest;
        KeyStatus { term: number, install_time: begun, encryptions: reserved }
    }

    fn with_reservation(&self, count: u64) -> Self {
        let newest = Term { reserved: self.newest.reserved.saturating_add(count), ..self.newest.clone() };
        Self { revision: self.revision, older: self.older.clone(), newest }
    }

    fn with_new_term(&self, bounds: Bounds, random: &Random, now: Timestamp) -> Result<Self, BarrierError> {
        let number = self.newest.number.checked_add(1).ok_or(BarrierError::Seal("there are no more key terms"))?;
        let mut older = self.older.clone();
        older.push(self.newest.clone());
        let reserved = RESERVATION.min(bounds.encryptions);
        Ok(Self { revision: self.revision, older, newest: begin_term(number, reserved, random, now)? })
    }

    fn encode(&self) -> SecretBytes {
        // With its full size from the start, no copy of the keys stays behind in a buffer that grew.
        let mut plaintext = SecretBytes::new(Vec::with_capacity((self.older.len() + 1) * BLOCK_LEN));
        let out = plaintext.expose_secret_mut();
        for term in self.older.iter().chain([&self.newest]) {
            out.extend_from_slice(&term.number.to_be_bytes());
            out.extend_from_slice(&term.begun.as_second().to_be_bytes());
            out.extend_from_slice(&term.reserved.to_be_bytes());
            out.extend_from_slice(&term.key.bytes);
        }
        plaintext
    }

    /// Reads a keyring; terms that `known` has too keep what this process has reserved of them.
    fn decode(plaintext: &SecretBytes, revision: Revision, known: Option<&Self>) -> Result<Self, BarrierError> {
        let (blocks, rest) = plaintext.expose_secret().as_chunks::<BLOCK_LEN>();
        let mut older = blocks.iter().map(decode_term).collect::<Result<Vec<_>, _>>()?;
        let (Some(mut newest), []) = (older.pop(), rest) else { return Err(BarrierError::Forged) };
        if let Some(known) = known.filter(|known| known.newest.number == newest.number) {
            newest.allowance = Arc::clone(&known.newest.allowance);
        }
        Ok(Self { revision, older, newest })
    }
}

fn begin_term(number: u32, reserved: u64, random: &Random, now: Timestamp) -> Result<Term, BarrierError> {
    let key = random.key().map_err(|_| NO_RANDOMNESS)?;
    let term = Term::new(number, now, reserved, *key.expose_secret())?;
    term.allowance.store(reserved, Ordering::Release);
    Ok(term)
}

fn decode_term(block: &[u8; BLOCK_LEN]) -> Result<Term, BarrierError> {
    let read = || {
        let (number, rest) = block.split_first_chunk()?;
        let (begun, rest) = rest.split_first_chunk()?;
        let (reserved, rest) = rest.split_first_chunk()?;
        let begun = Timestamp::from_second(i64::from_be_bytes(*begun)).ok()?;
        Some((u32::from_be_bytes(*number), begun, u64::from_be_bytes(*reserved), rest.first_chunk()?))
    };
    let (number, begun, reserved, key) = read().ok_or(BarrierError::Forged)?;
    Term::new(number, begun, reserved, *key)
}

pub(super) const NO_RANDOMNESS: BarrierError = BarrierError::Seal("the operating system gave no randomness");

/// A first keyring, sealed: what initialisation writes to [`KEYRING_KEY`].
pub(super) fn found(keys: &PurposeKeys, random: &Random, now: Timestamp) -> Result<Arc<[u8]>, BarrierError> {
    seal(&Keyring::first(random, now)?, keys, random)
}

fn seal(keyring: &Keyring, keys: &PurposeKeys, random: &Random) -> Result<Arc<[u8]>, BarrierError> {
    let nonce = random.bytes().map_err(|_| NO_RANDOMNESS)?;
    envelope::seal(keys.keyring(), KEYRING_TERM, nonce, KEYRING_KEY, keyring.encode().expose_secret())
}

async fn load(storage: &dyn Storage, keys: &PurposeKeys, known: Option<&Keyring>) -> Result<Keyring, BarrierError> {
    let entry = storage.get(KEYRING_KEY).await?.ok_or(BarrierError::Forged)?;
    let envelope = Envelope::parse(&entry.value)?;
    let plaintext = envelope.open(keys.keyring(), KEYRING_KEY)?;
    Keyring::decode(&plaintext, entry.revision, known)
}

/// The keyring in use: the newest one known, and the one way to change it.
pub(super) struct KeyKeeper {
    storage: Arc<dyn Storage>,
    keys: Arc<Locked<PurposeKeys>>,
    bounds: ArcSwap<Bounds>,
    clock: Arc<dyn Clock>,
    random: Random,
    current: ArcSwap<Keyring>,
    /// Held while the record is changed, so that the writers of one process do not conflict with each other.
    changing: tokio::sync::Mutex<()>,
}

impl KeyKeeper {
    /// Opens the keyring in `storage`.
    pub(super) async fn open(
        storage: Arc<dyn Storage>,
        keys: Arc<Locked<PurposeKeys>>,
        bounds: Bounds,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BarrierError> {
        let current = ArcSwap::from_pointee(load(&*storage, &keys, None).await?);
        let random = Random::default();
        let bounds = ArcSwap::from_pointee(bounds);
        Ok(Self { storage, keys, bounds, clock, random, current, changing: tokio::sync::Mutex::default() })
    }

    /// The keyring as it is now.
    pub(super) fn current(&self) -> arc_swap::Guard<Arc<Keyring>> {
        self.current.load()
    }

    /// When terms end.
    pub(super) fn bounds(&self) -> Bounds {
        **self.bounds.load()
    }

    /// Sets when terms end, from the next write on.
    pub(super) fn set_bounds(&self, bounds: Bounds) {
        self.bounds.store(Arc::new(bounds));
    }

    /// A keyring whose newest term may seal `count` more records, which are counted from here on.
    pub(super) async fn permit(&self, count: u64) -> Result<Arc<Keyring>, BarrierError> {
        if count > self.bounds().encryptions {
            return Err(BarrierError::Seal("one batch has more records than one data key may seal"));
        }
        loop {
            let keyring = self.current.load_full();
            if !self.is_old(&keyring) && keyring.newest.take(count) {
                return Ok(keyring);
            }
            let _changing = self.changing.lock().await;
            // Whoever held the lock before may have done it already.
            if Arc::ptr_eq(&keyring, &self.current.load()) {
                self.extend(&keyring, count).await?;
            }
        }
    }

    /// Begins a new term.
    pub(super) async fn rotate(&self) -> Result<KeyStatus, BarrierError> {
        let _changing = self.changing.lock().await;
        loop {
            let next = self.current.load().with_new_term(self.bounds(), &self.random, self.clock.now())?;
            if self.replace(next).await? {
                return Ok(self.current.load().status());
            }
        }
    }

    /// Reads the keyring again, unless that has just been done: another node may have begun a term.
    pub(super) async fn reload(&self, seen: &Arc<Keyring>) -> Result<(), BarrierError> {
        let _changing = self.changing.lock().await;
        if Arc::ptr_eq(seen, &self.current.load()) { self.reread().await } else { Ok(()) }
    }

    fn is_old(&self, keyring: &Keyring) -> bool {
        self.clock.now().duration_since(keyring.newest.begun) >= self.bounds().age
    }

    /// Reserves more of the newest term, or begins another if it has ended.
    async fn extend(&self, keyring: &Arc<Keyring>, count: u64) -> Result<(), BarrierError> {
        let left = self.bounds().encryptions.saturating_sub(keyring.newest.reserved);
        if left < count || self.is_old(keyring) {
            let next = keyring.with_new_term(self.bounds(), &self.random, self.clock.now())?;
            if self.replace(next).await? {
                tracing::info!(term = self.current.load().newest.number, "a new data key is in use");
            }
            return Ok(());
        }
        let step = RESERVATION.max(count).min(left);
        if self.replace(keyring.with_reservation(step)).await? {
            self.current.load().newest.allowance.fetch_add(step, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Writes `next` over the keyring it was made from. If another node was faster, reads what that one wrote and
    /// answers `false`.
    async fn replace(&self, next: Keyring) -> Result<bool, BarrierError> {
        let sealed = seal(&next, &self.keys, &self.random)?;
        let transaction = Transaction {
            expect: vec![(KEYRING_KEY.to_vec(), Expect::Revision(next.revision))],
            writes: vec![Write::Put(KEYRING_KEY.to_vec(), sealed)],
        };
        match self.storage.commit(transaction).await? {
            Commit::Committed(revision) => {
                self.current.store(Arc::new(Keyring { revision, ..next }));
                Ok(true)
            }
            Commit::Conflict(_) => {
                self.reread().await?;
                Ok(false)
            }
        }
    }

    async fn reread(&self) -> Result<(), BarrierError> {
        let known = self.current.load_full();
        self.current.store(Arc::new(load(&*self.storage, &self.keys, Some(&known)).await?));
        Ok(())
    }
}
