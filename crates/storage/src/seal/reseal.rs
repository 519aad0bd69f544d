//! The root key under another key encryption key: what a rekey and a migration have in common. One record changes, in
//! one commit.

use keyturn_core::{
    random::Random,
    seal::{Reseal, SealError, SealKind},
    secret::Key256,
    snapshot::{SnapshotError, SnapshotFile, SnapshotInfo},
    storage::{Commit, Expect, Storage, Transaction, Write},
};

use super::{SEAL_KEY, SealConfig, SealRecord, SealedStore, Stored};
use crate::snapshot;

/// How the root key will be guarded.
pub(super) struct Target {
    pub(super) kind: SealKind,
    pub(super) shares: u8,
    pub(super) threshold: u8,
}

impl Target {
    /// A key that the server finds by itself.
    pub(super) const STATIC: Self = Self { kind: SealKind::Static, shares: 1, threshold: 1 };

    /// Shares.
    pub(super) fn shares(shares: u8, threshold: u8) -> Self {
        Self { kind: SealKind::Shamir, shares, threshold }
    }
}

/// Wraps `root` under `kek`, to be put in the place of `stored`.
pub(super) fn prepare(
    stored: &Stored,
    target: &Target,
    kek: &Key256,
    root: &Key256,
    random: &Random,
) -> Result<Reseal, SealError> {
    let Target { kind, shares, threshold } = *target;
    let record = stored.record.rewrap(kind, shares, threshold, kek, root, random)?;
    Ok(Reseal { config: record.config(), record: record.encode().into(), replaces: stored.revision })
}

/// Whether `kek` opens what `reseal` wraps.
pub(super) fn opens(reseal: &Reseal, kek: &Key256) -> Result<bool, SealError> {
    Ok(SealRecord::decode(&reseal.record)?.unwrap(kek)?.is_some())
}

/// Puts `reseal` in force.
pub(super) async fn put_in_force(storage: &dyn Storage, reseal: &Reseal) -> Result<(), SealError> {
    let transaction = Transaction {
        expect: vec![(SEAL_KEY.to_vec(), Expect::Revision(reseal.replaces))],
        writes: vec![Write::Put(SEAL_KEY.to_vec(), reseal.record.clone())],
    };
    match storage.commit(transaction).await {
        Ok(Commit::Committed(_)) => Ok(()),
        Ok(Commit::Conflict(_)) => Err(SealError::Superseded),
        // It may have been applied all the same, and then the old shares are void: whoever holds the new ones must know.
        Err(error) => match storage.get(SEAL_KEY).await {
            Ok(Some(entry)) if entry.value == reseal.record => Ok(()),
            _ => Err(error.into()),
        },
    }
}

impl SealedStore {
    pub(super) async fn replace(&self, reseal: &Reseal) -> Result<(), SealError> {
        put_in_force(&**self.storage.storage(), reseal).await
    }

    pub(super) async fn examine(
        &self,
        file: SnapshotFile,
        origin: Option<std::sync::Arc<dyn keyturn_core::barrier::Barrier>>,
    ) -> Result<(SnapshotInfo, SnapshotFile), SnapshotError> {
        let examined = tokio::task::spawn_blocking(move || snapshot::examine(file, origin.as_deref()));
        examined.await.unwrap_or_else(|error| Err(SnapshotError::Read(error.to_string())))
    }

    pub(super) async fn restore(&self, file: SnapshotFile) -> Result<SealConfig, SnapshotError> {
        self.storage.replace(snapshot::content(file)?).await?;
        let config = super::load(&**self.storage.storage()).await.map_err(|_| SnapshotError::Altered("its seal"))?;
        config.map(|stored| stored.record.config()).ok_or(SnapshotError::Altered("it has no seal"))
    }
}
