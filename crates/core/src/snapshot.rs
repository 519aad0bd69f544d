//! Copies of a whole store, sealed as they are stored. The format is drawn in `keyturn-storage`.

use std::io::{Read, Seek};

use crate::{
    barrier::BarrierError,
    clock::Timestamp,
    core::Core,
    door::Permit,
    seal::SealConfig,
    storage::{BoxFuture, StorageError},
};

/// A snapshot as it is taken: one moment of the store, part by part.
pub trait SnapshotStream: Send {
    /// The next bytes; `None` after the last. A snapshot without its end is refused when it is restored.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, BarrierError>>;
}

/// Where a snapshot is read from, twice: once to examine it, once to restore it.
pub trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// A snapshot that lies somewhere whole.
pub type SnapshotFile = Box<dyn ReadSeek>;

/// What a snapshot says of itself, all of it covered by its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The format's version.
    pub format: u32,
    /// When it was taken.
    pub taken: Timestamp,
    /// How the store that it restores will be sealed, and which store that is.
    pub seal: SealConfig,
    /// How many records it holds.
    pub records: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A snapshot that cannot be taken or restored.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is something else.
    #[error("this is not a Keyturn snapshot")]
    NotOne,
    /// It is newer than this program.
    #[error("the snapshot has format {0}, which this version of keyturn does not read; upgrade keyturn")]
    NewerFormat(u32),
    /// Its end is missing.
    #[error("the snapshot is cut off: its end is missing; copy it again, or take another")]
    Truncated,
    /// It does not fit its own checksum, or contradicts itself.
    #[error("the snapshot was altered or damaged ({0}); copy it again, or take another")]
    Altered(&'static str),
    /// Another store made it, or somebody made it up.
    #[error("the snapshot was not taken by this store ({0}); to restore it all the same, force it")]
    Foreign(&'static str),
    /// The store in it is guarded otherwise than this server expects.
    #[error(
        "the snapshot's store is guarded by a {found} seal, but the configuration names a {configured} seal; configure \
         the former and restore it while the server is stopped"
    )]
    OtherSeal {
        /// The snapshot's.
        found: &'static str,
        /// The server's.
        configured: &'static str,
    },
    /// It could not be read.
    #[error("the snapshot could not be read: {0}")]
    Read(String),
    /// The store is sealed, or there is none: nobody could say who may do this.
    #[error("the store is sealed")]
    Sealed,
    /// The store failed.
    #[error(transparent)]
    Barrier(#[from] BarrierError),
}

impl From<StorageError> for SnapshotError {
    fn from(error: StorageError) -> Self {
        Self::Barrier(BarrierError::Storage(error))
    }
}

impl Core {
    /// Takes a snapshot of the store as it is now. It holds up no request, however slowly it is read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn snapshot(&self, permit: Permit) -> Result<Box<dyn SnapshotStream>, SnapshotError> {
        permit.spend();
        // Access dates wait in memory for the next round of upkeep; whoever restores this wants them too.
        if let Err(error) = self.kv().flush_accesses().await {
            tracing::warn!(%error, "access dates could not be written down before a snapshot");
        }
        Ok(self.barrier().snapshot(self.now()).await?)
    }
}
