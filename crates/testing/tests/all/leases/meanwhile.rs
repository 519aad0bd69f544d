//! What a lease stands on may go in the moment between the look at it and the commit: then nothing is handed out, and
//! nobody is left at the target.

use keyturn_core::storage::{Storage, Transaction, Write};
use keyturn_testing::crash::InterposedStorage;

use super::*;

const TOKENS: &[u8] = b"token/id/";

struct Moment {
    scene: Scene,
    storage: InterposedStorage,
    process: Process,
    /// Whose lease it is.
    token: SecretString,
    /// The key of its record.
    record: Vec<u8>,
}

impl Moment {
    async fn new() -> Self {
        let scene = Scene::new().await;
        let storage = InterposedStorage::new(scene.world.storage.clone());
        let faults = Faults::default();
        let node = scene.world.boot_over(Arc::new(storage.clone()), &faults).await.expect("booted");
        let process = scene.register(node, &faults).expect("open");
        let before = scene.world.storage.keys(TOKENS, None, 1000).await.expect("keys");
        let token = process.token(living(50_000)).await.expect("a token").token;
        let after = scene.world.storage.keys(TOKENS, None, 1000).await.expect("keys");
        let record = after.into_iter().find(|key| !before.contains(key)).expect("its record").to_vec();
        Self { scene, storage, process, token, record }
    }

    /// Removes a record from under the process when it is about to commit, as another node would that has come no
    /// further yet.
    fn lose(&self, key: Vec<u8>) {
        let below = self.scene.world.storage.clone();
        self.storage.before_next(async move {
            let writes = vec![Write::Delete(key)];
            let commit = below.commit(Transaction { expect: Vec::new(), writes }).await.expect("removed");
            assert!(matches!(commit, keyturn_core::storage::Commit::Committed(_)));
        });
    }

    async fn begun(&self) -> Pending {
        let pending = self.process.begin(&self.token, PATH, lasting(600)).await.expect("begun");
        self.process.issuer.create(pending.lease()).await.expect("made");
        pending
    }

    /// Nothing is left when all had its time.
    async fn check_nothing_is_left(&self) {
        assert!(self.storage.is_done(), "somebody was faster");
        for _ in 0..2 {
            self.process.tend().await;
            self.scene.advance(LAPSE);
        }
        self.process.tend().await;
        assert!(self.scene.target.names().is_empty(), "left: {:?}", self.scene.target.names());
        assert!(self.scene.leases().await.is_empty(), "left: {:?}", self.scene.leases().await);
    }
}

#[tokio::test]
async fn a_token_that_went_meanwhile_is_handed_nothing() {
    let moment = Moment::new().await;
    let pending = moment.begun().await;
    moment.lose(moment.record.clone());
    let confirmed = moment.process.core.leases().confirm(pending).await;
    assert!(matches!(confirmed, Err(NotIssued::Denied)), "{confirmed:?}");
    moment.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_mount_that_went_meanwhile_hands_out_nothing() {
    let moment = Moment::new().await;
    let pending = moment.begun().await;
    moment.lose(b"mount/db/".to_vec());
    let confirmed = moment.process.core.leases().confirm(pending).await;
    assert!(matches!(confirmed, Err(NotIssued::MountGone(_))), "{confirmed:?}");
    moment.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_lease_that_was_revoked_meanwhile_is_not_handed_out() {
    let moment = Moment::new().await;
    let pending = moment.begun().await;
    let (core, id) = (Arc::clone(&moment.process.core), pending.lease().id.clone());
    let permit = moment.process.permit(Update, "sys/leases/revoke").await;
    moment.storage.before_next(async move { core.leases().revoke(permit, &id, true).await.expect("revoked") });
    let confirmed = moment.process.core.leases().confirm(pending).await;
    assert!(matches!(confirmed, Err(NotIssued::Revoked)), "{confirmed:?}");
    moment.check_nothing_is_left().await;
}

#[tokio::test]
async fn nothing_begins_for_a_token_or_at_a_mount_that_went_meanwhile() {
    let moment = Moment::new().await;
    moment.lose(moment.record.clone());
    let begun = moment.process.begin(&moment.token, PATH, lasting(600)).await;
    assert!(matches!(begun, Err(NotIssued::Denied)), "{begun:?}");
    moment.check_nothing_is_left().await;
    let moment = Moment::new().await;
    moment.lose(b"mount/db/".to_vec());
    let begun = moment.process.begin(&moment.token, PATH, lasting(600)).await;
    assert!(matches!(begun, Err(NotIssued::MountGone(_))), "{begun:?}");
    moment.check_nothing_is_left().await;
}
