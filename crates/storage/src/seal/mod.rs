//! The seal: what guards the root key while the server is down.
//!
//! A random root key is made once, at initialisation; all other keys come from it. It is stored wrapped by a key
//! encryption key (KEK) that the store does not hold: [`ShamirSeal`] splits the KEK among people, [`StaticSeal`] takes
//! it from a file or the environment. Because shares and key files guard only the KEK, they can be replaced without
//! sealing a single record anew.
//!
//! One record, `core/seal`, readable by anyone, alterable by no one:
//!
//! ```text
//! ┌────────────────────┬────────────┬──────────┬────────────┬───────────────┬────────────────┐
//! │ "keyturn-seal" 12B │ format, u8 │ kind, u8 │ shares, u8 │ threshold, u8 │ store id, 36 B │  the clear part
//! ├─────────────┬──────┴────────────┴─┬────────┴────┬───────┴───────────────┴────────────────┘
//! │ nonce, 12 B │ wrapped root, 32 B  │ tag, 16 B   │  AES-256-GCM; associated data: the clear part
//! ├─────────────┴─────────────────────┴─────────────┤
//! │ SHA-256 of all of the above, 32 B               │  tells damage from a wrong key; guards nothing
//! └─────────────────────────────────────────────────┘
//! kind: 1 Shamir, 2 static.   wrapping key: HKDF-SHA256 of the KEK, label "keyturn/v1/seal"
//! ```

mod migration;
mod record;
mod reseal;
mod shamir;
mod static_key;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use keyturn_core::{
    barrier::{Barrier, BarrierError},
    clock::Clock,
    random::Random,
    seal::{SealConfig, SealError, SealKind},
    secret::Key256,
    storage::{Commit, Expect, Revision, Storage, Transaction, Write},
};

use self::record::SealRecord;
pub use self::{
    migration::{Authority, Migration},
    shamir::ShamirSeal,
    static_key::{KekSource, StaticSeal, create_key_file},
};
use crate::{
    barrier::{self, AeadBarrier, BarrierOptions, cache::CachedStorage, keyring::KEYRING_KEY},
    snapshot,
};

/// Where the seal's record is.
pub(crate) const SEAL_KEY: &[u8] = b"core/seal";

/// What both seals do, once they have a KEK.
struct SealedStore {
    kind: SealKind,
    // One cache for all barriers that are opened over the life of the process: it holds sealed bytes alone, and a
    // barrier that is on its way out still tells the next one of its commits.
    storage: Arc<CachedStorage>,
    options: BarrierOptions,
    clock: Arc<dyn Clock>,
    random: Random,
}

impl SealedStore {
    fn new(kind: SealKind, storage: Arc<dyn Storage>, options: BarrierOptions, clock: Arc<dyn Clock>) -> Self {
        let storage = Arc::new(CachedStorage::new(storage, options.cache_bytes));
        Self { kind, storage, options, clock, random: Random::default() }
    }

    fn storage_kind(&self) -> &'static str {
        self.storage.storage().kind()
    }

    async fn config(&self) -> Result<Option<SealConfig>, SealError> {
        Ok(self.load().await?.map(|stored| stored.record.config()))
    }

    /// The seal's record, if the store is initialised; refuses one that this kind of seal cannot take over.
    async fn load(&self) -> Result<Option<Stored>, SealError> {
        let stored = load(&**self.storage.storage()).await?;
        if let Some(Stored { record, .. }) = &stored
            && (record.kind, self.kind) == (SealKind::Static, SealKind::Shamir)
        {
            return Err(SealError::Unusable(format!(
                "the store is guarded by a {} seal, but the configuration names a {} seal; configure the former, or stop \
                 the server and run `keyturn operator migrate-seal`",
                record.kind.name(),
                self.kind.name()
            )));
        }
        Ok(stored)
    }

    async fn load_initialized(&self) -> Result<Stored, SealError> {
        self.load().await?.ok_or(SealError::NotInitialized)
    }

    /// Makes a root key, wraps it under `kek`, and opens the store. Of two at the same time, one wins.
    async fn initialize(
        &self,
        kek: &Key256,
        shares: u8,
        threshold: u8,
    ) -> Result<(SealConfig, Arc<dyn Barrier>), SealError> {
        if self.load().await?.is_some() {
            return Err(SealError::AlreadyInitialized);
        }
        let root = self.random.key().map_err(|_| no_randomness())?;
        let id = self.random.uuid().map_err(|_| no_randomness())?.to_string();
        let record = SealRecord::wrap(self.kind, shares, threshold, &id, kek, &root, &self.random)?;
        let transaction = Transaction {
            expect: [SEAL_KEY, KEYRING_KEY].map(|key| (key.to_vec(), Expect::Absent)).to_vec(),
            writes: vec![Write::Put(SEAL_KEY.to_vec(), record.encode().into()), barrier::found(&root, &*self.clock)?],
        };
        match self.storage.commit(self.storage.era().await, transaction).await? {
            Commit::Committed(_) => Ok((record.config(), self.open_barrier(&root).await?)),
            Commit::Conflict(_) => Err(SealError::AlreadyInitialized),
        }
    }

    /// Unwraps the root key with `kek` and opens the store; `hint` says what to do if the KEK is another's.
    async fn open(&self, record: &SealRecord, kek: &Key256, hint: &'static str) -> Result<Arc<dyn Barrier>, SealError> {
        let root = record.unwrap(kek)?.ok_or(SealError::WrongKey(hint))?;
        self.open_barrier(&root).await
    }

    async fn open_barrier(&self, root: &Key256) -> Result<Arc<dyn Barrier>, SealError> {
        let storage = Arc::clone(&self.storage);
        match AeadBarrier::open(storage, root, &self.options, Arc::clone(&self.clock)).await {
            Ok(barrier) => {
                snapshot::settle(self.storage.storage(), &barrier).await?;
                Ok(Arc::new(barrier))
            }
            Err(BarrierError::Forged) => Err(SealError::Unusable(
                "the store's keyring (core/keyring) is damaged or of another store; restore a whole backup".to_owned(),
            )),
            Err(other) => Err(other.into()),
        }
    }
}

/// A seal's record as it is stored.
struct Stored {
    record: SealRecord,
    revision: Revision,
}

async fn load(storage: &dyn Storage) -> Result<Option<Stored>, SealError> {
    // In this order: what is in the store is there because the seal's record came first, or with it.
    let empty = storage.keys(b"", None, 1).await?.is_empty();
    let Some(entry) = storage.get(SEAL_KEY).await? else {
        return if empty { Ok(None) } else { Err(SealError::Unusable(HEADLESS.to_owned())) };
    };
    Ok(Some(Stored { record: SealRecord::decode(&entry.value)?, revision: entry.revision }))
}

/// What a seal's record says in the clear, if it is one and whole.
pub(crate) fn config_of(record: &[u8]) -> Option<SealConfig> {
    SealRecord::decode(record).ok().map(|record| record.config())
}

/// Which store a seal's record is of.
pub(crate) fn store_id(record: &[u8]) -> Option<String> {
    config_of(record).map(|config| config.store_id)
}

const HEADLESS: &str = "the store holds records but no seal (core/seal): it is damaged or was restored in part, or it \
     is not a Keyturn store; restore a whole backup";

fn no_randomness() -> SealError {
    BarrierError::Seal("the operating system gave no randomness").into()
}
