//! Reading a snapshot: each record is checked as far as it can be alone, and at the end all of them together.

use std::io::{self, BufReader, Read};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{Context, SHA256},
};
use keyturn_core::{
    clock::Timestamp,
    seal::SealConfig,
    snapshot::{SnapshotError, SnapshotInfo},
    storage::{Key, MAX_KEY_LEN},
};

use super::{END, FORMAT, ID_LEN, MAGIC, RECORD, RESTORED_KEY, SUM_LEN, Sums};
use crate::{
    barrier::keyring::KEYRING_KEY,
    seal::{SEAL_KEY, config_of},
};

const BUFFER: usize = 1 << 18;

/// A snapshot that is being read.
pub struct SnapshotReader<R> {
    input: BufReader<R>,
    digest: Context,
    bytes: u64,
    records: u64,
    taken: Timestamp,
    store_id: [u8; ID_LEN],
    last: Key,
    seal: Option<SealConfig>,
    has_keyring: bool,
    sums: Option<Sums>,
}

impl<R: Read> SnapshotReader<R> {
    /// Reads the head of a snapshot.
    ///
    /// # Errors
    /// When it is none, or of a newer format.
    pub fn open(input: R) -> Result<Self, SnapshotError> {
        let mut reader = Self {
            input: BufReader::with_capacity(BUFFER, input),
            digest: Context::new(&SHA256),
            bytes: 0,
            records: 0,
            taken: Timestamp::UNIX_EPOCH,
            store_id: [0; ID_LEN],
            last: Key::new(),
            seal: None,
            has_keyring: false,
            sums: None,
        };
        if reader.summed::<{ MAGIC.len() }>().map_err(no_snapshot)? != *MAGIC {
            return Err(SnapshotError::NotOne);
        }
        let format = u32::from_be_bytes(reader.summed()?);
        if format != FORMAT {
            return Err(if format > FORMAT { SnapshotError::NewerFormat(format) } else { SnapshotError::NotOne });
        }
        let taken = i64::from_be_bytes(reader.summed()?);
        reader.taken = Timestamp::from_second(taken).map_err(|_| SnapshotError::Altered("its date is none"))?;
        reader.store_id = reader.summed()?;
        Ok(reader)
    }

    /// The next record; `None` at the end, when the snapshot has proved to be whole and unaltered.
    ///
    /// # Errors
    /// What is wrong with it, at this record or as a whole.
    pub fn next_record(&mut self) -> Result<Option<(Key, Vec<u8>)>, SnapshotError> {
        if self.sums.is_some() {
            return Ok(None);
        }
        match self.summed::<1>()? {
            [RECORD] => self.record().map(Some),
            [END] => self.check_end().map(|()| None),
            _ => Err(SnapshotError::Altered("a record has no beginning")),
        }
    }

    /// What the snapshot is. It must have been read to its end.
    pub(super) fn end(self) -> Result<(SnapshotInfo, Sums), SnapshotError> {
        let sums = self.sums.ok_or(SnapshotError::Truncated)?;
        let seal = self.seal.ok_or(SnapshotError::Altered("it has no seal"))?;
        let info = SnapshotInfo { format: FORMAT, taken: self.taken, seal, records: self.records, bytes: self.bytes };
        Ok((info, sums))
    }

    fn record(&mut self) -> Result<(Key, Vec<u8>), SnapshotError> {
        let key_length = usize::from(u16::from_be_bytes(self.summed()?));
        let value_length = u32::from_be_bytes(self.summed()?);
        if !(1..=MAX_KEY_LEN).contains(&key_length) {
            return Err(SnapshotError::Altered("a key has an impossible length"));
        }
        let key = self.part(key_length as u64)?;
        if key <= self.last {
            return Err(SnapshotError::Altered("its records are out of order"));
        }
        let value = self.part(u64::from(value_length))?;
        match key.as_slice() {
            SEAL_KEY => self.take_seal(&value)?,
            KEYRING_KEY => self.has_keyring = true,
            RESTORED_KEY => return Err(SnapshotError::Altered("it has a record that no snapshot has")),
            _ => {}
        }
        self.last.clone_from(&key);
        self.records += 1;
        Ok((key, value))
    }

    fn take_seal(&mut self, record: &[u8]) -> Result<(), SnapshotError> {
        let seal = config_of(record).ok_or(SnapshotError::Altered("its seal is damaged"))?;
        if seal.store_id.as_bytes() != self.store_id {
            return Err(SnapshotError::Altered("its head and its seal name two stores"));
        }
        self.seal = Some(seal);
        Ok(())
    }

    fn check_end(&mut self) -> Result<(), SnapshotError> {
        let records = u64::from_be_bytes(self.summed()?);
        let digest = self.digest.clone().finish();
        let stored: [u8; SUM_LEN] = self.plain()?;
        let mac: [u8; SUM_LEN] = self.plain()?;
        if verify_slices_are_equal(digest.as_ref(), &stored).is_err() {
            return Err(SnapshotError::Altered("its checksum does not fit"));
        }
        if records != self.records {
            return Err(SnapshotError::Altered("records are missing"));
        }
        if self.seal.is_none() || !self.has_keyring {
            return Err(SnapshotError::Altered("it has no seal or no keyring"));
        }
        if self.input.read(&mut [0]).map_err(failed)? != 0 {
            return Err(SnapshotError::Altered("something follows its end"));
        }
        self.sums = Some(Sums { digest: stored, mac });
        Ok(())
    }

    /// Bytes that the checksum covers.
    fn summed<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let bytes = self.plain()?;
        self.digest.update(&bytes);
        Ok(bytes)
    }

    fn plain<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(failed)?;
        self.bytes += N as u64;
        Ok(bytes)
    }

    /// Bytes that the checksum covers, as many as the snapshot says. Nothing is allocated on its word alone.
    fn part(&mut self, length: u64) -> Result<Vec<u8>, SnapshotError> {
        let mut bytes = Vec::new();
        (&mut self.input).take(length).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 != length {
            return Err(SnapshotError::Truncated);
        }
        self.digest.update(&bytes);
        self.bytes += length;
        Ok(bytes)
    }
}

/// What is too short for its first words is no snapshot at all.
fn no_snapshot(error: SnapshotError) -> SnapshotError {
    if matches!(error, SnapshotError::Truncated) { SnapshotError::NotOne } else { error }
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn failed(error: io::Error) -> SnapshotError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => SnapshotError::Truncated,
        _ => SnapshotError::Read(error.to_string()),
    }
}
