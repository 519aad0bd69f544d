//! The embedded backend, in a file and in memory, passes the suite.
#![allow(clippy::expect_used, reason = "all of this file is tests, its helper functions too")]

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use keyturn_core::storage::{BoxFuture, Key, Storage};
use keyturn_storage::{
    backend::Embedded,
    conformance::{self, Step, Subject},
};
use proptest::{collection::vec, option, prelude::*};
use tempfile::TempDir;

const CACHE_BYTES: usize = 1 << 20;

struct InFile {
    directory: TempDir,
    made: AtomicU32,
}

impl InFile {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("tempdir"), made: AtomicU32::new(0) }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(self.made.load(Ordering::Relaxed).to_string())
    }

    fn open(&self) -> Arc<dyn Storage> {
        Arc::new(Embedded::open(&self.path(), CACHE_BYTES).expect("open"))
    }
}

impl Subject for InFile {
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn Storage>> {
        self.made.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { self.open() })
    }

    fn reopen(&self, store: Arc<dyn Storage>) -> BoxFuture<'_, Option<Arc<dyn Storage>>> {
        drop(store);
        Box::pin(async { Some(self.open()) })
    }
}

struct InMemory;

impl Subject for InMemory {
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn Storage>> {
        Box::pin(async { Arc::new(Embedded::in_memory().expect("open")) as Arc<dyn Storage> })
    }

    fn reopen(&self, _store: Arc<dyn Storage>) -> BoxFuture<'_, Option<Arc<dyn Storage>>> {
        Box::pin(async { None })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_passes_the_suite() {
    assert_eq!(conformance::run(&InFile::new()).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_passes_the_suite() {
    assert_eq!(conformance::run(&InMemory).await, Ok(()));
}

/// Few and short keys from a small alphabet, so that steps meet on the same ones.
fn key() -> impl Strategy<Value = Key> {
    vec(prop_oneof![Just(0_u8), Just(b'a'), Just(b'/'), Just(0xff)], 1..4)
}

fn prefix() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0_u8), Just(b'a'), Just(b'/'), Just(0xff)], 0..3)
}

fn step() -> impl Strategy<Value = Step> {
    let writes = vec((key(), option::weighted(0.7, vec(any::<u8>(), 0..40))), 0..5);
    prop_oneof![
        4 => (vec((key(), prop::bool::weighted(0.8)), 0..3), writes)
            .prop_map(|(expect, writes)| Step::Commit { expect, writes }),
        2 => key().prop_map(Step::Get),
        2 => (prefix(), option::of(key()), 0_usize..6).prop_map(|(prefix, after, limit)| Step::Scan(prefix, after, limit)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sequence_of_steps_agrees_with_a_map(steps in vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let verdict = runtime.block_on(async {
            let store = Embedded::in_memory().expect("open");
            conformance::model(&store, &steps).await
        });
        prop_assert_eq!(verdict, Ok(()));
    }
}
