//! Taking a snapshot: the sealed records of one view of the store, some at a time.

use aws_lc_rs::digest::{Context, SHA256};
use keyturn_core::{
    barrier::{BarrierError, Mac},
    clock::Timestamp,
    snapshot::SnapshotStream,
    storage::{BoxFuture, Key, View},
};

use super::{END, FORMAT, MAGIC, RECORD, RESTORED_KEY, SUM_LEN};
use crate::seal::{SEAL_KEY, store_id};

/// How many records are in memory at a time. A record has a little over 1 MiB at most.
const PAGE: usize = 16;

/// The key of the last sum, kept until it is needed.
type Signer = Box<dyn Fn(&[u8]) -> Mac + Send>;

/// What comes next.
enum Part {
    Head { taken: Timestamp, store_id: String },
    Records { after: Option<Key> },
    End,
    Nothing,
}

/// A snapshot under way. Its view lives as long as it does.
pub(crate) struct SnapshotWriter {
    view: Box<dyn View>,
    sign: Signer,
    digest: Context,
    records: u64,
    part: Part,
}

impl SnapshotWriter {
    /// Begins a snapshot of what `view` shows; `sign` makes the keyed sum at its end.
    pub(crate) async fn begin(view: Box<dyn View>, sign: Signer, taken: Timestamp) -> Result<Self, BarrierError> {
        let found = view.scan(SEAL_KEY, None, 1).await?;
        let seal = found.first().filter(|(key, _)| key == SEAL_KEY).ok_or(BarrierError::Forged)?;
        let store_id = store_id(&seal.1.value).ok_or(BarrierError::Forged)?;
        let part = Part::Head { taken, store_id };
        Ok(Self { view, sign, digest: Context::new(&SHA256), records: 0, part })
    }

    async fn advance(&mut self) -> Result<Option<Vec<u8>>, BarrierError> {
        let part = std::mem::replace(&mut self.part, Part::Nothing);
        let bytes = match part {
            Part::Head { taken, store_id } => {
                self.part = Part::Records { after: None };
                let (format, taken) = (FORMAT.to_be_bytes(), taken.as_second().to_be_bytes());
                [MAGIC.as_slice(), &format, &taken, store_id.as_bytes()].concat()
            }
            Part::Records { after } => self.page(after).await?,
            Part::End => return Ok(Some(self.end())),
            Part::Nothing => return Ok(None),
        };
        self.digest.update(&bytes);
        Ok(Some(bytes))
    }

    async fn page(&mut self, after: Option<Key>) -> Result<Vec<u8>, BarrierError> {
        const TOO_LARGE: BarrierError = BarrierError::Seal("a stored record is larger than a snapshot can hold");
        let found = self.view.scan(b"", after.as_deref(), PAGE).await?;
        let size: usize = found.iter().map(|(key, entry)| 7 + key.len() + entry.value.len()).sum();
        let mut bytes = Vec::with_capacity(size);
        for (key, entry) in &found {
            // The sums of the snapshot that this store came from say nothing about this one.
            if key == RESTORED_KEY {
                continue;
            }
            let key_length = u16::try_from(key.len()).map_err(|_| TOO_LARGE)?;
            let value_length = u32::try_from(entry.value.len()).map_err(|_| TOO_LARGE)?;
            bytes.push(RECORD);
            bytes.extend_from_slice(&key_length.to_be_bytes());
            bytes.extend_from_slice(&value_length.to_be_bytes());
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(&entry.value);
            self.records += 1;
        }
        self.part = match found.into_iter().next_back() {
            Some((last, _)) => Part::Records { after: Some(last) },
            None => Part::End,
        };
        Ok(bytes)
    }

    fn end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + 8 + 2 * SUM_LEN);
        bytes.push(END);
        bytes.extend_from_slice(&self.records.to_be_bytes());
        self.digest.update(&bytes);
        let digest = self.digest.clone().finish();
        bytes.extend_from_slice(digest.as_ref());
        bytes.extend_from_slice(&(self.sign)(digest.as_ref()));
        bytes
    }
}

impl SnapshotStream for SnapshotWriter {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, BarrierError>> {
        Box::pin(async move {
            loop {
                match self.advance().await? {
                    // The page after the last record is empty.
                    Some(bytes) if bytes.is_empty() => {}
                    other => return Ok(other),
                }
            }
        })
    }
}
