//! The engine below [`super::Embedded`]: redb, its tables, and what one batch does to them.
//!
//! # Why redb
//!
//! | engine | why, why not |
//! |---|---|
//! | **redb** | pure Rust; one file; copy-on-write B-trees with a checksum on every page, so a commit is atomic without a log to replay; readers never block; stable file format, maintained |
//! | fjall | log-structured: a directory of files, compaction threads and write amplification; built for ingest rates that a secrets store never sees |
//! | sled | no stable release in years, a rewrite under way, a format that is not promised to stay |
//! | persy | one file and pure Rust, but a small following and no ordered keys without an index above its records |
//! | heed (LMDB) | C below, a map size fixed in advance, and memory-mapped pages that a stray write can damage |
//!
//! # What is stored
//!
//! ```text
//! table "keyturn"   "format"   -> "keyturn store\0" ‖ format version, u32 LE
//!                   "revision" -> number of the newest commit, u64 LE
//! table "records"   key        -> number of the commit that wrote it, u64 LE ‖ sealed bytes
//! ```
//!
//! # Durability
//!
//! Every commit is [`Durability::Immediate`] and saves the allocator's state (`set_quick_repair`), which implies
//! redb's two-phase commit. It costs a second fsync, shared by the whole batch, and buys three things: a restart after
//! a kill reads no more than a clean start does (a store of a million records opens in about a millisecond), where the
//! default would walk and verify the whole file first; which of two commits is the newest never rests on a checksum
//! that is not cryptographic; and a store whose commit failed can be opened again in place, because the newest commit
//! that the header names was synced before it was named.

use std::{
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
};

use keyturn_core::storage::{Commit, Entry, Expect, Key, Replacement, Revision, StorageError, Transaction, Write};
use redb::{
    Database, DatabaseError, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition,
    TableHandle, WriteTransaction,
};

use super::medium::{Medium, Missing};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keyturn");
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

const FORMAT: &str = "format";
const MAGIC: &[u8] = b"keyturn store\0";
const FORMAT_VERSION: u32 = 1;
const REVISION: &str = "revision";
const REVISION_LEN: usize = 8;

/// An open store; one thread writes to it.
pub(super) struct Engine {
    database: Database,
    revision: u64,
}

impl Engine {
    /// Opens the store on `medium`, or makes it there.
    pub(super) fn open(medium: &Medium, cache_bytes: usize, missing: Missing) -> Result<Self, StorageError> {
        let opened = guarded("opening the store", || {
            let database = medium.open(cache_bytes, missing).map_err(|error| refused(medium, &error))?;
            let revision = identify(&database, medium, missing)?;
            Ok(Self { database, revision })
        });
        // A file that the engine cannot make sense of at all is damaged, whichever way that came to light.
        opened.map_err(|error| match error {
            StorageError::Engine { reason, .. } if reason == DAMAGED => unusable(medium, DAMAGED),
            other => other,
        })
    }

    /// The number of the newest commit.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The records as they are now, for any number of readers.
    pub(super) fn snapshot(&self) -> Result<Snapshot, StorageError> {
        let read = self.database.begin_read().map_err(failed("starting to read"))?;
        read.open_table(RECORDS).map(Snapshot).map_err(failed("starting to read"))
    }

    /// Applies each transaction whose preconditions hold, in order, each seeing the ones before it; one fsync for
    /// all. After an error nothing may be assumed of the engine: open the store again.
    pub(super) fn apply<'a>(
        &mut self,
        transactions: impl Iterator<Item = &'a Transaction>,
    ) -> Result<Vec<Commit>, StorageError> {
        guarded("committing", || {
            let mut write = self.database.begin_write().map_err(failed("starting to write"))?;
            write.set_durability(Durability::Immediate).map_err(failed("starting to write"))?;
            write.set_quick_repair(true);
            let mut revision = self.revision;
            let outcomes = apply_all(&write, transactions, &mut revision)?;
            if revision == self.revision {
                write.abort().map_err(failed("leaving a batch without writes"))?;
            } else {
                write_revision(&write, revision)?;
                write.commit().map_err(failed("committing"))?;
                self.revision = revision;
            }
            Ok(outcomes)
        })
    }
}

impl Engine {
    /// Puts `content` in the place of all records, as one commit. After [`StorageError::Source`] nothing has changed;
    /// after any other error nothing may be assumed of the engine.
    ///
    /// The engine writes pages of a commit under way to free space of the file as its cache fills, so the content need
    /// not fit into memory.
    pub(super) fn replace(&mut self, content: Replacement) -> Result<Revision, StorageError> {
        guarded("replacing the store", || {
            let mut write = self.database.begin_write().map_err(failed("starting to write"))?;
            write.set_durability(Durability::Immediate).map_err(failed("starting to write"))?;
            write.set_quick_repair(true);
            let revision = self.revision + 1;
            if let Err(error) = replace_all(&write, content, revision) {
                write.abort().map_err(failed("leaving a replacement"))?;
                return Err(error);
            }
            write_revision(&write, revision)?;
            write.commit().map_err(failed("committing"))?;
            self.revision = revision;
            Ok(Revision(revision))
        })
    }
}

fn replace_all(write: &WriteTransaction, content: Replacement, revision: u64) -> Result<(), StorageError> {
    write.delete_table(RECORDS).map_err(failed("removing the records"))?;
    let mut records = write.open_table(RECORDS).map_err(failed("opening the records"))?;
    for item in content {
        let (key, value) = item?;
        put(&mut records, &key, &value, revision)?;
    }
    Ok(())
}

fn apply_all<'a>(
    write: &WriteTransaction,
    transactions: impl Iterator<Item = &'a Transaction>,
    revision: &mut u64,
) -> Result<Vec<Commit>, StorageError> {
    let mut records = write.open_table(RECORDS).map_err(failed("opening the records"))?;
    transactions
        .map(|transaction| {
            if let Some(key) = conflict(&records, transaction)? {
                return Ok(Commit::Conflict(key));
            }
            if !transaction.writes.is_empty() {
                *revision += 1;
                apply_one(&mut records, transaction, *revision)?;
            }
            Ok(Commit::Committed(Revision(*revision)))
        })
        .collect()
}

fn conflict(
    records: &impl ReadableTable<&'static [u8], &'static [u8]>,
    transaction: &Transaction,
) -> Result<Option<Key>, StorageError> {
    for (key, expect) in &transaction.expect {
        let stored = records.get(key.as_slice()).map_err(failed("checking a precondition"))?;
        let found = stored.map(|stored| split(stored.value()).map(|(revision, _)| revision)).transpose()?;
        let expected = match expect {
            Expect::Absent => None,
            Expect::Revision(revision) => Some(*revision),
        };
        if found != expected {
            return Ok(Some(key.clone()));
        }
    }
    Ok(None)
}

fn apply_one(
    records: &mut Table<'_, &'static [u8], &'static [u8]>,
    transaction: &Transaction,
    revision: u64,
) -> Result<(), StorageError> {
    for write in &transaction.writes {
        match write {
            Write::Put(key, value) => put(records, key, value, revision)?,
            Write::Delete(key) => {
                records.remove(key.as_slice()).map_err(failed("removing a record"))?;
            }
        }
    }
    Ok(())
}

fn put(
    records: &mut Table<'_, &'static [u8], &'static [u8]>,
    key: &[u8],
    value: &[u8],
    revision: u64,
) -> Result<(), StorageError> {
    let mut slot = records.insert_reserve(key, REVISION_LEN + value.len()).map_err(failed("writing a record"))?;
    let (head, body) = slot.as_mut().split_at_mut(REVISION_LEN);
    head.copy_from_slice(&revision.to_le_bytes());
    body.copy_from_slice(value);
    Ok(())
}

fn write_revision(write: &WriteTransaction, revision: u64) -> Result<(), StorageError> {
    let mut meta = write.open_table(META).map_err(failed("writing the revision"))?;
    meta.insert(REVISION, revision.to_le_bytes().as_slice()).map_err(failed("writing the revision"))?;
    Ok(())
}

/// The records at one moment. It keeps the pages of that moment alive, so it is replaced after each commit.
pub(super) struct Snapshot(ReadOnlyTable<&'static [u8], &'static [u8]>);

impl Snapshot {
    /// The entry at `key`.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Entry>, StorageError> {
        guarded("reading a record", || {
            let stored = self.0.get_owned(key).map_err(failed("reading a record"))?;
            stored.map(|stored| entry(stored.value())).transpose()
        })
    }

    /// Up to `limit` entries with `prefix` after `after`, in key order.
    pub(super) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Key, Entry)>, StorageError> {
        self.collect("scanning records", prefix, after, limit, |key, stored| Ok((key.to_vec(), entry(stored)?)))
    }

    /// Up to `limit` keys with `prefix` after `after`, in order.
    ///
    /// The engine keeps a value in the leaf page of its key, so a page of one large value is still read; but one leaf
    /// at a time, into the bounded page cache, and nothing but the key is kept of it.
    pub(super) fn keys(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Key>, StorageError> {
        self.collect("listing keys", prefix, after, limit, |key, _| Ok(key.to_vec()))
    }

    /// What `keep` makes of each of up to `limit` records with `prefix` after `after`: its key and its stored bytes,
    /// both lent from the page they lie in.
    fn collect<T>(
        &self,
        doing: &'static str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        keep: impl Fn(&[u8], &[u8]) -> Result<T, StorageError>,
    ) -> Result<Vec<T>, StorageError> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        guarded(doing, || {
            let range = self.0.range_owned::<&[u8]>((from, Bound::Unbounded)).map_err(failed(doing))?;
            let mut found = Vec::new();
            for item in range.take(limit) {
                let (key, stored) = item.map_err(failed(doing))?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                found.push(keep(key.value(), stored.value())?);
            }
            Ok(found)
        })
    }
}

fn entry(stored: &[u8]) -> Result<Entry, StorageError> {
    let (revision, value) = split(stored)?;
    Ok(Entry { revision, value: value.into() })
}

fn split(stored: &[u8]) -> Result<(Revision, &[u8]), StorageError> {
    let (revision, value) = stored.split_first_chunk::<REVISION_LEN>().ok_or_else(|| StorageError::Engine {
        doing: "reading a record",
        reason: "it is shorter than its header; the store is damaged, restore it from a backup".to_owned(),
    })?;
    Ok((Revision(u64::from_le_bytes(*revision)), value))
}

/// Makes sure that the database is a Keyturn store of a format that this program reads, and returns its revision.
fn identify(database: &Database, medium: &Medium, missing: Missing) -> Result<u64, StorageError> {
    let read = database.begin_read().map_err(failed("opening the store"))?;
    let tables: Vec<_> = read.list_tables().map_err(failed("opening the store"))?.collect();
    if tables.is_empty() && missing == Missing::Create {
        return initialize(database);
    }
    if !tables.iter().any(|table| table.name() == META.name()) {
        return Err(unusable(medium, "it is a database of another program; name another path"));
    }
    let meta = read.open_table(META).map_err(|_| unusable(medium, DAMAGED))?;
    let field = |name| meta.get_owned(name).map_err(failed("opening the store"));
    let format = field(FORMAT)?.ok_or_else(|| unusable(medium, DAMAGED))?;
    check_format(format.value(), medium)?;
    read.open_table(RECORDS).map_err(|_| unusable(medium, DAMAGED))?;
    let revision = field(REVISION)?.and_then(|stored| stored.value().try_into().ok().map(u64::from_le_bytes));
    revision.ok_or_else(|| unusable(medium, DAMAGED))
}

fn check_format(format: &[u8], medium: &Medium) -> Result<(), StorageError> {
    let version = format.strip_prefix(MAGIC).and_then(|version| version.try_into().ok()).map(u32::from_le_bytes);
    match version {
        Some(FORMAT_VERSION) => Ok(()),
        Some(newer) => Err(unusable(
            medium,
            &format!("its format is {newer} and this version of keyturn reads {FORMAT_VERSION}; upgrade keyturn"),
        )),
        None => Err(unusable(medium, "it is a database of another program; name another path")),
    }
}

fn initialize(database: &Database) -> Result<u64, StorageError> {
    let doing = "making the store";
    let write = database.begin_write().map_err(failed(doing))?;
    {
        write.open_table(RECORDS).map_err(failed(doing))?;
        let mut meta = write.open_table(META).map_err(failed(doing))?;
        let format = [MAGIC, &FORMAT_VERSION.to_le_bytes()].concat();
        meta.insert(FORMAT, format.as_slice()).map_err(failed(doing))?;
    }
    write_revision(&write, 0)?;
    write.commit().map_err(failed(doing))?;
    Ok(0)
}

const DAMAGED: &str = "it is damaged; restore it from a backup";

fn unusable(medium: &Medium, reason: &str) -> StorageError {
    StorageError::Unusable { path: medium.place(), reason: reason.to_owned() }
}

/// Why the engine would not open the file, in words that say what to do.
fn refused(medium: &Medium, error: &DatabaseError) -> StorageError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StorageError::InUse { path: medium.place() }
        }
        DatabaseError::UpgradeRequired(version) => unusable(
            medium,
            &format!("its engine format is {version}, which this version of keyturn does not read; upgrade keyturn"),
        ),
        DatabaseError::Storage(redb::StorageError::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
            unusable(medium, "it is not a Keyturn store, or its beginning is damaged; name another path or restore it")
        }
        DatabaseError::Storage(redb::StorageError::Corrupted(_)) | DatabaseError::RepairAborted => {
            unusable(medium, DAMAGED)
        }
        other => StorageError::Engine { doing: "opening the store", reason: other.to_string() },
    }
}

fn failed<E: Into<redb::Error>>(doing: &'static str) -> impl Fn(E) -> StorageError {
    move |error| StorageError::Engine { doing, reason: error.into().to_string() }
}

/// Turns a panic of the engine into an error: it trusts what it reads, so a page damaged on disk can make it panic,
/// and that must cost one request, not the server.
fn guarded<T>(doing: &'static str, work: impl FnOnce() -> Result<T, StorageError>) -> Result<T, StorageError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(StorageError::Engine { doing, reason: DAMAGED.to_owned() }))
}
