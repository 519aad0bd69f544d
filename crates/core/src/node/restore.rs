//! Restoring a snapshot while the server runs: the open store is left, its content replaced, and what is there then is
//! sealed.

use std::sync::Arc;

use super::{Node, Phase, Sealed};
use crate::{
    barrier::BarrierError,
    ceremony::Ceremonies,
    door::Permit,
    seal::SealKind,
    snapshot::{SnapshotError, SnapshotFile, SnapshotInfo},
    storage::StorageError,
};

impl Node {
    /// Puts a snapshot in the place of the whole store, which must be the one that took it unless `force` is set. The
    /// store is sealed afterwards, as the snapshot's was; a static seal opens it at once.
    ///
    /// # Errors
    /// When the snapshot cannot be used, or the store fails. A snapshot that is refused changes nothing.
    pub async fn restore(
        &self,
        permit: Permit,
        snapshot: SnapshotFile,
        force: bool,
    ) -> Result<SnapshotInfo, SnapshotError> {
        permit.spend();
        let mut ceremonies = self.changing.lock().await;
        let (config, core) = self.opened().map_err(|_| SnapshotError::Sealed)?;
        let origin = (!force).then(|| Arc::clone(core.barrier()));
        let (info, snapshot) = self.seal.examine(snapshot, origin).await?;
        if !force && info.seal.store_id != config.store_id {
            return Err(SnapshotError::Foreign("it names another store"));
        }
        let (found, configured) = (info.seal.kind, self.seal.kind());
        if found != configured {
            return Err(SnapshotError::OtherSeal { found: found.name(), configured: configured.name() });
        }
        *ceremonies = Ceremonies::default();
        self.leave();
        match self.seal.restore(snapshot).await {
            Ok(config) => {
                tracing::warn!(records = info.records, taken = %info.taken, "the store was replaced by a snapshot");
                self.set(Phase::Sealed(Sealed::new(config.clone())));
                if config.kind == SealKind::Static
                    && let Err(error) = self.open(config, &[]).await
                {
                    tracing::error!(%error, "the restored store could not be opened");
                }
                Ok(info)
            }
            // Only a snapshot that broke off says for sure that nothing has changed; after any other failure the store
            // stays sealed, and unsealing finds out what became of it.
            Err(error) => {
                if matches!(error, SnapshotError::Barrier(BarrierError::Storage(StorageError::Source(_)))) {
                    self.set(Phase::Unsealed { config, core });
                }
                Err(error)
            }
        }
    }
}
