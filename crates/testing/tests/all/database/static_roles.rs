//! Static roles.

use keyturn_core::{
    clock::SignedDuration,
    database::{DatabaseError, StaticRole},
    policy::Operation,
    rotation::{RotationError, RotationView, Strategy},
};
use keyturn_testing::{
    FAILING,
    crash::{Fault, Place},
};

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
        // The first call that changes something: it comes after one that looks whether the user is there.
        world.faults.arm_at(Place::Call, 2, fault);
        assert!(world.rotate_role().await.is_err());
        world.faults.disarm();
        world.until("its outcome", async || is_good(&world).await).await;
        world.rotate_role().await.expect("again");
        assert!(is_good(&world).await);
    }
}

async fn view(world: &World) -> RotationView {
    let permit = world.permit(Operation::Read, ROTATION).await;
    world.core.rotations().read(permit).await.expect("a rotation")
}

const ROTATION: &str = "sys/rotation/database/static-roles/fixed";

#[tokio::test]
async fn its_rotation_is_one_as_a_secrets() {
    let world = world().await;
    world.static_role(|_| ()).await.expect("made");
    let rotations = world.core.rotations();
    let listed = rotations.list(world.permit(Operation::List, "sys/rotation").await, "", 10).await.expect("listed");
    assert_eq!(listed, ["database/static-roles/fixed"]);
    let behind = rotations.list(world.permit(Operation::List, "sys/rotation").await, &listed[0], 10).await;
    assert!(behind.expect("listed").is_empty());
    let told = view(&world).await;
    assert_eq!((told.path.as_str(), told.rotation.state(), told.rotation.count), (listed[0].as_str(), "idle", 1));
    let permit = world.permit(Operation::Update, ROTATION).await;
    let change = rotations.configure(permit, Some(Strategy::InPlace), |_| Ok::<_, RotationError>(()));
    assert!(matches!(change.await, Err(RotationError::StaticRole(_))));
    let permit = world.permit(Operation::Delete, ROTATION).await;
    assert!(matches!(rotations.delete(permit, true).await, Err(RotationError::StaticRole(_))));
    let by_verb = |verb: &str| format!("sys/rotation-{verb}/database/static-roles/fixed");
    rotations.pause(world.permit(Operation::Update, &by_verb("pause")).await).await.expect("paused");
    let first = world.static_credential().await.expect("readable").password;
    world.pass(7200).await;
    assert!(matches!(world.rotate_role().await, Err(DatabaseError::Rotation(_))));
    assert!(world.databases.lets_in(URL, "app", first.expose_secret()), "paused");
    rotations.resume(world.permit(Operation::Update, &by_verb("resume")).await).await.expect("resumed");
    rotations.settled().await;
    assert!(is_good(&world).await && !world.databases.lets_in(URL, "app", first.expose_secret()));
    let id = rotations.run(world.permit(Operation::Update, &by_verb("run")).await, String::new(), false).await;
    rotations.settled().await;
    assert_eq!(view(&world).await.rotation.ended.map(|ended| ended.id), id.ok());
    world.core.database().delete_static_role(world.delete("database/static-roles/fixed").await).await.expect("deleted");
    let gone = rotations.read(world.permit(Operation::Read, ROTATION).await).await;
    assert!(matches!(gone, Err(RotationError::NotFound)));
    assert_eq!(world.keys("secret-rotation/").await, Vec::<String>::new());
}

#[tokio::test]
async fn two_commands_never_rotate_it_at_once() {
    let world = world().await;
    world.static_role(|_| ()).await.expect("made");
    world.clock.advance(SignedDuration::from_secs(3601));
    let (one, other, tended) = tokio::join!(world.rotate_role(), world.rotate_role(), world.core.tend());
    assert!(one.is_ok() && other.is_ok() && tended.is_ok(), "{one:?} {other:?} {tended:?}");
    world.core.rotations().settled().await;
    assert!(is_good(&world).await);
    // Each command has its own; what was due is done by whoever comes first.
    let count = view(&world).await.rotation.count;
    assert!((3..=4).contains(&count), "{count}");
    assert_eq!(world.databases.users(URL)["app"].changes, count);
}

#[tokio::test]
async fn of_two_nodes_one_rotates_it() {
    let world = world().await;
    world.static_role(|_| ()).await.expect("made");
    let node = world.another_node().await;
    let other = node.core().expect("open");
    let changes = || world.databases.users(URL)["app"].changes;
    let before = changes();
    world.clock.advance(SignedDuration::from_secs(3601));
    for _ in 0..20 {
        // What one writes down, the other may find changed.
        _ = tokio::join!(world.core.tend(), other.tend());
        world.core.rotations().settled().await;
        other.rotations().settled().await;
    }
    assert_eq!(changes() - before, 1);
    assert_eq!(view(&world).await.rotation.count, 2);
    assert!(is_good(&world).await);
}

#[tokio::test]
async fn a_database_that_is_down_is_asked_less_and_less() {
    let world = world().await;
    world.static_role(|_| ()).await.expect("made");
    let first = world.static_credential().await.expect("readable").password;
    world.databases.set_down(URL, true);
    world.pass(3601).await;
    for _ in 0..30 {
        world.pass(700).await;
        world.core.rotations().settled().await;
    }
    let told = view(&world).await;
    assert!(told.overdue && told.rotation.count == 1, "{:?}", told.rotation);
    world.databases.set_down(URL, false);
    assert!(world.databases.lets_in(URL, "app", first.expose_secret()), "the password before stays");
    world.until("another", async || !world.databases.lets_in(URL, "app", first.expose_secret())).await;
    world.until("its outcome", async || is_good(&world).await).await;
    world.until("the end", async || view(&world).await.rotation.state() == "idle").await;
    let told = view(&world).await;
    assert!(!told.overdue && told.rotation.retries == 0 && told.rotation.failure.is_none(), "{:?}", told.rotation);
}

#[tokio::test]
async fn a_role_may_go_while_it_waits_for_its_database() {
    let world = world().await;
    world.static_role(|_| ()).await.expect("made");
    world.databases.set_down(URL, true);
    assert!(world.rotate_role().await.is_err());
    let connection = world.core.database().delete_connection(world.delete("database/config/pg").await);
    connection.await.expect("deleted");
    world.pass(30).await;
    world.core.rotations().settled().await;
    assert!(matches!(world.static_credential().await, Err(DatabaseError::NoConnection(_))));
    assert!(matches!(world.rotate_role().await, Err(DatabaseError::Rotation(_))));
    world.core.database().delete_static_role(world.delete("database/static-roles/fixed").await).await.expect("deleted");
    world.pass(30).await;
    world.core.rotations().settled().await;
    assert_eq!(world.keys("secret-rotation/").await, Vec::<String>::new());
}

/// What a condition holds for.
async fn alerted(world: &World, condition: &str) -> Vec<(String, String)> {
    let permit = world.permit(Operation::Read, "sys/alerts").await;
    let told = world.core.alerts().read(permit, &condition.parse().expect("a condition")).await.expect("told");
    told.matched.into_iter().map(|found| (found.subject, found.message)).collect()
}

#[tokio::test]
async fn alerts_tell_of_its_rotation() {
    let world = world().await;
    world.static_role(|_| ()).await.expect("made");
    assert_eq!(alerted(&world, "rotation-failed,rotation-overdue").await, []);
    // The database is not there: what has begun is carried on for as long as it takes, or begun anew.
    world.databases.set_down(URL, true);
    world.pass(3601).await;
    world
        .until("an alert", async || {
            world.core.rotations().settled().await;
            !alerted(&world, "rotation-failed").await.is_empty()
        })
        .await;
    let told = alerted(&world, "rotation-failed").await;
    assert!(told.len() == 1 && told[0].0 == "database/static-roles/fixed" && told[0].1.contains("failed"), "{told:?}");
    let numbers = world.core.statistics(world.permit(Operation::Read, "sys/metrics").await).alerts.rotations;
    assert_eq!((numbers.total, numbers.states.values().sum::<u64>()), (1, 1), "{numbers:?}");
    world.databases.set_down(URL, false);
    world.until("the end", async || view(&world).await.rotation.state() == "idle").await;
    world.until("no alert", async || alerted(&world, "rotation-failed").await.is_empty()).await;
    assert_eq!(world.keys("secret-rotation/watch/").await, Vec::<String>::new());
    // Nobody hears of a role that is paused beyond its time by itself.
    let pause = world.permit(Operation::Update, "sys/rotation-pause/database/static-roles/fixed").await;
    world.core.rotations().pause(pause).await.expect("paused");
    world.clock.advance(SignedDuration::from_hours(2));
    let told = alerted(&world, "rotation-overdue").await;
    assert!(told.len() == 1 && told[0].0 == "database/static-roles/fixed", "{told:?}");
    world.core.database().delete_static_role(world.delete("database/static-roles/fixed").await).await.expect("deleted");
    assert_eq!(world.keys("secret-rotation/").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_stays_in_setting_is_told_of() {
    let world = world().await;
    world.static_role(|_| ()).await.expect("made");
    // The target answers to all but what changes the password: nobody can tell whether it was set.
    world.faults.arm_at(Place::Call, 2, Fault::NeverDone);
    assert!(world.rotate_role().await.is_err());
    assert_eq!(view(&world).await.rotation.state(), "setting");
    assert_eq!(alerted(&world, "rotation-failed").await, [], "it may come about yet");
    world.faults.disarm();
    world.databases.set_down(URL, true);
    world.until("an alert", async || !alerted(&world, "rotation-failed").await.is_empty()).await;
    assert_eq!(view(&world).await.rotation.state(), "setting", "it insists");
    let told = alerted(&world, "rotation-failed").await;
    assert!(told.len() == 1 && told[0].1.contains("setting"), "{told:?}");
}

#[tokio::test]
async fn with_a_mount_go_its_rotations() {
    let world = world().await;
    world.static_role(|_| ()).await.expect("made");
    let pause = world.permit(Operation::Update, "sys/rotation-pause/database/static-roles/fixed").await;
    world.core.rotations().pause(pause).await.expect("paused");
    assert_eq!(world.keys("secret-rotation/watch/").await.len(), 1);
    let permit = world.permit(Operation::Delete, "sys/mounts/database").await;
    world.core.disable_mount(permit, "database").await.expect("gone");
    world.pass(7200).await;
    world.core.rotations().settled().await;
    world.tend().await;
    assert_eq!(world.keys("secret-rotation/").await, Vec::<String>::new());
    assert_eq!(world.keys("database/").await, Vec::<String>::new());
}

/// Reads as somebody else does.
async fn read_as(world: &World, token: &keyturn_core::secret::SecretString) -> (String, String) {
    let permit = world.permit_for(token, Operation::Read, "database/static-creds/fixed").await;
    let read = world.core.database().read_static_credential(permit).await.expect("readable");
    (read.username, read.password.expose_secret().to_owned())
}

#[tokio::test]
async fn two_passwords_are_good_until_nobody_needs_the_one_before() {
    let world = world().await;
    world.static_role(|role| role.strategy = Strategy::DualCredential).await.expect("made");
    let consumer = world.child_token().await;
    let (name, first) = read_as(&world, &consumer).await;
    assert!(name == "app" && !world.databases.lets_in(URL, "app", "unknown"), "nobody knows the one before");
    world.rotate_role().await.expect("rotated");
    world.pass(600).await;
    world.core.rotations().settled().await;
    let told = view(&world).await;
    assert_eq!((told.rotation.state(), told.readers.consumers.len()), ("overlap", 1));
    assert_eq!(told.evidence.expect("a look").stragglers.len(), 1, "it has not read again");
    assert!(matches!(world.rotate_role().await, Err(DatabaseError::Rotation(reason)) if reason.contains("overlap")));
    let changed = world.static_role(|role| role.strategy = Strategy::InPlace).await;
    assert!(changed.is_err(), "its passwords may be in use");
    world.static_role(|role| role.rotation_period = 7200).await.expect("the rest may change");
    let (_, second) = read_as(&world, &consumer).await;
    assert!(second != first && world.databases.lets_in(URL, "app", &first));
    assert!(world.databases.lets_in(URL, "app", &second));
    world.until("the end", async || view(&world).await.rotation.state() == "idle").await;
    assert!(!world.databases.lets_in(URL, "app", &first) && world.databases.lets_in(URL, "app", &second));
}

#[tokio::test]
async fn two_users_take_turns() {
    let world = world().await;
    let make = |role: &mut StaticRole| {
        role.strategy = Strategy::Alternating;
        (role.username_alternate, role.owner_role) = ("app_b".to_owned(), "owner".to_owned());
    };
    world.static_role(make).await.expect("made");
    let consumer = world.child_token().await;
    let first = read_as(&world, &consumer).await;
    assert_eq!(first.0, "app");
    world.rotate_role().await.expect("rotated");
    let second = read_as(&world, &consumer).await;
    assert_eq!(second.0, "app_b");
    let good = |one: &(String, String)| world.databases.lets_in(URL, &one.0, &one.1);
    assert!(good(&first) && good(&second));
    let permit = world.permit(Operation::Update, "sys/rotation-rollback/database/static-roles/fixed").await;
    world.core.rotations().roll_back(permit).await.expect("back");
    world.core.rotations().settled().await;
    assert_eq!(read_as(&world, &consumer).await, first);
    world.until("the end", async || view(&world).await.rotation.state() == "idle").await;
    assert!(good(&first) && !good(&second));
    world.rotate_role().await.expect("rotated");
    let third = read_as(&world, &consumer).await;
    assert_eq!(third.0, "app_b");
    world.until("the end", async || view(&world).await.rotation.state() == "idle").await;
    assert!(good(&third) && !good(&first));
    let changed = world.static_role(|role| role.username_alternate = "app_c".to_owned()).await.expect_err("fixed");
    assert!(changed.to_string().contains("cannot update username_alternate"), "{changed}");
}
