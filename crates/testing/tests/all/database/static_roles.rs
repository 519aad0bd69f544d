//! Static roles.

use keyturn_core::database::{DatabaseError, StaticRole};
use keyturn_testing::{FAILING, crash::Fault};

use super::world::*;

async fn world() -> World {
    let world = World::new().await;
    world.databases.add(URL, "app", "unknown");
    world
}

async fn is_good(world: &World) -> bool {
    let read = world.static_credential().await.expect("readable");
    world.databases.lets_in(URL, &read.username, read.password.expose_secret())
}

#[tokio::test]
async fn a_static_role_is_rotated_when_it_is_made_and_by_its_period() {
    let world = world().await;
    world.static_role(|_| ()).await.expect("made");
    assert!(is_good(&world).await && !world.databases.lets_in(URL, "app", "unknown"));
    let first = world.static_credential().await.expect("readable");
    assert_eq!((first.ttl, first.rotation_period), (3600, 3600));
    world.pass(1800).await;
    assert_eq!(world.static_credential().await.expect("readable").ttl, 1800);
    world.until("a rotation", async || !world.databases.lets_in(URL, "app", first.password.expose_secret())).await;
    world.until("its outcome", async || is_good(&world).await).await;
}

#[tokio::test]
async fn what_was_missed_runs_once() {
    let mut world = world().await;
    world
        .static_role(|role| (role.rotation_period, role.rotation_schedule) = (0, "0 3 * * *".into()))
        .await
        .expect("made");
    let first = world.static_credential().await.expect("readable");
    assert_eq!(first.ttl, 3 * 3600);
    world.clock.advance(keyturn_core::clock::SignedDuration::from_hours(24 * 9 + 4));
    world.restart().await;
    world
        .until("a rotation", async || {
            world.static_credential().await.expect("readable").last_rotation > first.last_rotation
        })
        .await;
    let second = world.static_credential().await.expect("readable");
    assert!(is_good(&world).await && second.ttl > 20 * 3600, "{}", second.ttl);
    world.pass(3600).await;
    assert_eq!(world.static_credential().await.expect("readable").last_rotation, second.last_rotation);
}

#[tokio::test]
async fn a_window_that_is_over_waits_for_the_next() {
    let mut world = world().await;
    let nightly = |role: &mut StaticRole| {
        (role.rotation_period, role.rotation_schedule, role.rotation_window) = (0, "0 3 * * *".into(), 3600);
    };
    world.static_role(nightly).await.expect("made");
    let first = world.static_credential().await.expect("readable");
    world.clock.advance(keyturn_core::clock::SignedDuration::from_hours(5));
    world.restart().await;
    world.until("a plan", async || world.static_credential().await.expect("readable").ttl > 20 * 3600).await;
    assert_eq!(world.static_credential().await.expect("readable").last_rotation, first.last_rotation);
}

#[tokio::test]
async fn readers_get_the_old_password_until_the_new_one_is_set() {
    let world = world().await;
    world.static_role(|_| ()).await.expect("made");
    let first = world.static_credential().await.expect("readable").password;
    world.databases.set_down(URL, true);
    assert!(matches!(world.rotate_role().await, Err(DatabaseError::Rotation(_))));
    assert_eq!(world.static_credential().await.expect("readable").password.expose_secret(), first.expose_secret());
    world.databases.set_down(URL, false);
    assert!(is_good(&world).await, "nothing was set");
    world.until("the retry", async || !world.databases.lets_in(URL, "app", first.expose_secret())).await;
    world.until("its outcome", async || is_good(&world).await).await;
}

#[tokio::test]
async fn an_import_may_wait_for_its_time() {
    let world = world().await;
    world.static_role(|role| role.skip_import_rotation = true).await.expect("made");
    let read = world.static_credential().await.expect("readable");
    assert!(read.password.is_empty() && read.last_rotation.is_none() && read.ttl == 3600);
    assert!(world.databases.lets_in(URL, "app", "unknown"));
    world.rotate_role().await.expect("rotated");
    assert!(is_good(&world).await);
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_not_there() {
    let world = world().await;
    type Change = fn(&mut StaticRole);
    let cases: [(Change, &str); 6] = [
        (|role| role.username = ADMIN.into(), "rotate-root"),
        (|role| role.username = "nobody".into(), "there is no user"),
        (|role| role.db_name = "none".into(), "failed to find entry"),
        (|role| role.rotation_statements = vec![FAILING.into()], "statement 1 failed"),
        (|role| role.rotation_period = 4, "5 seconds or more"),
        (|role| role.password_policy = "none".into(), "policy does not exist"),
    ];
    for (change, told) in cases {
        let error = world.static_role(change).await.expect_err(told).to_string();
        assert!(error.contains(told), "{error}");
        assert!(matches!(world.static_credential().await, Err(DatabaseError::NoRole(_))), "{told}");
    }
    assert!(world.databases.lets_in(URL, "app", "unknown"));
}

#[tokio::test]
async fn names_of_roles_are_unique_over_both_kinds() {
    let world = world().await;
    let permit = world.create("database/static-roles/app").await;
    let change = |role: &mut StaticRole, _| {
        (role.db_name, role.username, role.rotation_period) = ("pg".into(), "app".into(), 60);
        role.skip_import_rotation = true;
        Ok::<_, DatabaseError>(())
    };
    let error = world.core.database().write_static_role(permit, change).await.expect_err("taken").to_string();
    assert_eq!(error, "Role and Static Role names must be unique");
    world.static_role(|_| ()).await.expect("made");
    let permit = world.create("database/roles/fixed").await;
    let change = |role: &mut keyturn_core::database::Role| {
        role.db_name = "pg".into();
        Ok::<_, DatabaseError>(())
    };
    let error = world.core.database().write_role(permit, change).await.expect_err("taken").to_string();
    assert_eq!(error, "Role and Static Role names must be unique");
}

#[tokio::test]
async fn an_answer_that_is_lost_is_found_out() {
    for fault in [Fault::AnswerLost, Fault::NeverDone] {
        let world = world().await;
        world.static_role(|_| ()).await.expect("made");
        // The candidate's commit, then the call.
        world.faults.arm(2, fault);
        assert!(world.rotate_role().await.is_err());
        world.faults.disarm();
        world.until("its outcome", async || is_good(&world).await).await;
        world.rotate_role().await.expect("again");
        assert!(is_good(&world).await);
    }
}
