//! Copies of a whole store, sealed as they are stored: nothing in them opens without the store's seal.
//!
//! ```text
//! ┌─────────────────────────┬─────────────┬─────────────────────────┬────────────────┐
//! │ "keyturn snapshot\0" 17B │ format, u32 │ taken, i64 Unix seconds │ store id, 36 B │
//! ├──────┬──────────────────┼─────────────┴──────┬─────┬────────────┴────────────────┤
//! │ 0x01 │ key length, u16  │ value length, u32  │ key │ value                       │  each record, by its key
//! ├──────┼──────────────────┼────────────────────┴─────┼─────────────────────────────┤
//! │ 0x00 │ records, u64     │ SHA-256 of all before    │ HMAC-SHA256 of the SHA-256  │  32 B each
//! └──────┴──────────────────┴──────────────────────────┴─────────────────────────────┘
//! numbers big-endian.   HMAC: under the store's key for snapshots, see `barrier/purpose.rs`
//! ```
//!
//! The SHA-256 finds damage and a missing end without any key. The HMAC finds what somebody made up: a server that is
//! open checks it before it restores. A store that is restored while nobody has its keys keeps both in the record
//! `core/restored` (SHA-256 ‖ HMAC); the first unsealing checks them, and removes the record or refuses the store.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    io::{Seek, SeekFrom},
    sync::Arc,
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use keyturn_core::{
    barrier::{Barrier, MacPurpose},
    seal::SealError,
    snapshot::{SnapshotError, SnapshotFile, SnapshotInfo},
    storage::{Commit, Expect, Key, Storage, StorageError, Transaction, Write},
};

pub use reader::SnapshotReader;
pub(crate) use writer::SnapshotWriter;

const MAGIC: &[u8; 17] = b"keyturn snapshot\0";
const FORMAT: u32 = 1;
const ID_LEN: usize = 36;
const SUM_LEN: usize = 32;
const RECORD: u8 = 1;
const END: u8 = 0;

/// Where a restored store keeps the snapshot's sums until it is unsealed.
pub(crate) const RESTORED_KEY: &[u8] = b"core/restored";

/// Both sums of a snapshot.
#[derive(Clone, Copy)]
struct Sums {
    digest: [u8; SUM_LEN],
    mac: [u8; SUM_LEN],
}

impl Sums {
    fn are_of(&self, barrier: &dyn Barrier) -> bool {
        verify_slices_are_equal(&barrier.mac(MacPurpose::Snapshot, &[&self.digest]), &self.mac).is_ok()
    }
}

/// Reads a snapshot to its end and says what it is; with an `origin`, that open store must have taken it. The file is at
/// its beginning again. Blocks.
///
/// # Errors
/// [`SnapshotError`], with what is wrong with it.
pub fn examine(
    mut file: SnapshotFile,
    origin: Option<&dyn Barrier>,
) -> Result<(SnapshotInfo, SnapshotFile), SnapshotError> {
    let mut reader = SnapshotReader::open(&mut file)?;
    while reader.next_record()?.is_some() {}
    let (info, sums) = reader.end()?;
    if origin.is_some_and(|origin| !sums.are_of(origin)) {
        return Err(SnapshotError::Foreign("its keyed checksum is not of this store's key"));
    }
    file.seek(SeekFrom::Start(0)).map_err(|error| SnapshotError::Read(error.to_string()))?;
    Ok((info, file))
}

/// Puts the snapshot in the place of everything in `storage`, in one commit. It is checked on the way; whatever is wrong
/// with it leaves the storage as it was.
///
/// # Errors
/// When the snapshot cannot be used, or the storage fails.
pub async fn restore(storage: &dyn Storage, file: SnapshotFile) -> Result<(), SnapshotError> {
    storage.replace(content(file)?).await?;
    Ok(())
}

/// What [`Storage::replace`] is to put into the store.
pub(crate) fn content(file: SnapshotFile) -> Result<keyturn_core::storage::Replacement, SnapshotError> {
    Ok(Box::new(Content { reader: Some(SnapshotReader::open(file)?) }))
}

/// The records of a snapshot, then its sums; an error if it turns out to be wrong before its end.
struct Content {
    /// Gone after the last item.
    reader: Option<SnapshotReader<SnapshotFile>>,
}

impl Iterator for Content {
    type Item = Result<(Key, Vec<u8>), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.reader.as_mut()?.next_record();
        let item = match next {
            Ok(Some(record)) => return Some(Ok(record)),
            Ok(None) => {
                self.reader.take()?.end().map(|(_, sums)| (RESTORED_KEY.to_vec(), [sums.digest, sums.mac].concat()))
            }
            Err(error) => Err(error),
        };
        self.reader = None;
        Some(item.map_err(|error| StorageError::Source(error.to_string())))
    }
}

/// Checks, now that the keys are there, that a store was restored from a snapshot which one of its own servers took.
pub(crate) async fn settle(storage: &Arc<dyn Storage>, barrier: &dyn Barrier) -> Result<(), SealError> {
    let Some(entry) = storage.get(RESTORED_KEY).await? else { return Ok(()) };
    let sums = entry.value.split_first_chunk::<SUM_LEN>().and_then(|(digest, mac)| {
        let mac = mac.try_into().ok()?;
        Some(Sums { digest: *digest, mac })
    });
    if !sums.is_some_and(|sums| sums.are_of(barrier)) {
        return Err(SealError::Unusable(
            "the snapshot that this store was restored from was altered after it was taken; restore another".to_owned(),
        ));
    }
    let transaction = Transaction {
        expect: vec![(RESTORED_KEY.to_vec(), Expect::Revision(entry.revision))],
        writes: vec![Write::Delete(RESTORED_KEY.to_vec())],
    };
    match storage.commit(transaction).await? {
        // Another node that was unsealed at the same time has found the same.
        Commit::Committed(_) | Commit::Conflict(_) => Ok(()),
    }
}
