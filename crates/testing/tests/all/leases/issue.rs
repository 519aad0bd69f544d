//! What is granted, and what a lease says.

use super::*;

#[tokio::test]
async fn a_credential_has_a_lease_until_it_ends() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let lease = process.credential(60).await;
    let (path, random) = lease.id.rsplit_once('/').expect("a path and an id");
    assert_eq!((path, random.len(), lease.ttl, lease.renewable), (PATH, 24, 60, true));
    assert_eq!(scene.target.until(&lease.id), lease.expires);
    let permit = process.permit(Update, "sys/leases/lookup").await;
    assert_eq!(process.core.leases().lookup(permit, &lease.id).await.expect("there"), lease);
    let permit = process.permit(List, "sys/leases/lookup/").await;
    assert_eq!(process.core.leases().list(permit).await.expect("listed"), ["db/"]);
    let permit = process.permit(List, &format!("sys/leases/lookup/{PATH}/")).await;
    assert_eq!(process.core.leases().list(permit).await.expect("listed"), [random]);
    scene.advance(59);
    process.tend().await;
    assert_eq!(scene.target.names(), [lease.id]);
    scene.advance(1);
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
}

#[tokio::test]
async fn tokens_and_credentials_share_one_tree() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    process.credential(60).await;
    process.token(living(60)).await.expect("a token");
    let permit = process.permit(List, "sys/leases/lookup/").await;
    assert_eq!(process.core.leases().list(permit).await.expect("listed"), ["auth/", "db/"]);
}

#[tokio::test]
async fn no_more_is_granted_than_role_and_mount_allow() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let long = process.issue(&process.root, PATH, NewLease { max_ttl: 100, ..lasting(200) }).await.expect("issued");
    assert_eq!(long.ttl, 100);
    assert!(long.warnings[0].contains("max_ttl"), "{:?}", long.warnings);
    let longest = process.credential(100_000_000).await;
    assert_eq!(longest.ttl, keyturn_core::mount::MAX_LEASE_TTL);
    let usual = process.credential(0).await;
    assert_eq!((usual.ttl, usual.warnings.len()), (keyturn_core::mount::DEFAULT_LEASE_TTL, 0));
}

#[tokio::test]
async fn a_batch_token_leases_no_longer_than_it_lives() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let parent = process.token(living(1000)).await.expect("a token");
    let permit = process.ask(&parent.token, Update, "auth/token/create").await.expect("permitted");
    let batch =
        CreateToken { kind: "batch".into(), ttl: 50, policies: vec!["default".into()], ..CreateToken::default() };
    let batch = process.core.tokens().create(permit, batch, None, false).await.expect("a token");
    let permit = process.permit(Update, "sys/policies/acl/default").await;
    let open = "path \"db/*\" { capabilities = [\"read\"] }";
    process.core.policies().write(permit, "default", open).await.expect("written");
    let lease = process.issue(&batch.token, PATH, lasting(600)).await.expect("issued");
    assert_eq!(lease.ttl, 50);
    let permit = process.permit(Update, "sys/leases/renew").await;
    let renewed = process.core.leases().renew(permit, &lease.id, 600).await.expect("renewed");
    assert_eq!((renewed.ttl, renewed.warnings.len()), (50, 1));
    process.revoke_token(&parent.token).await.expect("revoked");
    process.tend().await;
    assert!(scene.target.names().is_empty(), "it ends with the batch token's parent");
}

#[tokio::test]
async fn the_last_use_of_a_token_gets_no_credential() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let counted = process.token(CreateToken { num_uses: 2, ..living(600) }).await.expect("a token");
    process.issue(&counted.token, PATH, lasting(60)).await.expect("issued");
    let refused = process.issue(&counted.token, PATH, lasting(60)).await;
    assert!(matches!(refused, Err(NotIssued::LastUse)), "{refused:?}");
    process.tend().await;
    assert!(scene.target.names().is_empty(), "the first ended with the token");
}

#[tokio::test]
async fn an_intent_without_an_outcome_is_revoked() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let pending = process.begin(&process.root, PATH, lasting(600)).await.expect("begun");
    process.issuer.create(pending.lease()).await.expect("created");
    drop(pending);
    process.tend().await;
    assert_eq!(scene.target.names().len(), 1);
    scene.advance(LAPSE);
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
}

#[tokio::test]
async fn what_is_given_up_is_forgotten_or_revoked_twice() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let pending = process.begin(&process.root, PATH, lasting(600)).await.expect("begun");
    process.core.leases().abandon(pending, Undone::Nothing).await.expect("abandoned");
    assert!(scene.traces().await.is_empty() && scene.target.asked() == 0);
    let pending = process.begin(&process.root, PATH, lasting(600)).await.expect("begun");
    let late = pending.lease().clone();
    process.core.leases().abandon(pending, Undone::Perhaps).await.expect("abandoned");
    process.tend().await;
    assert_eq!(scene.target.asked(), 1);
    // The statement was on its way all the time.
    scene.target.create(&late);
    process.tend().await;
    assert!(!scene.traces().await.is_empty());
    scene.advance(LAPSE);
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
}

#[tokio::test]
async fn a_lapsed_intent_is_not_confirmed() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let pending = process.begin(&process.root, PATH, lasting(600)).await.expect("begun");
    scene.advance(LAPSE);
    process.tend().await;
    process.issuer.create(pending.lease()).await.expect("created");
    let confirmed = process.core.leases().confirm(pending).await;
    assert!(matches!(confirmed, Err(NotIssued::Revoked)), "{confirmed:?}");
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
}
