//! What the embedded backend promises about its file, beyond the suite.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "all of this file is tests, its helper functions too")]

use std::{
    fs,
    io::{BufRead, BufReader, Seek, SeekFrom, Write as _},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use keyturn_core::storage::{Commit, Storage, StorageError, Transaction, Write};
use keyturn_storage::backend::Embedded;
use redb::TableDefinition;

const CACHE_BYTES: usize = 1 << 20;

fn put(pairs: &[(&[u8], &[u8])]) -> Transaction {
    let writes = pairs.iter().map(|(key, value)| Write::Put(key.to_vec(), (*value).into())).collect();
    Transaction { expect: Vec::new(), writes }
}

fn refusal(path: &Path) -> StorageError {
    Embedded::open(path, CACHE_BYTES).err().expect("the store must be refused")
}

#[track_caller]
fn assert_unusable(path: &Path, word: &str) {
    let error = refusal(path);
    assert!(matches!(error, StorageError::Unusable { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(word) && message.contains(&path.display().to_string()), "{message}");
}

#[test]
fn the_file_and_its_directories_are_private() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("a/b/store");
    let _store = Embedded::open(&path, CACHE_BYTES).expect("open");
    let mode = |path: &Path| fs::metadata(path).expect("metadata").mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&directory.path().join("a/b")), 0o700);
    assert_eq!(mode(&directory.path().join("a")), 0o700);
}

#[test]
fn a_store_is_open_once() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("store");
    let store = Embedded::open(&path, CACHE_BYTES).expect("open");
    assert!(matches!(refusal(&path), StorageError::InUse { .. }));
    drop(store);
    Embedded::open(&path, CACHE_BYTES).expect("the lock is free once the store is dropped");
}

#[test]
fn a_foreign_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("notes.txt");
    let text = "not a store\n".repeat(1000);
    fs::write(&path, &text).expect("write");
    assert_unusable(&path, "not a Keyturn store");
    assert_eq!(fs::read_to_string(&path).expect("read"), text);
}

#[test]
fn a_database_of_another_program_is_refused() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("other");
    let other = redb::Database::create(&path).expect("create");
    let write = other.begin_write().expect("begin");
    write.open_table(TableDefinition::<u64, u64>::new("theirs")).expect("table");
    write.commit().expect("commit");
    drop(other);
    assert_unusable(&path, "another program");
}

#[test]
fn a_newer_format_is_refused_with_both_versions() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("store");
    drop(Embedded::open(&path, CACHE_BYTES).expect("open"));
    let database = redb::Database::open(&path).expect("open");
    let write = database.begin_write().expect("begin");
    {
        let mut meta = write.open_table(TableDefinition::<&str, &[u8]>::new("keyturn")).expect("table");
        meta.insert("format", b"keyturn store\0\x07\0\0\0".as_slice()).expect("insert");
    }
    write.commit().expect("commit");
    drop(database);
    assert_unusable(&path, "its format is 7 and this version of keyturn reads 1; upgrade");
}

#[test]
fn a_truncated_or_overwritten_file_is_refused() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("store");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    let store = Embedded::open(&path, CACHE_BYTES).expect("open");
    for number in 0..50_u32 {
        let commit = store.commit(put(&[(&number.to_be_bytes(), &[7; 2000])]));
        assert!(matches!(runtime.block_on(commit), Ok(Commit::Committed(_))));
    }
    drop(store);
    let whole = fs::read(&path).expect("read");

    fs::write(&path, &whole[..whole.len() / 3]).expect("write");
    assert!(matches!(refusal(&path), StorageError::Unusable { .. } | StorageError::Engine { .. }));

    fs::write(&path, &whole).expect("write");
    let mut file = fs::OpenOptions::new().write(true).open(&path).expect("open");
    file.seek(SeekFrom::Start(0)).expect("seek");
    file.write_all(&[0; 4096]).expect("write");
    assert_unusable(&path, "not a Keyturn store");
}

/// A value too short for its header cannot be read; its key can, because nothing looks at the value on the way.
#[test]
fn listing_keys_does_not_look_at_values() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("store");
    drop(Embedded::open(&path, CACHE_BYTES).expect("open"));
    let database = redb::Database::open(&path).expect("open");
    let write = database.begin_write().expect("begin");
    {
        let mut records = write.open_table(TableDefinition::<&[u8], &[u8]>::new("records")).expect("table");
        records.insert(b"damaged".as_slice(), b"short".as_slice()).expect("insert");
    }
    write.commit().expect("commit");
    drop(database);

    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    let store = Embedded::open(&path, CACHE_BYTES).expect("open");
    assert_eq!(runtime.block_on(store.keys(b"", None, 10)).expect("keys"), [b"damaged"]);
    assert!(matches!(runtime.block_on(store.scan(b"", None, 10)), Err(StorageError::Engine { .. })));
}

#[test]
fn a_path_that_cannot_be_made_is_an_engine_error() {
    let directory = tempfile::tempdir().expect("tempdir");
    let file = directory.path().join("file");
    fs::write(&file, b"").expect("write");
    assert!(matches!(refusal(&file.join("store")), StorageError::Engine { .. }));
}

const CRASH_STORE: &str = "KEYTURN_TEST_CRASH_STORE";

/// The child of the test below, inert without its variable: commits in a loop and names each acknowledged number.
#[test]
fn crash_child() {
    let Ok(path) = std::env::var(CRASH_STORE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("runtime");
    runtime.block_on(async {
        let store = Arc::new(Embedded::open(Path::new(&path), CACHE_BYTES).expect("open"));
        let writers = (0..8_u32).map(|writer| tokio::spawn(write_forever(Arc::clone(&store), writer)));
        for writer in writers.collect::<Vec<_>>() {
            writer.await.expect("writer");
        }
    });
}

async fn write_forever(store: Arc<Embedded>, writer: u32) {
    for number in 0_u32.. {
        let id = format!("{writer}-{number}");
        let (left, right) = (format!("left/{id}"), format!("right/{id}"));
        let commit = store.commit(put(&[(left.as_bytes(), id.as_bytes()), (right.as_bytes(), id.as_bytes())]));
        assert!(matches!(commit.await, Ok(Commit::Committed(_))));
        println!("\nACKNOWLEDGED {id}.");
    }
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("store");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    // The second round is killed on a store that has been killed before.
    for at_least in [100, 150] {
        let acknowledged = write_until_killed(&path, at_least);
        let store = Embedded::open(&path, CACHE_BYTES).expect("reopen");
        let all = runtime.block_on(store.scan(b"", None, usize::MAX)).expect("scan");
        let side = |name: &str| -> Vec<(String, Arc<[u8]>)> {
            let of_side = all.iter().filter_map(|(key, entry)| {
                let id = std::str::from_utf8(key).expect("key").strip_prefix(name)?;
                Some((id.to_owned(), Arc::clone(&entry.value)))
            });
            of_side.collect()
        };
        let left = side("left/");
        assert_eq!(left, side("right/"), "a transaction is there by half");
        for id in &acknowledged {
            let found = left.iter().any(|(stored, value)| stored == id && **value == *id.as_bytes());
            assert!(found, "{id} was acknowledged and is lost");
        }
        let cleared = all.into_iter().map(|(key, _)| Write::Delete(key)).collect();
        let commit = store.commit(Transaction { expect: Vec::new(), writes: cleared });
        assert!(matches!(runtime.block_on(commit), Ok(Commit::Committed(_))));
    }
}

/// Runs the child until it has acknowledged some commits, kills it, and returns all that it acknowledged.
fn write_until_killed(path: &Path, at_least: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("executable"))
        .args(["crash_child", "--exact", "--nocapture"])
        .env(CRASH_STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    let mut acknowledged = Vec::new();
    let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    for line in lines.map_while(Result::ok) {
        // The full stop tells a line that was cut off by the kill.
        let Some(id) = line.strip_prefix("ACKNOWLEDGED ").and_then(|rest| rest.strip_suffix('.')) else { continue };
        acknowledged.push(id.to_owned());
        if acknowledged.len() == at_least {
            child.kill().expect("kill");
        }
    }
    child.wait().expect("wait");
    assert!(acknowledged.len() >= at_least, "the child ended by itself");
    acknowledged
}
