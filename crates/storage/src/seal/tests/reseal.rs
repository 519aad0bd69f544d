//! New shares, and moving between shares and key files: before the one commit the old ones open the store, after it the
//! new ones do.

use std::{path::Path, sync::Arc};

use keyturn_core::{
    barrier::{Barrier, Batch},
    clock::SystemClock,
    seal::{Seal, SealError, SealKind},
    secret::SecretBytes,
    storage::{Commit, Storage},
};

use crate::{
    backend::Embedded,
    barrier::BarrierOptions,
    seal::{Authority, KekSource, Migration, ShamirSeal, StaticSeal, create_key_file},
};

fn storage() -> Arc<dyn Storage> {
    Arc::new(Embedded::in_memory().expect("open"))
}

fn shamir(storage: &Arc<dyn Storage>) -> ShamirSeal {
    ShamirSeal::new(Arc::clone(storage), BarrierOptions::default(), Arc::new(SystemClock))
}

fn by_file(storage: &Arc<dyn Storage>, path: &Path) -> StaticSeal {
    let source = KekSource::File(path.to_owned());
    StaticSeal::new(Arc::clone(storage), source, BarrierOptions::default(), Arc::new(SystemClock))
}

async fn put(barrier: &dyn Barrier) {
    let batch = Batch::new().put(b"k", SecretBytes::new(b"value".to_vec()));
    assert!(matches!(barrier.commit(batch).await, Ok(Commit::Committed(_))));
}

async fn opens(seal: &dyn Seal, shares: &[SecretBytes]) -> bool {
    match seal.open(shares).await {
        Ok(barrier) => {
            let record = barrier.get(b"k").await.expect("get").expect("there");
            record.plaintext.expose_secret() == b"value"
        }
        Err(SealError::WrongKey(_)) => false,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn new_shares_open_the_store_and_old_ones_do_not_once_they_are_in_force() {
    let storage = storage();
    let seal = shamir(&storage);
    let made = seal.initialize(3, 2).await.expect("initialize");
    put(&*made.barrier).await;
    let (old, config) = (made.shares, made.config);
    assert!(seal.check(&old[..2]).await.is_ok());

    let (reseal, new) = seal.reseal(&old[1..], 5, 3).await.expect("reseal");
    assert!(opens(&seal, &old[..2]).await && !opens(&seal, &new[..3]).await, "nothing is in force yet");
    assert!(seal.check_reseal(&reseal, &new[2..]).is_ok());
    for wrong in [&new[..2], &old[..3]] {
        assert!(matches!(seal.check_reseal(&reseal, wrong), Err(SealError::WrongKey(_))));
    }

    seal.replace(&reseal).await.expect("replace");
    let restarted = shamir(&storage);
    let told = restarted.config().await.expect("config").expect("there");
    assert_eq!((told.shares, told.threshold, &told.store_id), (5, 3, &config.store_id));
    assert_eq!(told, reseal.config);
    assert!(opens(&restarted, &new[1..4]).await && !opens(&restarted, &old).await);
    assert!(matches!(restarted.check(&old[..2]).await, Err(SealError::WrongKey(_))));
    // The barrier that was open all the time still is: the root key is the same.
    put(&*made.barrier).await;
}

#[tokio::test]
async fn wrong_shares_make_no_new_ones() {
    let storage = storage();
    let seal = shamir(&storage);
    let old = seal.initialize(3, 2).await.expect("initialize").shares;
    let foreign = shamir(&self::storage()).initialize(3, 2).await.expect("initialize").shares;
    for wrong in [&[old[0].clone(), foreign[1].clone()][..], &old[..1], &[old[0].clone(), old[0].clone()]] {
        assert!(matches!(seal.reseal(wrong, 5, 3).await, Err(SealError::WrongKey(_))));
    }
    assert!(matches!(seal.reseal(&old[..2], 2, 1).await, Err(SealError::InvalidShares(_))));
}

#[tokio::test]
async fn of_two_rekeys_at_the_same_time_one_wins() {
    let storage = storage();
    let seal = shamir(&storage);
    let made = seal.initialize(1, 1).await.expect("initialize");
    put(&*made.barrier).await;
    let (one, ones) = seal.reseal(&made.shares, 2, 2).await.expect("reseal");
    let (two, twos) = seal.reseal(&made.shares, 3, 3).await.expect("reseal");
    seal.replace(&two).await.expect("replace");
    assert!(matches!(seal.replace(&one).await, Err(SealError::Superseded)));
    assert!(opens(&seal, &twos).await && !opens(&seal, &ones).await);
}

#[tokio::test]
async fn a_static_seal_takes_a_store_over_from_its_shares() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("key");
    create_key_file(&path).expect("create");
    let storage = storage();
    let made = shamir(&storage).initialize(3, 2).await.expect("initialize");
    put(&*made.barrier).await;

    let seal = by_file(&storage, &path);
    assert_eq!(
        seal.config().await.expect("config").expect("there").kind,
        SealKind::Shamir,
        "as long as it is not moved"
    );
    assert!(!opens(&seal, &made.shares[..1]).await && !opens(&seal, &[]).await);
    assert!(opens(&shamir(&storage), &made.shares[..2]).await, "what failed has changed nothing");

    assert!(opens(&seal, &made.shares[..2]).await);
    let told = by_file(&storage, &path).config().await.expect("config").expect("there");
    assert_eq!((told.kind, told.shares, told.threshold), (SealKind::Static, 1, 1));
    assert_eq!(told.store_id, made.config.store_id);
    assert!(opens(&by_file(&storage, &path), &[]).await);
    let error = shamir(&storage).config().await.expect_err("moved").to_string();
    assert!(error.contains("migrate-seal"), "{error}");
}

#[tokio::test]
async fn a_key_that_cannot_be_read_leaves_the_store_with_its_shares() {
    let storage = storage();
    let made = shamir(&storage).initialize(1, 1).await.expect("initialize");
    put(&*made.barrier).await;
    let seal = by_file(&storage, Path::new("/nonexistent/key"));
    assert!(matches!(seal.open(&made.shares).await, Err(SealError::Unusable(_))));
    assert!(opens(&shamir(&storage), &made.shares).await);
}

#[tokio::test]
async fn a_stopped_store_moves_from_a_key_to_another_and_to_shares() {
    let directory = tempfile::tempdir().expect("tempdir");
    let (first, second) = (directory.path().join("first"), directory.path().join("second"));
    create_key_file(&first).expect("create");
    create_key_file(&second).expect("create");
    let (from, to) = (KekSource::File(first.clone()), KekSource::File(second.clone()));
    let storage = storage();
    put(&*by_file(&storage, &first).initialize(1, 1).await.expect("initialize").barrier).await;

    let refused = Migration::begin(Arc::clone(&storage), Authority::Key(&to)).await;
    assert!(matches!(refused.err(), Some(SealError::WrongKey(_))));
    let refused = Migration::begin(Arc::clone(&storage), Authority::Shares(&[])).await;
    assert!(matches!(refused.err(), Some(SealError::NoShares)));

    let migration = Migration::begin(Arc::clone(&storage), Authority::Key(&from)).await.expect("begin");
    let reseal = migration.to_key(&to).expect("wrap");
    assert!(opens(&by_file(&storage, &first), &[]).await, "nothing is in force yet");
    migration.put_in_force(&reseal).await.expect("put in force");
    assert!(opens(&by_file(&storage, &second), &[]).await && !opens(&by_file(&storage, &first), &[]).await);

    let migration = Migration::begin(Arc::clone(&storage), Authority::Key(&to)).await.expect("begin");
    let (reseal, shares) = migration.to_shares(3, 2).expect("shares");
    migration.put_in_force(&reseal).await.expect("put in force");
    assert!(opens(&shamir(&storage), &shares[..2]).await);

    let migration = Migration::begin(Arc::clone(&storage), Authority::Shares(&shares[1..])).await.expect("begin");
    let reseal = migration.to_key(&from).expect("wrap");
    migration.put_in_force(&reseal).await.expect("put in force");
    assert!(opens(&by_file(&storage, &first), &[]).await);
}
