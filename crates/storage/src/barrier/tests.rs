//! The barrier over a store in memory, and its cache over storage doubles that pause where a race would bite.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use keyturn_core::{
    barrier::{Barrier, BarrierError, Batch, KeyRotation},
    clock::{Clock, ManualClock, SignedDuration, Timestamp},
    secret::{Key256, SecretBytes},
    storage::{
        BoxFuture, Change, ChangeFeed, Commit, Entry, Key, Replacement, Revision, Storage, StorageError, Transaction,
        View, Write,
    },
};
use tokio::sync::Semaphore;

use super::{AeadBarrier, BarrierOptions, cache::CachedStorage, envelope::Envelope, found, keyring::KEYRING_KEY};
use crate::backend::Embedded;

struct Bench {
    storage: Arc<dyn Storage>,
    clock: Arc<ManualClock>,
    options: BarrierOptions,
}

impl Bench {
    async fn new(options: BarrierOptions) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let storage: Arc<dyn Storage> = Arc::new(Embedded::in_memory().expect("open"));
        let founding = found(&root(), &*clock).expect("found");
        apply(&*storage, vec![founding]).await;
        Self { storage, clock, options }
    }

    /// A barrier as another process would open it: with a cache and reservations of its own.
    async fn open(&self) -> AeadBarrier {
        let cached = Arc::new(CachedStorage::new(Arc::clone(&self.storage), self.options.cache_bytes));
        let clock: Arc<dyn Clock> = self.clock.clone();
        AeadBarrier::open(cached, &root(), &self.options, clock).await.expect("open")
    }

    async fn term_of(&self, key: &[u8]) -> u32 {
        let entry = self.storage.get(key).await.expect("get").expect("there");
        Envelope::parse(&entry.value).expect("parse").term
    }
}

fn root() -> Key256 {
    Key256::new([42; 32])
}

async fn apply(storage: &dyn Storage, writes: Vec<Write>) {
    let outcome = storage.commit(Transaction { expect: Vec::new(), writes }).await;
    assert!(matches!(outcome, Ok(Commit::Committed(_))));
}

async fn put(barrier: &AeadBarrier, key: &[u8], value: &[u8]) {
    let batch = Batch::new().put(key, SecretBytes::new(value.to_vec()));
    assert!(matches!(barrier.commit(batch).await, Ok(Commit::Committed(_))));
}

async fn get(barrier: &AeadBarrier, key: &[u8]) -> Option<Vec<u8>> {
    barrier.get(key).await.expect("get").map(|record| record.plaintext.expose_secret().to_vec())
}

#[tokio::test]
async fn records_come_back_by_get_and_scan_and_lie_sealed() {
    let bench = Bench::new(BarrierOptions::default()).await;
    let barrier = bench.open().await;
    let batch = Batch::new()
        .put(b"s/a", SecretBytes::new(b"alpha-plaintext".to_vec()))
        .put(b"s/b", SecretBytes::new(Vec::new()))
        .expect(b"s/a", None);
    assert!(matches!(barrier.commit(batch).await, Ok(Commit::Committed(_))));

    assert_eq!(get(&barrier, b"s/a").await.as_deref(), Some(b"alpha-plaintext".as_slice()));
    let found = barrier.scan(b"s/", None, 10).await.expect("scan");
    let found: Vec<_> = found.iter().map(|(key, record)| (key.as_slice(), record.plaintext.expose_secret())).collect();
    assert_eq!(found, [(b"s/a".as_slice(), b"alpha-plaintext".as_slice()), (b"s/b", b"")]);
    assert_eq!(barrier.keys(b"s/", Some(b"s/a"), 10).await.expect("keys"), [b"s/b"]);

    let batch = Batch::new().put(b"s/a", SecretBytes::default()).expect(b"s/a", None);
    assert_eq!(barrier.commit(batch).await.expect("commit"), Commit::Conflict(b"s/a".to_vec()));

    for (_, entry) in bench.storage.scan(b"", None, usize::MAX).await.expect("scan") {
        assert!(!entry.value.windows(9).any(|window| window == b"plaintext"));
    }
}

#[tokio::test]
async fn a_record_moved_to_another_key_is_forged() {
    let bench = Bench::new(BarrierOptions::default()).await;
    let barrier = bench.open().await;
    put(&barrier, b"mine", b"1").await;
    let stolen = bench.storage.get(b"mine").await.expect("get").expect("there").value;
    apply(&*bench.storage, vec![Write::Put(b"ours".to_vec(), stolen)]).await;
    assert!(matches!(barrier.get(b"ours").await, Err(BarrierError::Forged)));
    assert!(matches!(barrier.scan(b"o", None, 9).await, Err(BarrierError::Forged)));
}

/// What `envelope` says honestly: a place is bound, a time is not.
#[tokio::test]
async fn an_older_record_put_back_in_its_own_place_opens() {
    let bench = Bench::new(BarrierOptions::default()).await;
    let barrier = bench.open().await;
    put(&barrier, b"k", b"old").await;
    let old = bench.storage.get(b"k").await.expect("get").expect("there").value;
    put(&barrier, b"k", b"new").await;
    apply(&*bench.storage, vec![Write::Put(b"k".to_vec(), old)]).await;
    assert_eq!(get(&bench.open().await, b"k").await.as_deref(), Some(b"old".as_slice()));
}

#[tokio::test]
async fn after_a_rotation_new_records_have_the_new_term_and_old_ones_open_even_after_a_restart() {
    let bench = Bench::new(BarrierOptions::default()).await;
    let barrier = bench.open().await;
    put(&barrier, b"first", b"1").await;
    assert_eq!(barrier.rotate().await.expect("rotate").term, 2);
    put(&barrier, b"second", b"2").await;
    assert_eq!((bench.term_of(b"first").await, bench.term_of(b"second").await), (1, 2));

    let restarted = bench.open().await;
    assert_eq!(restarted.key_status().term, 2);
    assert_eq!(get(&restarted, b"first").await.as_deref(), Some(b"1".as_slice()));
    assert_eq!(get(&restarted, b"second").await.as_deref(), Some(b"2".as_slice()));
}

#[tokio::test]
async fn rotation_may_be_set_while_the_barrier_is_open() {
    let bench = Bench::new(BarrierOptions { max_term_encryptions: 10, ..BarrierOptions::default() }).await;
    let barrier = bench.open().await;
    let day = 24 * 60 * 60;
    assert_eq!(barrier.key_rotation(), KeyRotation { enabled: true, max_operations: 10, interval: 365 * day });
    let term_after = async |days: u64, writes: u8| {
        bench.clock.advance(SignedDuration::from_secs(i64::try_from(days * day).expect("few")));
        for number in 0..writes {
            put(&barrier, &[number], b"x").await;
        }
        barrier.key_status().term
    };
    assert_eq!(term_after(0, 10).await, 1);
    barrier.set_key_rotation(KeyRotation { enabled: true, max_operations: 1000, interval: day });
    assert_eq!((term_after(0, 50).await, term_after(1, 1).await, term_after(1, 1).await), (1, 2, 3));
    barrier.set_key_rotation(KeyRotation { enabled: true, max_operations: 1000, interval: 0 });
    assert_eq!(term_after(1000, 1).await, 3, "no bound on its age");
    barrier.set_key_rotation(KeyRotation { enabled: false, max_operations: 1, interval: 1 });
    assert_eq!(term_after(1000, 50).await, 3);
    barrier.set_key_rotation(KeyRotation { enabled: true, max_operations: u64::MAX, interval: 0 });
    assert_eq!(
        super::bounds_of(barrier.key_rotation()).encryptions,
        super::MAX_TERM_ENCRYPTIONS,
        "the hard bound holds"
    );
}

#[tokio::test]
async fn no_term_seals_more_than_its_bound_whatever_the_restarts() {
    let bench = Bench::new(BarrierOptions { max_term_encryptions: 10, ..BarrierOptions::default() }).await;
    let mut sealed = std::collections::BTreeMap::<u32, u32>::new();
    for round in 0..4_u8 {
        let barrier = bench.open().await;
        for number in 0..7_u8 {
            let key = [round, number];
            put(&barrier, &key, b"x").await;
            *sealed.entry(bench.term_of(&key).await).or_default() += 1;
        }
        assert!(barrier.key_status().encryptions <= 10);
    }
    assert!(sealed.len() >= 3 && sealed.values().all(|count| *count <= 10), "{sealed:?}");
    let batch = (0..11_u8).fold(Batch::new(), |batch, number| batch.put([number], SecretBytes::default()));
    assert!(matches!(bench.open().await.commit(batch).await, Err(BarrierError::Seal(_))));
}

#[tokio::test]
async fn what_is_sealed_has_been_counted_in_storage_before() {
    let bench = Bench::new(BarrierOptions::default()).await;
    let barrier = bench.open().await;
    assert_eq!(barrier.key_status().encryptions, 0);
    put(&barrier, b"k", b"1").await;
    let counted = bench.open().await.key_status().encryptions;
    assert!(counted >= 1, "a crash now would forget an encryption");
    assert_eq!(barrier.key_status().encryptions, counted);
}

#[tokio::test]
async fn a_data_key_that_is_too_old_is_replaced_by_the_next_write() {
    let age = SignedDuration::from_hours(24);
    let bench = Bench::new(BarrierOptions { max_term_age: age, ..BarrierOptions::default() }).await;
    let barrier = bench.open().await;
    put(&barrier, b"a", b"1").await;
    bench.clock.advance(age - SignedDuration::from_secs(1));
    put(&barrier, b"b", b"1").await;
    assert_eq!(barrier.key_status().term, 1);
    bench.clock.advance(SignedDuration::from_secs(1));
    put(&barrier, b"c", b"1").await;
    assert_eq!((barrier.key_status().term, bench.term_of(b"c").await), (2, 2));
    assert_eq!(barrier.key_status().install_time, bench.clock.now());
}

#[tokio::test]
async fn two_nodes_share_the_keyring() {
    let bench = Bench::new(BarrierOptions::default()).await;
    let (one, two) = (bench.open().await, bench.open().await);
    assert_eq!(one.rotate().await.expect("rotate").term, 2);
    put(&one, b"k", b"1").await;
    assert_eq!(get(&two, b"k").await.as_deref(), Some(b"1".as_slice()), "the other node reads the new term");
    assert_eq!(one.rotate().await.expect("rotate").term, 3);
    assert_eq!(two.rotate().await.expect("rotate").term, 4, "no term is begun twice");
}

#[tokio::test]
async fn the_keyring_is_out_of_reach() {
    let bench = Bench::new(BarrierOptions::default()).await;
    let barrier = bench.open().await;
    put(&barrier, b"core/a", b"1").await;
    put(&barrier, b"core/z", b"1").await;
    assert_eq!(barrier.keys(b"core/", None, 2).await.expect("keys"), [b"core/a", b"core/z"]);
    assert!(barrier.get(KEYRING_KEY).await.expect("get").is_none());
    for batch in [Batch::new().delete(KEYRING_KEY), Batch::new().put(KEYRING_KEY, SecretBytes::default())] {
        assert!(matches!(barrier.commit(batch).await, Err(BarrierError::Seal(_))));
    }
}

#[tokio::test]
async fn a_keyring_under_another_root_does_not_open() {
    let bench = Bench::new(BarrierOptions::default()).await;
    let cached = Arc::new(CachedStorage::new(Arc::clone(&bench.storage), 0));
    let opened = AeadBarrier::open(cached, &Key256::new([1; 32]), &bench.options, bench.clock.clone()).await;
    assert!(matches!(opened, Err(BarrierError::Forged)));
}

/// A storage that counts its reads of values and, when told, holds each read's answer, and each commit's, back.
struct Paused {
    inner: Embedded,
    reads: AtomicU32,
    reached: Semaphore,
    go_on: Semaphore,
    commit_reached: Semaphore,
    commit_go_on: Semaphore,
}

impl Paused {
    fn new() -> Arc<Self> {
        let open = || Semaphore::new(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            inner: Embedded::in_memory().expect("open"),
            reads: AtomicU32::new(0),
            reached: Semaphore::new(0),
            go_on: open(),
            commit_reached: Semaphore::new(0),
            commit_go_on: open(),
        })
    }

    async fn pass(reached: &Semaphore, go_on: &Semaphore) {
        reached.add_permits(1);
        go_on.acquire().await.expect("open").forget();
    }
}

impl Storage for Paused {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Entry>, StorageError>> {
        Box::pin(async move {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let found = self.inner.get(key).await;
            Self::pass(&self.reached, &self.go_on).await;
            found
        })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Entry)>, StorageError>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.scan(prefix, after, limit)
    }

    fn keys<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Key>, StorageError>> {
        self.inner.keys(prefix, after, limit)
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, StorageError>> {
        Box::pin(async move {
            let outcome = self.inner.commit(transaction).await;
            Self::pass(&self.commit_reached, &self.commit_go_on).await;
            outcome
        })
    }

    fn view(&self) -> BoxFuture<'_, Result<Box<dyn View>, StorageError>> {
        self.inner.view()
    }

    fn replace(&self, content: Replacement) -> BoxFuture<'_, Result<Revision, StorageError>> {
        self.inner.replace(content)
    }

    fn changes(&self) -> ChangeFeed {
        self.inner.changes()
    }

    fn kind(&self) -> &'static str {
        "paused"
    }
}

fn write(value: &[u8]) -> Transaction {
    Transaction { expect: Vec::new(), writes: vec![Write::Put(b"k".to_vec(), value.into())] }
}

async fn cached_value(cached: &CachedStorage) -> Vec<u8> {
    cached.get(b"k").await.expect("get").expect("there").value.to_vec()
}

#[tokio::test]
async fn a_reader_that_a_commit_overtakes_leaves_nothing_stale_behind() {
    let storage = Paused::new();
    let cached = Arc::new(CachedStorage::new(storage.clone(), 1 << 20));
    assert!(cached.commit(cached.era().await, write(b"old")).await.is_ok());

    storage.go_on.forget_permits(Semaphore::MAX_PERMITS);
    let slow = tokio::spawn({
        let cached = Arc::clone(&cached);
        async move { cached_value(&cached).await }
    });
    storage.reached.acquire().await.expect("open").forget();
    assert!(cached.commit(cached.era().await, write(b"new")).await.is_ok());
    storage.go_on.add_permits(1000);

    assert_eq!(slow.await.expect("reader"), b"old", "it asked before the commit was answered");
    assert_eq!(cached_value(&cached).await, b"new");
}

#[tokio::test]
async fn a_commit_whose_caller_went_away_still_empties_the_cache() {
    let storage = Paused::new();
    let cached = Arc::new(CachedStorage::new(storage.clone(), 1 << 20));
    assert!(cached.commit(cached.era().await, write(b"old")).await.is_ok());
    storage.commit_reached.acquire().await.expect("open").forget();
    assert_eq!(cached_value(&cached).await, b"old");

    storage.commit_go_on.forget_permits(Semaphore::MAX_PERMITS);
    let caller = tokio::spawn({
        let cached = Arc::clone(&cached);
        async move { cached.commit(cached.era().await, write(b"new")).await }
    });
    storage.commit_reached.acquire().await.expect("open").forget();
    caller.abort();
    assert!(caller.await.expect_err("aborted").is_cancelled());
    storage.commit_go_on.add_permits(1000);
    // The commit's own task is the only other one: it ends as soon as this one waits for it to.
    while Arc::strong_count(&cached) > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(cached_value(&cached).await, b"new");
}

#[tokio::test]
async fn a_hit_does_not_read_storage_and_a_change_from_elsewhere_is_observed() {
    let storage = Paused::new();
    let cached = Arc::new(CachedStorage::new(storage.clone(), 1 << 20));
    assert!(cached.commit(cached.era().await, write(b"old")).await.is_ok());
    for _ in 0..3 {
        assert_eq!(cached_value(&cached).await, b"old");
    }
    assert_eq!(storage.reads.load(Ordering::SeqCst), 1);

    // Another node commits: only the feed tells.
    let mut feed = storage.changes();
    assert!(storage.inner.commit(write(b"new")).await.is_ok());
    let change: Change = feed.try_recv().expect("change");
    cached.observe(&change);
    assert_eq!(cached_value(&cached).await, b"new");
    // Told again, it keeps what it read since.
    cached.observe(&change);
    assert_eq!(cached_value(&cached).await, b"new");
    assert_eq!(storage.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn who_is_told_of_a_change_reads_it_before_its_commit_is_answered() {
    let storage = Paused::new();
    let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
    apply(&*storage, vec![found(&root(), &*clock).expect("found")]).await;
    let cached = Arc::new(CachedStorage::new(storage.clone(), 1 << 20));
    let barrier = AeadBarrier::open(cached, &root(), &BarrierOptions::default(), clock).await.expect("open");
    let barrier = Arc::new(barrier);
    put(&barrier, b"k", b"old").await;
    assert_eq!(barrier.get(b"k").await.expect("get").expect("there").plaintext.expose_secret(), b"old");

    let mut changes = barrier.changes();
    storage.commit_go_on.forget_permits(Semaphore::MAX_PERMITS);
    let writer = tokio::spawn({
        let barrier = Arc::clone(&barrier);
        async move { put(&barrier, b"k", b"new").await }
    });
    assert_eq!(changes.recv().await.expect("change").keys.len(), 1);
    assert_eq!(barrier.get(b"k").await.expect("get").expect("there").plaintext.expose_secret(), b"new");
    storage.commit_go_on.add_permits(1000);
    writer.await.expect("writer");
}

#[tokio::test]
async fn listing_keys_asks_storage_for_no_value() {
    let storage = Paused::new();
    let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
    apply(&*storage, vec![found(&root(), &*clock).expect("found")]).await;
    let cached = Arc::new(CachedStorage::new(storage.clone(), 0));
    let barrier = AeadBarrier::open(cached, &root(), &BarrierOptions::default(), clock).await.expect("open");
    put(&barrier, b"s/a", b"1").await;

    let before = storage.reads.load(Ordering::SeqCst);
    assert_eq!(barrier.keys(b"s/", None, 10).await.expect("keys"), [b"s/a"]);
    assert_eq!(storage.reads.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn the_cache_stays_within_its_bytes_and_may_be_off() {
    for (bytes, hits) in [(64 << 10, true), (0, false)] {
        let storage = Paused::new();
        let cached = Arc::new(CachedStorage::new(storage.clone(), bytes));
        for number in 0..200_u8 {
            let key = vec![number];
            apply(&storage.inner, vec![Write::Put(key.clone(), Arc::from([7; 1000].as_slice()))]).await;
            assert!(cached.get(&key).await.expect("get").is_some());
        }
        assert!(cached.bytes() <= bytes as u64, "{} of {bytes} bytes", cached.bytes());
        assert_eq!(cached.bytes() > 0, hits);
    }
}
