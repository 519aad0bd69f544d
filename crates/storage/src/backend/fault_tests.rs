//! The embedded backend over a disk that fails when told to.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use keyturn_core::storage::{Commit, Storage, Transaction, Write};
use redb::{StorageBackend, backends::InMemoryBackend};

use super::{Embedded, medium::Medium};

/// A disk whose writes and syncs fail on demand.
#[derive(Debug)]
struct Disk {
    bytes: InMemoryBackend,
    full: AtomicBool,
    syncs_left: AtomicU32,
}

impl Disk {
    fn new() -> Arc<Self> {
        let bytes = InMemoryBackend::new();
        Arc::new(Self { bytes, full: AtomicBool::new(false), syncs_left: AtomicU32::new(u32::MAX) })
    }

    fn check_space(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.bytes.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.bytes.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_space()?;
        self.bytes.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let spent = self.syncs_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        spent.map(drop).map_err(|_| io::Error::other("the disk does not sync"))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_space()?;
        self.bytes.write(offset, data)
    }
}

async fn put(store: &Embedded, key: &[u8], value: &[u8]) -> Result<Commit, String> {
    let transaction = Transaction { expect: Vec::new(), writes: vec![Write::Put(key.to_vec(), value.into())] };
    store.commit(transaction).await.map_err(|error| error.to_string())
}

async fn get(store: &Embedded, key: &[u8]) -> Option<Vec<u8>> {
    store.get(key).await.expect("get").map(|entry| entry.value.to_vec())
}

#[tokio::test]
async fn a_full_disk_fails_the_commit_and_costs_nothing_else() {
    let disk = Disk::new();
    let store = Embedded::start(Medium::Shared(disk.clone()), 1 << 20).expect("open");
    assert!(matches!(put(&store, b"kept", b"1").await, Ok(Commit::Committed(_))));

    disk.full.store(true, Ordering::SeqCst);
    assert!(put(&store, b"lost", b"1").await.is_err());
    assert!(put(&store, b"lost", b"2").await.is_err());

    disk.full.store(false, Ordering::SeqCst);
    assert!(matches!(put(&store, b"after", b"1").await, Ok(Commit::Committed(_))));
    assert_eq!(get(&store, b"kept").await.as_deref(), Some(b"1".as_slice()));
    assert_eq!(get(&store, b"after").await.as_deref(), Some(b"1".as_slice()));
    assert_eq!(get(&store, b"lost").await, None);
}

#[tokio::test]
async fn a_commit_that_failed_late_is_whole_or_absent_and_followers_hear_of_it() {
    let mut seen = Vec::new();
    for syncs in 0.. {
        let disk = Disk::new();
        let store = Embedded::start(Medium::Shared(disk.clone()), 1 << 20).expect("open");
        assert!(matches!(put(&store, b"key", b"old").await, Ok(Commit::Committed(_))));
        let mut feed = store.changes();

        disk.syncs_left.store(syncs, Ordering::SeqCst);
        if put(&store, b"key", b"new").await.is_ok() {
            break;
        }
        disk.syncs_left.store(u32::MAX, Ordering::SeqCst);
        assert!(matches!(put(&store, b"other", b"1").await, Ok(Commit::Committed(_))));

        let mut told = Vec::new();
        while let Ok(change) = feed.try_recv() {
            told.extend(change.keys.iter().cloned());
        }
        let changed = get(&store, b"key").await.as_deref() == Some(b"new");
        assert_eq!(told.contains(&b"key".to_vec()), changed, "{syncs} syncs: told of {told:?}");
        seen.push(changed);
    }
    assert!(seen.contains(&false) && seen.contains(&true), "one fails before the commit, one after: {seen:?}");
}

#[tokio::test]
async fn a_replacement_that_a_disk_breaks_off_is_whole_or_absent_and_followers_hear_of_it() {
    let content = || {
        let items = (0..200_u32).map(|number| Ok((number.to_be_bytes().to_vec(), vec![7; 4000])));
        Box::new(items.collect::<Vec<_>>().into_iter())
    };
    let mut seen = Vec::new();
    for syncs in 0.. {
        let disk = Disk::new();
        let store = Embedded::start(Medium::Shared(disk.clone()), 1 << 20).expect("open");
        assert!(matches!(put(&store, b"old", b"1").await, Ok(Commit::Committed(_))));
        let mut feed = store.changes();
        disk.syncs_left.store(syncs, Ordering::SeqCst);
        let replaced = store.replace(content()).await.is_ok();
        disk.syncs_left.store(u32::MAX, Ordering::SeqCst);
        assert!(matches!(put(&store, b"other", b"1").await, Ok(Commit::Committed(_))));
        let changed = get(&store, b"old").await.is_none();
        let there = store.keys(b"\0", None, 1000).await.expect("keys").len();
        assert_eq!(there, if changed { 200 } else { 0 }, "{syncs} syncs: by half");
        let mut told = false;
        while let Ok(change) = feed.try_recv() {
            told |= change.keys.is_empty();
        }
        assert_eq!(told, changed, "{syncs} syncs");
        seen.push(changed);
        if replaced {
            break;
        }
    }
    assert!(seen.contains(&false) && seen.last() == Some(&true), "{seen:?}");
}

#[tokio::test]
async fn a_disk_that_is_full_refuses_a_replacement_and_keeps_the_store() {
    let disk = Disk::new();
    let store = Embedded::start(Medium::Shared(disk.clone()), 1 << 20).expect("open");
    assert!(matches!(put(&store, b"old", b"1").await, Ok(Commit::Committed(_))));
    disk.full.store(true, Ordering::SeqCst);
    let items: Vec<_> = (0..100_u32).map(|number| Ok((number.to_be_bytes().to_vec(), vec![7; 100_000]))).collect();
    assert!(store.replace(Box::new(items.into_iter())).await.is_err());
    disk.full.store(false, Ordering::SeqCst);
    assert!(matches!(put(&store, b"after", b"1").await, Ok(Commit::Committed(_))));
    assert_eq!(get(&store, b"old").await.as_deref(), Some(b"1".as_slice()));
}
