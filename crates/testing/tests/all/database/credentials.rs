//! Credentials on demand, and the administrator's own.

use keyturn_core::{
    lease::LeaseError,
    policy::Operation::{Read, Update},
    token::Which,
};
use keyturn_testing::FAILING;

use super::world::*;
use keyturn_core::database::DatabaseError;

#[tokio::test]
async fn a_credential_lives_as_long_as_its_lease() {
    let world = World::new().await;
    let issued = world.issue().await.expect("issued");
    assert!(world.databases.lets_in(URL, &issued.username, issued.password.expose_secret()));
    assert!(issued.lease.id.starts_with("database/creds/app/") && issued.lease.renewable);
    assert_eq!(issued.lease.ttl, 3600);
    let user = world.databases.users(URL)[&issued.username].clone();
    assert_eq!(user.expires, issued.lease.expires.map(|end| keyturn_core::clock::after(end, 5)));
    world.pass(3000).await;
    let permit = world.permit(Update, "sys/leases/renew").await;
    world.core.leases().renew(permit, &issued.lease.id, 3600).await.expect("renewed");
    world.pass(3000).await;
    assert_eq!(world.leased_users().len(), 1, "renewed");
    world.until("the end", async || world.leased_users().is_empty() && world.leases().await.is_empty()).await;
    assert!(world.databases.users(URL).contains_key(ADMIN));
}

#[tokio::test]
async fn what_cannot_be_made_leaves_nothing_behind() {
    let world = World::new().await;
    world.role(|role| role.creation_statements = vec![FAILING.into()]).await.expect("a role");
    let error = world.issue().await.expect_err("refused").to_string();
    assert!(error.contains("statement 1 failed"), "{error}");
    assert!(world.leased_users().is_empty() && world.leases().await.is_empty());
    world.databases.set_down(URL, true);
    world.role(|role| role.creation_statements.clear()).await.expect("a role");
    assert!(world.issue().await.is_err());
    world.databases.set_down(URL, false);
    world.until("the end", async || world.leases().await.is_empty()).await;
    assert!(world.leased_users().is_empty());
}

#[tokio::test]
async fn only_roles_that_the_connection_allows_are_served() {
    let world = World::new().await;
    world.connect(|connection| connection.allowed_roles = vec!["other*".into()]).await.expect("written");
    assert!(matches!(world.issue().await, Err(DatabaseError::NotAllowed(name)) if name == "app"));
    let permit = world.permit(Read, "database/creds/none").await;
    assert!(matches!(world.core.database().issue(permit).await, Err(DatabaseError::NoRole(_))));
    assert!(world.leases().await.is_empty());
}

#[tokio::test]
async fn a_template_never_takes_over_a_user_that_is_there() {
    let world = World::new().await;
    world.databases.add(URL, "owner", "theirs");
    for (template, name) in [("{{ \"owner\" }}", "owner"), ("admin", ADMIN)] {
        world.connect(|connection| connection.username_template = template.into()).await.expect("written");
        let error = world.issue().await.expect_err("refused").to_string();
        assert!(error.contains("exists already"), "{error}");
        assert!(world.databases.users(URL).contains_key(name), "still there");
    }
    assert!(world.databases.lets_in(URL, "owner", "theirs") && world.databases.lets_in(URL, ADMIN, FIRST));
    let long = "{{ printf \"%s%s\" (random 40) (random 40) }}";
    world.connect(|connection| connection.username_template = long.into()).await.expect("written");
    assert!(world.issue().await.expect_err("too long").to_string().contains("takes 63"));
}

#[tokio::test]
async fn a_role_that_is_gone_keeps_its_leases_to_their_end() {
    let world = World::new().await;
    let issued = world.issue().await.expect("issued");
    let permit = world.delete("database/roles/app").await;
    world.core.database().delete_role(permit).await.expect("deleted");
    let permit = world.permit(Update, "sys/leases/renew").await;
    let error = world.core.leases().renew(permit, &issued.lease.id, 0).await.expect_err("no role");
    assert!(matches!(&error, LeaseError::NotRenewed(reason) if reason.to_string().contains("could not find role")));
    let permit = world.permit(Update, "sys/leases/revoke").await;
    world.core.leases().revoke(permit, &issued.lease.id, true).await.expect("revoked");
    assert!(world.leased_users().is_empty());
}

#[tokio::test]
async fn a_connection_that_is_gone_and_comes_back_is_cleaned_up() {
    let world = World::new().await;
    world.issue().await.expect("issued");
    let permit = world.delete("database/config/pg").await;
    world.core.database().delete_connection(permit).await.expect("deleted");
    assert!(matches!(world.issue().await, Err(DatabaseError::NoConnection(_))));
    world.pass(7200).await;
    assert_eq!(world.leases().await.len(), 1, "not forgotten");
    world.connect(|_| ()).await.expect("back");
    let permit = world.permit(Update, "sys/leases/revoke-prefix/database/creds/app").await;
    world.core.leases().revoke_prefix(permit, true).await.expect("revoked");
    assert!(world.leased_users().is_empty() && world.leases().await.is_empty());
}

#[tokio::test]
async fn a_token_takes_its_credentials_along() {
    let world = World::new().await;
    let token = world.child_token().await;
    let permit = world.permit_for(&token, Read, "database/creds/app").await;
    world.core.database().issue(permit).await.expect("issued");
    world.issue().await.expect("another's");
    let permit = world.permit(Update, "auth/token/revoke").await;
    assert!(world.core.tokens().revoke(permit, Which::Token(&token)).await.expect("revoked"));
    world.until("the end", async || world.leased_users().len() == 1).await;
    assert_eq!(world.leases().await.len(), 1);
}

#[tokio::test]
async fn a_mount_takes_its_credentials_along() {
    let world = World::new().await;
    world.issue().await.expect("issued");
    let permit = world.permit(Update, "sys/mounts/database").await;
    world.core.disable_mount(permit, "database/").await.expect("disabled");
    assert!(world.leased_users().is_empty());
}

#[tokio::test]
async fn nobody_sees_the_administrators_new_password() {
    let world = World::new().await;
    world.rotate_root().await.expect("rotated");
    assert!(!world.databases.lets_in(URL, ADMIN, FIRST));
    assert!(world.issue().await.is_ok(), "the new one is used");
    world.connect(|connection| connection.max_open_connections = 3).await.expect("kept by a write without one");
    assert!(world.connect(|connection| connection.set_password("wrong".into())).await.is_err());
    assert!(world.issue().await.is_ok(), "a write that fails changes nothing");
    let refused = world.connect(|connection| connection.root_rotation_statements = vec!["x {{other}}".into()]).await;
    assert!(matches!(refused, Err(DatabaseError::Invalid(_))));
    world.connect(|connection| connection.root_rotation_statements = vec![FAILING.into()]).await.expect("written");
    assert!(matches!(world.rotate_root().await, Err(DatabaseError::Root(_))));
    assert!(world.issue().await.is_ok());
}

#[tokio::test]
async fn a_database_that_was_slow_is_not_given_two_answers() {
    // The rotation is not heard of, nor done yet when the next use comes: the candidate is set once more.
    let world = World::new().await;
    for fault in [keyturn_testing::crash::Fault::NeverDone, keyturn_testing::crash::Fault::AnswerLost] {
        let before = world.databases.users(URL)[ADMIN].passwords.clone();
        world.faults.arm(2, fault);
        assert!(world.rotate_root().await.is_err());
        world.faults.disarm();
        world.reset().await.expect("settled");
        assert_ne!(world.databases.users(URL)[ADMIN].passwords, before, "{fault:?}");
        assert!(world.issue().await.is_ok());
    }
}
