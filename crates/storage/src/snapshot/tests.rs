//! Snapshots of stores in memory: taken, altered in every way, restored.

use std::{io::Cursor, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use keyturn_core::{
    barrier::{Barrier, Batch},
    clock::{SystemClock, Timestamp},
    seal::{Initialized, Seal, SealError},
    secret::SecretBytes,
    snapshot::{SnapshotError, SnapshotFile},
    storage::{Commit, Entry, Key, Storage, StorageError},
};

use super::{RESTORED_KEY, examine, restore};
use crate::{backend::Embedded, barrier::BarrierOptions, seal::ShamirSeal};

struct Store {
    storage: Arc<dyn Storage>,
    seal: ShamirSeal,
    made: Initialized,
}

fn seal_of(storage: &Arc<dyn Storage>) -> ShamirSeal {
    ShamirSeal::new(Arc::clone(storage), BarrierOptions::default(), Arc::new(SystemClock))
}

fn memory() -> Arc<dyn Storage> {
    Arc::new(Embedded::in_memory().expect("open"))
}

impl Store {
    async fn new() -> Self {
        let storage = memory();
        let seal = seal_of(&storage);
        let made = seal.initialize(1, 1).await.expect("initialize");
        Self { storage, seal, made }
    }

    async fn with_records(count: u32) -> Self {
        let store = Self::new().await;
        for number in 0..count {
            store.put(&format!("k/{number}"), &number.to_be_bytes()).await;
        }
        store
    }

    async fn put(&self, key: &str, value: &[u8]) {
        put(&*self.made.barrier, key, value).await;
    }

    async fn snapshot(&self) -> Vec<u8> {
        let mut stream = self.made.barrier.snapshot(Timestamp::UNIX_EPOCH).await.expect("begin");
        let mut bytes = Vec::new();
        while let Some(part) = stream.next().await.expect("next") {
            bytes.extend(part);
        }
        bytes
    }
}

async fn put(barrier: &dyn Barrier, key: &str, value: &[u8]) {
    let batch = Batch::new().put(key.as_bytes(), SecretBytes::new(value.to_vec()));
    assert!(matches!(barrier.commit(batch).await, Ok(Commit::Committed(_))));
}

fn file(bytes: &[u8]) -> SnapshotFile {
    Box::new(Cursor::new(bytes.to_vec()))
}

async fn all(storage: &dyn Storage) -> Vec<(Key, Entry)> {
    storage.scan(b"", None, usize::MAX).await.expect("scan")
}

fn refusal(bytes: &[u8]) -> SnapshotError {
    examine(file(bytes), None).map(|_| ()).expect_err("it must be refused")
}

#[tokio::test]
async fn a_restored_store_is_the_one_that_was_copied() {
    let store = Store::with_records(50).await;
    let bytes = store.snapshot().await;
    let (info, again) = examine(file(&bytes), Some(&*store.made.barrier)).expect("whole");
    assert_eq!((info.seal, info.bytes, info.records), (store.made.config.clone(), bytes.len() as u64, 52));

    let empty = memory();
    restore(&*empty, again).await.expect("restore");
    let opened = seal_of(&empty).open(&store.made.shares).await.expect("open");
    for number in 0..50_u32 {
        let record = opened.get(format!("k/{number}").as_bytes()).await.expect("get").expect("there");
        assert_eq!(record.plaintext.expose_secret(), number.to_be_bytes());
    }
    let plain =
        |entries: Vec<(Key, Entry)>| -> Vec<_> { entries.into_iter().map(|(key, entry)| (key, entry.value)).collect() };
    assert_eq!(plain(all(&*empty).await), plain(all(&*store.storage).await), "the sums are gone after the unsealing");
    // The restored store goes on: it writes, and it is copied in its turn.
    put(&*opened, "k/new", b"1").await;
    assert_eq!(seal_of(&empty).config().await.expect("config"), Some(store.made.config));
}

#[tokio::test]
async fn any_change_and_any_cut_is_refused_and_changes_nothing() {
    let store = Store::with_records(3).await;
    let bytes = store.snapshot().await;
    let target = memory();
    put(&*seal_of(&target).initialize(1, 1).await.expect("initialize").barrier, "mine", b"1").await;
    let before = all(&*target).await;
    let macs = bytes.len() - 32;
    for position in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[position] ^= 1;
        // What is wrong with the keyed sum alone shows only to those who have the key.
        let found = examine(file(&altered), (position >= macs).then_some(&*store.made.barrier));
        assert!(found.is_err(), "byte {position}");
        assert!(examine(file(&bytes[..position]), None).is_err(), "cut to {position} bytes");
    }
    for position in (0..macs).step_by(7) {
        let mut altered = bytes.clone();
        altered[position] ^= 1;
        assert!(restore(&*target, file(&altered)).await.is_err(), "byte {position}");
        assert!(restore(&*target, file(&bytes[..position])).await.is_err(), "cut to {position} bytes");
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    assert!(matches!(refusal(&longer), SnapshotError::Altered(_)));
    assert!(restore(&*target, file(&longer)).await.is_err());
    assert_eq!(all(&*target).await, before);
}

#[tokio::test]
async fn what_is_no_snapshot_or_a_newer_one_is_called_that() {
    let bytes = Store::new().await.snapshot().await;
    assert!(matches!(refusal(b""), SnapshotError::NotOne));
    assert!(matches!(refusal(&[0; 100]), SnapshotError::NotOne));
    assert!(matches!(refusal(&bytes[..40]), SnapshotError::Truncated));
    let mut newer = bytes;
    newer[20] = 2;
    assert!(matches!(refusal(&newer), SnapshotError::NewerFormat(2)));
}

/// A snapshot whose records somebody changed, with a checksum that fits again. The keyed sum they cannot make.
fn made_up(bytes: &[u8], key: &[u8]) -> Vec<u8> {
    let summed = bytes.len() - 64;
    let mut forged = bytes.to_vec();
    let at = forged.windows(key.len()).position(|window| window == key).expect("the key");
    forged[at + key.len() - 1] ^= 0x40;
    let sum = digest(&SHA256, &forged[..summed]);
    forged[summed..summed + 32].copy_from_slice(sum.as_ref());
    forged
}

#[tokio::test]
async fn a_made_up_snapshot_is_found_by_whoever_has_the_key() {
    let store = Store::with_records(3).await;
    let forged = made_up(&store.snapshot().await, b"k/2");
    assert!(examine(file(&forged), None).is_ok(), "without a key it looks whole");
    let found = examine(file(&forged), Some(&*store.made.barrier));
    assert!(matches!(found, Err(SnapshotError::Foreign(_))));

    // Restored by somebody without the key, it is found by the first one who brings it.
    let empty = memory();
    restore(&*empty, file(&forged)).await.expect("nobody can tell");
    assert!(empty.get(RESTORED_KEY).await.expect("get").is_some());
    let opened = seal_of(&empty).open(&store.made.shares).await;
    assert!(matches!(opened, Err(SealError::Unusable(text)) if text.contains("altered after it was taken")));
}

#[tokio::test]
async fn a_snapshot_of_another_store_is_foreign() {
    let (ours, theirs) = (Store::new().await, Store::new().await);
    let bytes = theirs.snapshot().await;
    let found = ours.seal.examine(file(&bytes), Some(Arc::clone(&ours.made.barrier))).await;
    assert!(matches!(found, Err(SnapshotError::Foreign(_))));
    assert!(ours.seal.examine(file(&bytes), None).await.is_ok());
}

#[tokio::test]
async fn after_a_replacement_barriers_from_before_write_nothing_more() {
    let store = Store::with_records(2).await;
    let bytes = store.snapshot().await;
    store.put("k/later", b"1").await;
    assert!(store.made.barrier.get(b"k/later").await.expect("get").is_some(), "and with that it is in the cache");
    assert_eq!(store.seal.restore(file(&bytes)).await.expect("restore"), store.made.config);
    assert!(store.made.barrier.get(b"k/later").await.expect("get").is_none(), "not even from the cache");
    let stale = store.made.barrier.commit(Batch::new().put(b"k/x", SecretBytes::new(vec![1]))).await;
    assert!(stale.is_err_and(|error| error.to_string().contains("unseal it anew")));
    let opened = store.seal.open(&store.made.shares).await.expect("open");
    put(&*opened, "k/x", b"1").await;
    let broken = store.seal.restore(file(&bytes[..bytes.len() - 1])).await;
    assert!(matches!(broken, Err(SnapshotError::Barrier(_))));
    put(&*opened, "k/y", b"a replacement that breaks off ends nothing").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_of_one_moment_while_writers_go_on() {
    let store = Store::with_records(100).await;
    let barrier = Arc::clone(&store.made.barrier);
    let pair = |number: u32| {
        let value = SecretBytes::new(number.to_be_bytes().to_vec());
        Batch::new().put(b"a/left", value.clone()).put(b"z/right", value)
    };
    assert!(barrier.commit(pair(0)).await.is_ok());
    let writer = tokio::spawn(async move {
        for number in 1..300 {
            assert!(matches!(barrier.commit(pair(number)).await, Ok(Commit::Committed(_))));
        }
    });
    for _ in 0..10 {
        let bytes = store.snapshot().await;
        let empty = memory();
        restore(&*empty, file(&bytes)).await.expect("restore");
        let opened = seal_of(&empty).open(&store.made.shares).await.expect("open");
        let side = async |key: &[u8]| opened.get(key).await.expect("get").expect("there").plaintext;
        assert_eq!(side(b"a/left").await.expose_secret(), side(b"z/right").await.expose_secret());
    }
    writer.await.expect("writer");
}

#[tokio::test]
async fn a_source_that_fails_is_no_reason_to_distrust_the_engine() {
    let store = Store::new().await;
    let failing = std::iter::once(Err(StorageError::Source("gone".to_owned())));
    assert!(matches!(store.storage.replace(Box::new(failing)).await, Err(StorageError::Source(_))));
    store.put("k", b"1").await;
}
