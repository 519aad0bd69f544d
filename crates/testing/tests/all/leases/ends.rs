//! What a lease ends with: its token, its mount.

use super::*;

#[tokio::test]
async fn a_tokens_leases_die_with_it() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let kept = process.credential(600).await;
    let parent = process.token(living(600)).await.expect("a token");
    let permit = process.ask(&parent.token, Update, "auth/token/create").await.expect("permitted");
    let child = process.core.tokens().create(permit, living(600), None, false).await.expect("a token");
    for token in [&parent.token, &parent.token, &child.token] {
        process.issue(token, PATH, lasting(600)).await.expect("issued");
    }
    assert_eq!(scene.target.names().len(), 4);
    process.revoke_token(&parent.token).await.expect("revoked");
    process.tend().await;
    assert_eq!(scene.target.names(), [kept.id]);
    assert!(scene.is_in_step().await);
}

#[tokio::test]
async fn and_with_its_end() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let token = process.token(living(60)).await.expect("a token");
    process.issue(&token.token, PATH, lasting(600)).await.expect("issued");
    // A token's index is by whole seconds, so it goes in the second after.
    scene.advance(62);
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
}

#[tokio::test]
async fn more_leases_than_a_page_die_with_their_token() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let token = process.token(living(6000)).await.expect("a token");
    for _ in 0..600 {
        process.issue(&token.token, PATH, lasting(600)).await.expect("issued");
    }
    process.revoke_token(&token.token).await.expect("revoked");
    process.tend().await;
    scene.advance(1);
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
    assert!(scene.target.most_at_once() <= 8, "{}", scene.target.most_at_once());
}

#[tokio::test]
async fn a_credential_whose_token_was_revoked_meanwhile_is_not_handed_out() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let token = process.token(living(600)).await.expect("a token");
    let pending = process.begin(&token.token, PATH, lasting(600)).await.expect("begun");
    process.issuer.create(pending.lease()).await.expect("created");
    process.revoke_token(&token.token).await.expect("revoked");
    let confirmed = process.core.leases().confirm(pending).await;
    assert!(matches!(confirmed, Err(NotIssued::Denied)), "{confirmed:?}");
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
}

#[tokio::test]
async fn a_renewed_token_confirms_all_the_same() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let token = process.token(CreateToken { explicit_max_ttl: 9000, ..living(600) }).await.expect("a token");
    let pending = process.begin(&token.token, PATH, lasting(600)).await.expect("begun");
    process.issuer.create(pending.lease()).await.expect("created");
    let permit = process.permit(Update, "auth/token/renew").await;
    process.core.tokens().renew(permit, Which::Token(&token.token), 600).await.expect("renewed");
    process.core.leases().confirm(pending).await.expect("confirmed");
    assert!(scene.is_in_step().await);
}

#[tokio::test]
async fn a_mount_takes_its_leases_along() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    for _ in 0..20 {
        process.credential(600).await;
    }
    let pending = process.begin(&process.root, PATH, lasting(600)).await.expect("begun");
    process.issuer.create(pending.lease()).await.expect("created");
    let permit = process.permit(Delete, "sys/mounts/db").await;
    process.core.disable_mount(permit, "db").await.expect("disabled");
    let confirmed = process.core.leases().confirm(pending).await;
    assert!(matches!(confirmed, Err(NotIssued::MountGone(_))), "{confirmed:?}");
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
    process.enable("db/").await.expect("the path is free again");
}

#[tokio::test]
async fn a_mount_that_moves_leaves_no_lease_behind() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    process.credential(600).await;
    let permit = process.permit(Update, "sys/remount").await;
    process.core.remount(permit, "db/", "other/").await.expect("moved");
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
    process.issue(&process.root, "other/creds/app", lasting(600)).await.expect("issued");
    process.enable("db/").await.expect("the path is free again");
}

#[tokio::test]
async fn a_mount_whose_target_is_down_keeps_what_its_leases_need() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    let lease = process.credential(600).await;
    scene.target.set_mood(keyturn_testing::Mood::Down);
    let permit = process.permit(Delete, "sys/mounts/db").await;
    let disabled = process.core.disable_mount(permit, "db/").await;
    let Err(MountError::NotRevoked { path, failed, first }) = disabled else { panic!("{disabled:?}") };
    assert_eq!((path.as_str(), failed), ("db/", 1));
    assert!(first.contains(&lease.id) && first.contains("connection refused"), "{first}");
    assert!(process.begin(&process.root, PATH, lasting(60)).await.is_err(), "it is gone all the same");
    assert!(matches!(process.enable("db/").await, Err(MountError::InUse(_))));
    assert!(matches!(process.enable("db/x/").await, Err(MountError::InUse(_))));
    // Not even the next process forgets it.
    process.stop().await;
    let process = scene.boot().await;
    assert!(matches!(process.enable("db/").await, Err(MountError::InUse(_))));
    scene.target.set_mood(keyturn_testing::Mood::Well);
    scene.advance(20);
    process.tend().await;
    assert!(scene.target.names().is_empty() && scene.traces().await.is_empty());
    process.enable("db/").await.expect("the path is free again");
}

#[tokio::test]
async fn force_frees_the_path_of_a_mount_whose_target_is_gone() {
    let scene = Scene::new().await;
    let process = scene.boot().await;
    process.credential(600).await;
    scene.target.set_mood(keyturn_testing::Mood::Down);
    let permit = process.permit(Delete, "sys/mounts/db").await;
    process.core.disable_mount(permit, "db/").await.expect_err("its target is down");
    let permit = process.permit(Update, "sys/leases/revoke-force/db").await;
    assert_eq!(process.core.leases().revoke_force(permit).await.expect("dropped").dropped, 1);
    let permit = process.permit(Delete, "sys/mounts/db").await;
    process.core.disable_mount(permit, "db").await.expect("nothing is left");
    process.enable("db/").await.expect("the path is free again");
}
