//! Both seals over a store in memory: initialise, restart, and everything that must be refused.

mod reseal;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use keyturn_core::{
    barrier::{Barrier, Batch},
    clock::SystemClock,
    seal::{Seal, SealError, SealKind},
    secret::SecretBytes,
    storage::{Commit, Storage, Transaction, Write},
};

use super::{KekSource, SEAL_KEY, ShamirSeal, StaticSeal, create_key_file};
use crate::{
    backend::Embedded,
    barrier::{BarrierOptions, keyring::KEYRING_KEY},
};

fn storage() -> Arc<dyn Storage> {
    Arc::new(Embedded::in_memory().expect("open"))
}

/// A seal as a new process would make it.
fn shamir(storage: &Arc<dyn Storage>) -> ShamirSeal {
    ShamirSeal::new(Arc::clone(storage), BarrierOptions::default(), Arc::new(SystemClock))
}

fn by_source(storage: &Arc<dyn Storage>, source: KekSource) -> StaticSeal {
    StaticSeal::new(Arc::clone(storage), source, BarrierOptions::default(), Arc::new(SystemClock))
}

fn by_file(storage: &Arc<dyn Storage>, path: &Path) -> StaticSeal {
    by_source(storage, KekSource::File(path.to_owned()))
}

async fn put(barrier: &dyn Barrier) {
    let batch = Batch::new().put(b"k", SecretBytes::new(b"value".to_vec()));
    assert!(matches!(barrier.commit(batch).await, Ok(Commit::Committed(_))));
}

async fn assert_there(barrier: &dyn Barrier) {
    let record = barrier.get(b"k").await.expect("get").expect("there");
    assert_eq!(record.plaintext.expose_secret(), b"value");
}

async fn overwrite(storage: &Arc<dyn Storage>, key: &[u8], value: Option<&[u8]>) {
    let write = match value {
        Some(value) => Write::Put(key.to_vec(), value.into()),
        None => Write::Delete(key.to_vec()),
    };
    let outcome = storage.commit(Transaction { expect: Vec::new(), writes: vec![write] }).await;
    assert!(matches!(outcome, Ok(Commit::Committed(_))));
}

async fn refusal(seal: &dyn Seal, shares: &[SecretBytes]) -> SealError {
    seal.open(shares).await.err().expect("it must not open")
}

#[tokio::test]
async fn a_shamir_store_opens_with_a_threshold_of_its_shares_after_a_restart() {
    let storage = storage();
    assert!(shamir(&storage).config().await.expect("config").is_none());
    assert!(matches!(refusal(&shamir(&storage), &[]).await, SealError::NotInitialized));

    let made = shamir(&storage).initialize(5, 3).await.expect("initialize");
    put(&*made.barrier).await;
    assert_eq!((made.config.kind, made.config.shares, made.config.threshold), (SealKind::Shamir, 5, 3));
    assert!(made.shares.len() == 5 && made.shares.iter().all(|share| share.len() == 33));

    let restarted = shamir(&storage);
    assert_eq!(restarted.config().await.expect("config").as_ref(), Some(&made.config));
    let brought = [3, 0, 4].map(|index: usize| made.shares[index].clone());
    assert_there(&*restarted.open(&brought).await.expect("open")).await;
    assert!(matches!(refusal(&restarted, &brought[..2]).await, SealError::WrongKey(_)));
}

#[tokio::test]
async fn a_single_share_is_the_key() {
    let storage = storage();
    let made = shamir(&storage).initialize(1, 1).await.expect("initialize");
    put(&*made.barrier).await;
    assert_eq!(made.shares[0].len(), 32);
    assert_there(&*shamir(&storage).open(&made.shares).await.expect("open")).await;
}

#[tokio::test]
async fn wrong_shares_are_refused_and_the_right_ones_still_open() {
    let storage = storage();
    let made = shamir(&storage).initialize(3, 2).await.expect("initialize");
    let other = shamir(&self::storage()).initialize(3, 2).await.expect("initialize");
    let mut typo = made.shares[1].clone();
    typo.expose_secret_mut()[5] ^= 1;
    let foreign = other.shares[1].clone();
    for wrong in [typo, foreign] {
        let error = refusal(&shamir(&storage), &[made.shares[0].clone(), wrong]).await;
        assert!(matches!(error, SealError::WrongKey(hint) if hint.contains("share is wrong")), "{error}");
    }
    assert!(shamir(&storage).open(&made.shares[..2]).await.is_ok());
}

#[tokio::test]
async fn a_store_is_initialized_once_even_by_two_at_the_same_time() {
    let storage = storage();
    let (one, two) = (shamir(&storage), shamir(&storage));
    let outcomes = tokio::join!(one.initialize(1, 1), two.initialize(1, 1));
    let (winner, loser) = match outcomes {
        (Ok(winner), Err(loser)) | (Err(loser), Ok(winner)) => (winner, loser),
        (one, two) => panic!("{:?} and {:?}", one.err(), two.err()),
    };
    assert!(matches!(loser, SealError::AlreadyInitialized));
    assert!(matches!(one.initialize(1, 1).await, Err(SealError::AlreadyInitialized)));
    assert!(one.open(&winner.shares).await.is_ok());
}

#[tokio::test]
async fn bad_numbers_leave_the_store_uninitialized() {
    let storage = storage();
    for (shares, threshold) in [(0, 0), (2, 1), (2, 3)] {
        let refused = shamir(&storage).initialize(shares, threshold).await.err().expect("refused");
        assert!(matches!(refused, SealError::InvalidShares(_)));
    }
    assert!(shamir(&storage).config().await.expect("config").is_none());
}

#[tokio::test]
async fn a_damaged_seal_is_called_damaged_wherever_it_is() {
    let storage = storage();
    let made = shamir(&storage).initialize(1, 1).await.expect("initialize");
    let good = storage.get(SEAL_KEY).await.expect("get").expect("there").value;
    for position in 0..good.len() {
        let mut bad = good.to_vec();
        bad[position] ^= 0x80;
        overwrite(&storage, SEAL_KEY, Some(&bad)).await;
        let error = refusal(&shamir(&storage), &made.shares).await;
        assert!(matches!(error, SealError::Unusable(_)), "byte {position}: {error}");
    }
    overwrite(&storage, SEAL_KEY, Some(&good[..60])).await;
    assert!(matches!(refusal(&shamir(&storage), &made.shares).await, SealError::Unusable(_)));
    overwrite(&storage, SEAL_KEY, Some(&good)).await;
    assert!(shamir(&storage).open(&made.shares).await.is_ok());
}

#[tokio::test]
async fn a_forged_configuration_does_not_open() {
    let storage = storage();
    let made = shamir(&storage).initialize(5, 3).await.expect("initialize");
    let mut forged = storage.get(SEAL_KEY).await.expect("get").expect("there").value.to_vec();
    // Someone lowers the threshold and mends the checksum.
    assert_eq!(forged[15], 3);
    forged[15] = 2;
    let summed = forged.len() - 32;
    let sum = digest(&SHA256, &forged[..summed]);
    forged[summed..].copy_from_slice(sum.as_ref());
    overwrite(&storage, SEAL_KEY, Some(&forged)).await;
    assert_eq!(shamir(&storage).config().await.expect("config").expect("there").threshold, 2);
    assert!(matches!(refusal(&shamir(&storage), &made.shares).await, SealError::WrongKey(_)));
}

#[tokio::test]
async fn a_newer_format_says_so() {
    let storage = storage();
    shamir(&storage).initialize(1, 1).await.expect("initialize");
    let mut newer = storage.get(SEAL_KEY).await.expect("get").expect("there").value.to_vec();
    newer[12] = 9;
    overwrite(&storage, SEAL_KEY, Some(&newer)).await;
    let error = shamir(&storage).config().await.expect_err("newer").to_string();
    assert!(error.contains("format 9") && error.contains("upgrade"), "{error}");
}

#[tokio::test]
async fn a_store_in_part_is_refused() {
    let storage = storage();
    let made = shamir(&storage).initialize(1, 1).await.expect("initialize");
    let keyring = storage.get(KEYRING_KEY).await.expect("get").expect("there").value;
    for broken in [None, Some(&keyring[..20])] {
        overwrite(&storage, KEYRING_KEY, broken).await;
        let error = refusal(&shamir(&storage), &made.shares).await;
        assert!(matches!(&error, SealError::Unusable(text) if text.contains("core/keyring")), "{error}");
    }
    overwrite(&storage, SEAL_KEY, None).await;
    let error = shamir(&storage).initialize(1, 1).await.err().expect("records without a seal");
    assert!(matches!(&error, SealError::Unusable(text) if text.contains("core/seal")), "{error}");
}

#[tokio::test]
async fn another_kind_of_seal_is_named() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("key");
    create_key_file(&path).expect("create");
    let storage = storage();
    by_file(&storage, &path).initialize(1, 1).await.expect("initialize");
    let error = shamir(&storage).config().await.expect_err("mismatch").to_string();
    assert!(error.contains("shamir") && error.contains("static"), "{error}");
}

#[tokio::test]
async fn a_static_store_opens_by_itself() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("keys/unseal.key");
    create_key_file(&path).expect("create");
    assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
    let before = fs::read(&path).expect("read");
    assert!(create_key_file(&path).is_err(), "a key is never written over");
    assert_eq!(fs::read(&path).expect("read"), before);

    let storage = storage();
    let made = by_file(&storage, &path).initialize(1, 1).await.expect("initialize");
    assert!(made.shares.is_empty());
    put(&*made.barrier).await;
    assert_there(&*by_file(&storage, &path).open(&[]).await.expect("open")).await;

    let refused = by_file(&self::storage(), &path).initialize(5, 3).await.err().expect("refused");
    assert!(matches!(refused, SealError::InvalidShares(_)));
    let share = [SecretBytes::new(vec![1; 32])];
    assert!(matches!(refusal(&by_file(&storage, &path), &share).await, SealError::WrongKey(_)));
}

#[tokio::test]
async fn a_key_file_of_another_store_or_open_to_others_is_refused() {
    let directory = tempfile::tempdir().expect("tempdir");
    let (path, other) = (directory.path().join("key"), directory.path().join("other"));
    create_key_file(&path).expect("create");
    create_key_file(&other).expect("create");
    let storage = storage();
    by_file(&storage, &path).initialize(1, 1).await.expect("initialize");
    assert!(matches!(refusal(&by_file(&storage, &other), &[]).await, SealError::WrongKey(_)));

    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        let error = refusal(&by_file(&storage, &path), &[]).await.to_string();
        assert!(error.contains("chmod 600") && error.contains("key"), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("chmod");
    assert!(by_file(&storage, &path).open(&[]).await.is_ok());
    let error = refusal(&by_file(&storage, &directory.path().join("none")), &[]).await.to_string();
    assert!(error.contains("none") && error.contains("could not be read"), "{error}");
}

#[tokio::test]
async fn a_key_may_be_written_in_several_forms() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("key");
    create_key_file(&path).expect("create");
    let storage = storage();
    let write = |bytes: &[u8]| fs::write(&path, bytes).expect("write");
    write(&[0xfb; 32]);
    by_file(&storage, &path).initialize(1, 1).await.expect("initialize");
    let hex = "fb".repeat(32);
    let forms = [
        &hex,
        &hex.to_uppercase(),
        "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=",
        "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s",
    ];
    for form in forms {
        for text in [form.to_owned(), format!("  {form}\r\n")] {
            write(text.as_bytes());
            assert!(by_file(&storage, &path).open(&[]).await.is_ok(), "{text:?}");
        }
    }
    for bad in ["", "fb", &hex[1..], "not a key", &"A".repeat(500)] {
        write(bad.as_bytes());
        let error = refusal(&by_file(&storage, &path), &[]).await.to_string();
        assert!(error.contains("32 bytes are needed") && (bad.is_empty() || !error.contains(bad)), "{error}");
    }
}

const VARIABLE: &str = "KEYTURN_TEST_STATIC_KEY";

/// Runs in a process of its own below, where the variable is set; inert without it.
#[tokio::test]
async fn environment_child() {
    if std::env::var_os(VARIABLE).is_none() {
        return;
    }
    let storage = storage();
    let source = KekSource::Environment(VARIABLE.to_owned());
    let made = by_source(&storage, source.clone()).initialize(1, 1).await.expect("initialize");
    put(&*made.barrier).await;
    assert_there(&*by_source(&storage, source).open(&[]).await.expect("open")).await;
    println!("OPENED FROM THE ENVIRONMENT");
}

#[tokio::test]
async fn a_key_may_come_from_the_environment() {
    let child = Command::new(std::env::current_exe().expect("executable"))
        .args(["seal::tests::environment_child", "--exact", "--nocapture"])
        .env(VARIABLE, "fb".repeat(32))
        .output()
        .expect("run");
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("OPENED FROM THE ENVIRONMENT"), "{output}");

    let unset = by_source(&storage(), KekSource::Environment("KEYTURN_TEST_UNSET".to_owned()));
    let error = unset.initialize(1, 1).await.err().expect("refused").to_string();
    assert!(error.contains("KEYTURN_TEST_UNSET") && error.contains("not set"), "{error}");
}
