//! The process dies at every commit and every call to the database, before it is done and after. What must hold once
//! another process has come up and had its time:
//!
//! - the users in the database are those of the leases that are alive, and nobody was handed a credential that is not;
//! - the administrator's password is known to the connection;
//! - a static role's password, as it is read, is the one that is set.

use keyturn_core::{
    database::StaticRole,
    policy::Operation::{Read, Update},
    rotation::{Phase, Strategy},
};
use keyturn_testing::{FAILING, crash::Fault};

use super::world::*;
use crate::real::Case;

const FAULTS: [Fault; 4] = [Fault::DiesBefore, Fault::DiesAfter, Fault::AnswerLost, Fault::NeverDone];

/// Runs `act` on a world that `prepare` made ready, once for each step and fault, and hands over what is left. `true`:
/// `act` succeeded as far as it knows.
pub(super) async fn everywhere(
    make: impl AsyncFn() -> World,
    prepare: impl AsyncFn(&World),
    act: impl AsyncFn(&World) -> bool,
    check: impl AsyncFn(&World, bool, &str),
) {
    let mut points = 0;
    'steps: for step in 1.. {
        for fault in FAULTS {
            let mut world = make().await;
            prepare(&world).await;
            world.faults.arm(step, fault);
            let done = act(&world).await;
            let at = format!("step {step}, {fault:?}");
            let (struck, dead) = (world.faults.has_struck(), world.faults.is_dead());
            if dead {
                world.restart().await;
            } else {
                world.faults.disarm();
            }
            assert!(struck || done, "it works when nothing fails");
            check(&world, done, &at).await;
            world.clear().await;
            if !struck {
                break 'steps;
            }
            points += 1;
        }
    }
    assert!(points > FAULTS.len(), "there is something to interrupt");
}

/// As many users as leases, and no more than one of each.
pub(crate) async fn settled(world: &World, at: &str) -> usize {
    world
        .until(&format!("{at}: users equal to leases"), async || {
            world.leases().await.len() == world.users().await.len()
        })
        .await;
    world.leases().await.len()
}

pub(crate) async fn issuing(make: impl AsyncFn() -> World) {
    everywhere(
        make,
        async |_| (),
        async |world| world.issue().await.is_ok(),
        async |world, done, at| {
            // What was not handed out is taken back; what was stays for its hour.
            world.pass(300).await;
            world
                .until(&format!("{at}: what was handed out"), async || {
                    let (users, leases) = (world.users().await.len(), world.leases().await.len());
                    (users, leases) == (usize::from(done), usize::from(done))
                })
                .await;
            world.until(&format!("{at}: the end"), async || world.users().await.is_empty()).await;
            assert_eq!(settled(world, at).await, 0, "{at}");
        },
    )
    .await;
}

/// The database refuses the last of the statements that make the user.
pub(crate) async fn giving_up(make: impl AsyncFn() -> World) {
    everywhere(
        make,
        async |world| {
            let failing = world.real.as_ref().map_or(FAILING, Case::failing).to_owned();
            world.role(|role| role.creation_statements.push(failing)).await.expect("a role");
        },
        async |world| world.issue().await.is_err(),
        async |world, _, at| {
            world.until(&format!("{at}: the end"), async || world.users().await.is_empty()).await;
            assert_eq!(settled(world, at).await, 0, "{at}");
        },
    )
    .await;
}

pub(crate) async fn revoking(make: impl AsyncFn() -> World) {
    let id = std::sync::Mutex::new(String::new());
    everywhere(
        make,
        async |world| *id.lock().expect("unpoisoned") = world.issue().await.expect("issued").lease.id,
        async |world| {
            let Some(permit) = world.try_permit(&world.token, Update, "sys/leases/revoke").await else { return false };
            let lease = id.lock().expect("unpoisoned").clone();
            world.core.leases().revoke(permit, &lease, true).await.is_ok()
        },
        async |world, done, at| {
            if done {
                assert!(world.users().await.is_empty(), "{at}: who is told so can rely on it");
            }
            world.until(&format!("{at}: the end"), async || world.users().await.is_empty()).await;
            assert_eq!(settled(world, at).await, 0, "{at}");
        },
    )
    .await;
}

pub(crate) async fn renewing(make: impl AsyncFn() -> World) {
    let id = std::sync::Mutex::new(String::new());
    everywhere(
        make,
        async |world| *id.lock().expect("unpoisoned") = world.issue().await.expect("issued").lease.id,
        async |world| {
            let Some(permit) = world.try_permit(&world.token, Update, "sys/leases/renew").await else { return false };
            let lease = id.lock().expect("unpoisoned").clone();
            world.core.leases().renew(permit, &lease, 7200).await.is_ok()
        },
        async |world, done, at| {
            assert_eq!(settled(world, at).await, 1, "{at}: still there");
            world.pass(3700).await;
            if done {
                assert_eq!(settled(world, at).await, 1, "{at}: renewed");
            }
            world.until(&format!("{at}: the end"), async || world.users().await.is_empty()).await;
            assert_eq!(settled(world, at).await, 0, "{at}");
        },
    )
    .await;
}

pub(crate) async fn rotating_the_administrator(make: impl AsyncFn() -> World) {
    everywhere(
        make,
        async |_| (),
        async |world| world.rotate_root().await.is_ok(),
        async |world, done, at| {
            world.reset().await.unwrap_or_else(|error| panic!("{at}: locked out: {error}"));
            world.issue().await.unwrap_or_else(|error| panic!("{at}: {error}"));
            let (first, good) = world.administrators().await;
            assert!(!done || !first, "{at}: the first password is good still");
            assert_eq!(good, 1, "{at}: one password is good");
            world.rotate_root().await.unwrap_or_else(|error| panic!("{at}: again: {error}"));
            world.reset().await.expect("good");
            assert_eq!(world.administrators().await, (false, 1), "{at}");
        },
    )
    .await;
}

#[tokio::test]
async fn issuing_in_memory() {
    issuing(World::new).await;
}

#[tokio::test]
async fn giving_up_in_memory() {
    giving_up(World::new).await;
}

#[tokio::test]
async fn revoking_in_memory() {
    revoking(World::new).await;
}

#[tokio::test]
async fn renewing_in_memory() {
    renewing(World::new).await;
}

#[tokio::test]
async fn rotating_the_administrator_in_memory() {
    rotating_the_administrator(World::new).await;
}

#[tokio::test]
async fn making_a_static_role() {
    everywhere(
        World::new,
        async |world| world.databases.add(URL, "app", "unknown"),
        async |world| world.static_role(|_| ()).await.is_ok(),
        async |world, done, at| {
            world.pass(30).await;
            match world.static_credential().await {
                Ok(_) => {
                    world.until(&format!("{at}: a good password"), async || is_good(world).await).await;
                }
                Err(_) => {
                    assert!(!done, "{at}: gone");
                    assert!(world.databases.lets_in(URL, "app", "unknown"), "{at}: nobody knows the password");
                }
            }
        },
    )
    .await;
}

/// Seconds between rotations: longer than any claim, and few rounds of upkeep.
const PERIOD: u64 = 300;

#[tokio::test]
async fn rotating_a_static_role() {
    everywhere(
        World::new,
        async |world| {
            world.databases.add(URL, "app", "unknown");
            world.static_role(|role| role.rotation_period = PERIOD).await.expect("made");
        },
        async |world| world.rotate_role().await.is_ok(),
        async |world, _, at| {
            world.until(&format!("{at}: a good password"), async || is_good(world).await).await;
            let before = world.static_credential().await.expect("readable").password;
            world
                .until(&format!("{at}: another"), async || !world.databases.lets_in(URL, "app", before.expose_secret()))
                .await;
            world.until(&format!("{at}: it is good"), async || is_good(world).await).await;
        },
    )
    .await;
}

#[tokio::test]
async fn rotating_a_static_role_that_overlaps() {
    for strategy in [Strategy::DualCredential, Strategy::Alternating] {
        everywhere(
            World::new,
            async |world| {
                world.databases.add(URL, "app", "unknown");
                let make = |role: &mut StaticRole| {
                    (role.strategy, role.owner_role, role.overlap_min) = (strategy, "owner".to_owned(), 0);
                    role.rotation_period = PERIOD;
                    if strategy == Strategy::Alternating {
                        role.username_alternate = "app_b".to_owned();
                    }
                };
                world.static_role(make).await.expect("made");
            },
            async |world| world.rotate_role().await.is_ok(),
            async |world, _, at| {
                let at = format!("{strategy:?}, {at}");
                assert!(is_good(world).await, "{at}: there is no gap");
                // It is read again and again, as applications do: who has not read the new one holds on to the one before.
                world.until(&format!("{at}: the end"), async || is_good(world).await && is_at_rest(world).await).await;
                assert!(is_good(world).await, "{at}");
                let before = world.static_credential().await.expect("readable");
                world
                    .until(&format!("{at}: another"), async || {
                        is_good(world).await
                            && !world.databases.lets_in(URL, &before.username, before.password.expose_secret())
                    })
                    .await;
                assert!(is_good(world).await, "{at}");
            },
        )
        .await;
    }
}

/// Nothing is under way, and one credential is good.
async fn is_at_rest(world: &World) -> bool {
    let path = "sys/rotation/database/static-roles/fixed";
    let Some(permit) = world.try_permit(&world.token, Read, path).await else { return false };
    let told = world.core.rotations().read(permit).await.expect("a rotation");
    let users = world.databases.users(URL);
    let good = users.iter().filter(|(name, _)| name.starts_with("app")).map(|(_, user)| user.passwords.len());
    told.rotation.phase == Phase::Idle && told.rotation.asked.is_none() && good.sum::<usize>() == 1
}

async fn is_good(world: &World) -> bool {
    let Ok(read) = world.static_credential().await else { return false };
    world.databases.lets_in(URL, &read.username, read.password.expose_secret())
}
