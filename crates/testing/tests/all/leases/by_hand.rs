//! Renewing and revoking by hand.

use keyturn_core::lease::{LeaseError, Terms};
use keyturn_testing::Mood;

use super::*;

async fn renew(process: &Process, id: &str, increment: u64) -> Result<Lease, LeaseError> {
    let permit = process.permit(Update, "sys/leases/renew").await;
    process.core.leases().renew(permit, id, increment).await
}

async fn revoke(process: &Process, id: &str, wait: bool) -> Result<(), LeaseError> {
    let permit = process.permit(Update, "sys/leases/revoke").await;
    process.core.leases().revoke(permit, id, wait).await
}

#[tokio::test]
async fn a_renewal_counts_from_now_and_not_beyond_the_maximum() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    scene.target.set_terms(Terms { ttl: 60, max_ttl: 100 });
    let lease = process.credential(60).await;
    scene.advance(30);
    let renewed = renew(&process, &lease.id, 0).await.expect("renewed");
    assert_eq!((renewed.ttl, renewed.warnings.len(), renewed.last_renewal), (60, 0, Some(process.core.now())));
    assert_eq!(scene.target.until(&lease.id), renewed.expires);
    assert_eq!(renew(&process, &lease.id, 20).await.expect("renewed").ttl, 20, "less is less");
    let capped = renew(&process, &lease.id, 500).await.expect("renewed");
    assert_eq!((capped.ttl, capped.warnings.len()), (70, 1));
    scene.advance(69);
    process.tend().await;
    assert_eq!(scene.target.names(), [lease.id.as_str()]);
    scene.target.set_terms(Terms { ttl: 60, max_ttl: 90 });
    assert!(matches!(renew(&process, &lease.id, 0).await, Err(LeaseError::PastMax)));
    scene.advance(1);
    assert!(matches!(renew(&process, &lease.id, 0).await, Err(LeaseError::Expired)));
    process.tend().await;
    assert!(scene.traces().await.is_empty());
    assert!(matches!(renew(&process, &lease.id, 0).await, Err(LeaseError::NotFound)));
}

#[tokio::test]
async fn a_renewal_that_the_target_refuses_changes_nothing() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let lease = process.credential(60).await;
    for mood in [Mood::Down, Mood::Refusing, Mood::Unknown] {
        scene.target.set_mood(mood);
        assert!(matches!(renew(&process, &lease.id, 600).await, Err(LeaseError::NotRenewed(_))));
    }
    scene.target.set_mood(Mood::Well);
    scene.advance(60);
    process.tend().await;
    assert!(scene.target.names().is_empty());
    let fixed = process.issue(&process.root, PATH, NewLease { renewable: false, ..lasting(60) }).await.expect("issued");
    assert!(matches!(renew(&process, &fixed.id, 0).await, Err(LeaseError::NotRenewable)));
}

#[tokio::test]
async fn revoking_waits_for_the_target_or_does_not() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let (one, other) = (process.credential(600).await, process.credential(600).await);
    revoke(&process, &one.id, true).await.expect("revoked");
    assert_eq!((scene.target.names(), scene.leases().await), (vec![other.id.clone()], vec![other.id.clone()]));
    revoke(&process, &other.id, false).await.expect("written down");
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
    revoke(&process, &other.id, true).await.expect("it has ended already");
}

#[tokio::test]
async fn what_could_not_be_revoked_is_tried_again() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let lease = process.credential(600).await;
    scene.target.set_mood(Mood::Refusing);
    let refused = revoke(&process, &lease.id, true).await;
    let Err(LeaseError::NotRevoked { reason, .. }) = &refused else { panic!("{refused:?}") };
    assert_eq!(reason, "it owns objects");
    assert!(matches!(renew(&process, &lease.id, 600).await, Err(LeaseError::Expired)), "it is over all the same");
    let permit = process.permit(Update, "sys/leases/lookup").await;
    let seen = process.core.leases().lookup(permit, &lease.id).await.expect("there");
    assert_eq!(seen.error.as_deref(), Some("it owns objects"));
    scene.target.set_mood(Mood::Well);
    process.tend().await;
    assert_eq!(scene.target.names().len(), 1, "not yet");
    scene.advance(16);
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
}

#[tokio::test]
async fn a_prefix_is_one_of_whole_segments() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let other = process.issue(&process.root, "db/creds/apple", lasting(600)).await.expect("issued");
    for _ in 0..20 {
        process.credential(600).await;
    }
    let permit = process.permit(Update, "sys/leases/revoke-prefix/db/creds/app").await;
    process.core.leases().revoke_prefix(permit, true).await.expect("revoked");
    assert_eq!(scene.target.names(), [other.id.as_str()]);
    let permit = process.permit(Update, &format!("sys/leases/revoke-prefix/{}", other.id)).await;
    process.core.leases().revoke_prefix(permit, true).await.expect("revoked");
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
}

#[tokio::test]
async fn a_prefix_at_a_target_that_is_down_is_not_asked_for_each() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    for _ in 0..100 {
        process.credential(600).await;
    }
    let before = scene.target.asked();
    scene.target.set_mood(Mood::Down);
    let permit = process.permit(Update, "sys/leases/revoke-prefix/db").await;
    let refused = process.core.leases().revoke_prefix(permit, true).await;
    assert!(matches!(refused, Err(LeaseError::SomeNotRevoked { failed: 100, .. })), "{refused:?}");
    assert!(scene.target.asked() - before <= 8);
    scene.target.set_mood(Mood::Well);
    scene.advance(20);
    process.tend().await;
    scene.advance(1);
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
}

#[tokio::test]
async fn force_drops_what_cannot_be_revoked_and_says_so() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    for _ in 0..10 {
        process.credential(600).await;
    }
    scene.target.set_mood(Mood::Refusing);
    let permit = process.permit(Update, "sys/leases/revoke-force/db").await;
    let forced = process.core.leases().revoke_force(permit).await.expect("dropped");
    assert_eq!(forced.dropped, 10);
    assert!(forced.first.is_some_and(|first| first.contains("it owns objects")));
    assert!(scene.traces().await.is_empty() && scene.target.names().len() == 10);
    assert_eq!(process.statistics().await.forced, 10);
}
