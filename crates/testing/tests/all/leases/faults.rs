//! Targets that fail: retries, the rest that irrevocable leases get, and targets that do not share their troubles.

use keyturn_testing::Mood;

use super::*;

#[tokio::test]
async fn six_failures_make_a_lease_irrevocable_and_it_is_not_forgotten() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let lease = process.credential(60).await;
    scene.target.set_mood(Mood::Refusing);
    scene.advance(60);
    let before = scene.target.asked();
    for (attempt, pause) in [(1, 15), (2, 30), (3, 60), (4, 120), (5, 240), (6, 0)] {
        process.tend().await;
        assert_eq!(scene.target.asked() - before, attempt);
        process.tend().await;
        assert_eq!(scene.target.asked() - before, attempt, "it waits for its turn");
        scene.advance(pause);
    }
    let permit = process.permit(Read, "sys/leases/count").await;
    let count = process.core.leases().count_irrevocable(permit).await.expect("counted");
    assert_eq!((count.total, count.by_mount.len()), (1, 1));
    let permit = process.permit(Read, "sys/leases").await;
    let listed = process.core.leases().irrevocable(permit, 10).await.expect("listed");
    assert_eq!((listed[0].id.as_str(), listed[0].error.as_str()), (lease.id.as_str(), "it owns objects"));
    let statistics = process.statistics().await;
    assert_eq!((statistics.irrevocable, statistics.queued, statistics.failures), (1, 0, 6));
    scene.target.set_mood(Mood::Well);
    scene.advance(2 * 86_400);
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
    assert_eq!(process.statistics().await.irrevocable, 0);
}

#[tokio::test]
async fn tidying_and_revoking_try_irrevocable_leases_again() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let (one, other) = (process.credential(60).await, process.credential(60).await);
    scene.target.set_mood(Mood::Unknown);
    scene.advance(60);
    process.tend().await;
    assert_eq!(process.statistics().await.irrevocable, 2, "hopeless at once");
    scene.target.set_mood(Mood::Well);
    let permit = process.permit(Update, "sys/leases/revoke").await;
    process.core.leases().revoke(permit, &one.id, true).await.expect("revoked");
    assert_eq!(scene.target.names(), [other.id]);
    let permit = process.permit(Update, "sys/leases/tidy").await;
    process.core.leases().tidy(permit).await.expect("tidied");
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
}

#[tokio::test]
async fn a_thousand_leases_survive_that_their_target_is_down_for_a_day() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    for _ in 0..1000 {
        process.credential(60).await;
    }
    scene.target.set_mood(Mood::Down);
    scene.advance(60);
    let before = scene.target.asked();
    for _ in 0..24 * 60 {
        process.core.leases().settle().await.expect("settled");
        scene.advance(60);
    }
    let asked = scene.target.asked() - before;
    assert!((1000..2000).contains(&asked), "about once a minute: {asked}");
    let statistics = process.statistics().await;
    assert_eq!(statistics.queued + statistics.irrevocable + statistics.active.len() as u64, 1000, "{statistics:?}");
    assert!(statistics.oldest_overdue > 80_000, "{statistics:?}");
    scene.target.set_mood(Mood::Well);
    for _ in 0..10 {
        process.tend().await;
        scene.advance(1);
    }
    scene.advance(2 * 86_400);
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
}

#[tokio::test]
async fn a_target_that_is_down_does_not_hold_up_another() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    process.enable("fine/").await.expect("mounted");
    for _ in 0..700 {
        process.credential(60).await;
    }
    scene.advance(1);
    let other = NewLease { target: "fine".into(), ..lasting(60) };
    let fine = process.issue(&process.root, "fine/creds/app", other).await.expect("issued");
    // Down for those at `db/` alone: an issuer that fails for them.
    struct Half(Arc<PrincipalIssuer>);
    impl keyturn_core::lease::Issuer for Half {
        fn revoke<'a>(
            &'a self,
            lease: &'a keyturn_core::lease::LeaseRecord,
        ) -> keyturn_core::storage::BoxFuture<'a, Result<(), IssuerError>> {
            if lease.id.starts_with("fine/") {
                return self.0.revoke(lease);
            }
            Box::pin(async { Err(IssuerError::Unreachable("down".to_owned())) })
        }
        fn terms<'a>(
            &'a self,
            lease: &'a keyturn_core::lease::LeaseRecord,
        ) -> keyturn_core::storage::BoxFuture<'a, Result<keyturn_core::lease::Terms, IssuerError>> {
            self.0.terms(lease)
        }
        fn renew<'a>(
            &'a self,
            lease: &'a keyturn_core::lease::LeaseRecord,
            until: keyturn_core::clock::Timestamp,
        ) -> keyturn_core::storage::BoxFuture<'a, Result<(), IssuerError>> {
            self.0.renew(lease, until)
        }
    }
    process.core.leases().register(Engine::Kv1, Arc::new(Half(Arc::clone(&process.issuer))));
    scene.advance(60);
    process.tend().await;
    assert_eq!(scene.target.names().len(), 700);
    assert!(!scene.target.names().contains(&fine.id));
}

#[tokio::test]
async fn what_is_counted_is_what_is_there_after_a_restart_too() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    for _ in 0..3 {
        process.credential(60).await;
    }
    let other = NewLease { role: "other".into(), ..lasting(600) };
    for _ in 0..600 {
        process.issue(&process.root, PATH, other.clone()).await.expect("issued");
    }
    let active = vec![("db/".to_owned(), "other".to_owned(), 600), ("db/".to_owned(), "app".to_owned(), 3)];
    let statistics = process.statistics().await;
    assert_eq!((statistics.issued, &statistics.active), (603, &active));
    process.stop().await;
    let process = scene.boot().await;
    while process.statistics().await.active.iter().map(|(_, _, count)| count).sum::<u64>() < 603 {
        tokio::task::yield_now().await;
    }
    assert_eq!(process.statistics().await.active, active);
    scene.target.set_mood(Mood::Down);
    scene.advance(61);
    let statistics = process.statistics().await;
    assert_eq!((statistics.queued, statistics.oldest_overdue), (3, 1));
    scene.target.set_mood(Mood::Well);
    process.tend().await;
    let statistics = process.statistics().await;
    assert_eq!((statistics.queued, statistics.revoked, statistics.active.len()), (0, 3, 1));
}
