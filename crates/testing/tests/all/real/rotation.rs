//! The process dies at every commit and around every call at a real database, for each strategy, in the first rotation
//! and in a later one, in one that fails and is taken back, and in one that somebody takes back by hand.
//!
//! A death leaves all as it is at that point, and there is one for each: that the current credential is good there is
//! seen before anything else is done, by a login. MySQL's two passwords (from 8.0.14 on) are not among these, for Debian
//! has MariaDB alone.

use std::collections::BTreeSet;

use keyturn_core::{
    policy::Operation,
    rotation::{Phase, Settings, Strategy},
    secret::SecretString,
    target::TargetKind::{self, Mysql, Postgresql, Redis},
};
use keyturn_testing::crash::{Point, everywhere};

use super::{Case, engine::OWNER};
use crate::rotation::world::{SECRET, World};

/// Failures after which what was begun is taken back.
const TOO_MANY: u32 = 6;

/// What is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// The first rotation, which makes the principal where the engine has roles.
    First,
    /// The first, of which a call fails too often.
    FirstFailing(&'static str),
    /// A later one.
    Later,
    /// A later one, of which a call fails too often.
    Failing(&'static str),
    /// A later one, which somebody takes back during the overlap.
    Back,
}

#[derive(Debug, Clone, Copy)]
struct Scenario {
    kind: TargetKind,
    strategy: Strategy,
    work: Work,
}

impl Scenario {
    fn settings(self, case: &Case) -> Settings {
        let users: &[&str] = if self.strategy == Strategy::Alternating { &["a", "b"] } else { &["a"] };
        Settings {
            target: "db".to_owned(),
            users: users.iter().map(|user| case.name(user)).collect(),
            owner_role: if self.kind == Redis { String::new() } else { OWNER.to_owned() },
            overlap_min: if self.work == Work::Back { 300 } else { 0 },
            look_back: 60,
            ..Settings::new(self.strategy)
        }
    }

    /// The rotation, as it is before the work.
    async fn prepare(self) -> (Case, World) {
        let case = Case::new(self.kind).await;
        let world = World::over(case.world().await).await;
        world.connect_database(case.connection()).await;
        if self.kind == Redis {
            // Nobody is made there: the secret holds what somebody made.
            let name = case.name("a");
            case.make_by_hand(&name, "by hand").await;
            world.write(&format!(r#"{{"username":"{name}","password":"by hand"}}"#)).await;
        }
        if !matches!(self.work, Work::First | Work::FirstFailing(_)) {
            assert!(self.begin(&case, &world).await && world.finish().await);
            assert_eq!(world.view().await.rotation.count, 1, "{self:?}: {:?}", world.view().await.rotation);
        }
        (case, world)
    }

    /// Begins the first rotation, which begins by itself only where the secret holds no credential yet.
    async fn begin(self, case: &Case, world: &World) -> bool {
        world.configure(self.settings(case)).await.is_ok() && (self.kind != Redis || world.run().await.is_ok())
    }

    /// The work, as far as it comes.
    async fn play(self, case: &Case, world: &World) {
        let begun = match self.work {
            Work::First => self.begin(case, world).await,
            Work::FirstFailing(call) => {
                case.watched.fail(call, TOO_MANY);
                self.begin(case, world).await
            }
            Work::Later => world.run().await.is_ok(),
            Work::Failing(call) => {
                case.watched.fail(call, TOO_MANY);
                world.run().await.is_ok()
            }
            Work::Back => world.run().await.is_ok() && take_back(world).await,
        };
        if begun {
            world.finish().await;
        }
    }
}

/// Whether it came to that.
async fn take_back(world: &World) -> bool {
    for _ in 0..20 {
        world.tend().await;
        if world.faults.is_dead() {
            return false;
        }
        if world.view().await.rotation.phase == Phase::Overlap {
            let Some(permit) = world.try_permit(Operation::Update, &format!("sys/rotation-rollback/{SECRET}")).await
            else {
                return false;
            };
            return world.core.rotations().roll_back(permit).await.is_ok();
        }
        // What was lost is tried again later.
        world.pass(61).await;
    }
    panic!("it does not come to the overlap");
}

/// What holds at every point.
async fn check_always(scenario: Scenario, case: &Case, world: &World, what: &str) {
    let Some((_, username, password)) = world.current().await else { return };
    let password = SecretString::from(password.as_str());
    if case.lets_in(&username, &password).await {
        return;
    }
    // The gap that the strategy has: what is good by then is what is about to be current.
    assert_eq!(scenario.strategy, Strategy::InPlace, "{what}: the current credential is refused");
    let (_, good) = case.credentials().await;
    assert_eq!(good.len(), 1, "{what}: nobody is let in");
    assert!(world.read_staged("pending").await, "{what}: what is good is held by nobody");
}

/// What holds when nothing is under way.
async fn check_at_rest(case: &Case, world: &World, what: &str) {
    let view = world.view().await;
    assert_eq!(view.rotation.phase, Phase::Idle, "{what}");
    assert!(view.rotation.claim.is_none() && view.rotation.run.is_none(), "{what}: {:?}", view.rotation);
    let (existing, good) = case.credentials().await;
    let Some((current, username, password)) = world.current().await else {
        assert_eq!((existing, good), (Vec::new(), Vec::new()), "{what}: somebody is there, and nobody knows");
        return;
    };
    let secret = world.secret().await;
    assert!(secret.staged("pending").is_none(), "{what}: a pending version is left: {:?}", secret.versions);
    assert!(secret.versions.iter().all(|version| !version.unreleased || !version.stages.is_empty()), "{what}");
    assert_eq!(secret.current(), current, "{what}");
    let payloads = world.keys(&format!("kv/{}/data/", world.mount().await)).await;
    assert_eq!(payloads.len(), secret.versions.len(), "{what}: payloads and versions differ");
    assert_eq!(good, [(username, password)], "{what}: the current credential, and no other, is good");
    for name in &existing {
        assert!(case.is_member(name).await, "{what}: {name} is no member of the role");
    }
    // A principal that exists is one of a version, and the reverse.
    let mut held = BTreeSet::new();
    for version in &secret.versions {
        held.insert(world.username_of(version.number).await);
    }
    assert_eq!(existing.into_iter().collect::<BTreeSet<_>>(), held, "{what}: principals");
}

/// Whether it came to that.
async fn strike(scenario: Scenario, point: Option<Point>) -> bool {
    let what = point.map_or_else(|| format!("{scenario:?}"), |point| format!("{scenario:?}, {point:?}"));
    let (case, mut world) = scenario.prepare().await;
    if let Some(point) = point {
        world.faults.arm_at(point.place, point.step, point.fault);
    }
    scenario.play(&case, &world).await;
    let struck = world.faults.has_struck();
    if world.faults.is_dead() {
        world.restart().await;
    }
    world.faults.disarm();
    check_always(scenario, &case, &world, &what).await;
    if !world.keys(&format!("kv/{}/rotation/", world.mount().await)).await.is_empty() {
        world.finish().await;
        check_at_rest(&case, &world, &what).await;
        case.watched.mend();
        let before = world.view().await.rotation.count;
        if !struck {
            let fails = matches!(scenario.work, Work::FirstFailing(_) | Work::Failing(_));
            assert_eq!(
                world.view().await.rotation.failure.is_some(),
                fails,
                "{what}: {:?}",
                world.view().await.rotation
            );
        }
        // It is not stuck: the next one comes about.
        world.run().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        world.finish().await;
        check_at_rest(&case, &world, &what).await;
        assert_eq!(world.view().await.rotation.count, before + 1, "{what}: {:?}", world.view().await.rotation);
    }
    case.clear().await;
    struck
}

async fn exhaust(kind: TargetKind, strategy: Strategy, works: &[Work]) {
    for work in works {
        let scenario = Scenario { kind, strategy, work: *work };
        assert!(!strike(scenario, None).await);
        let points = everywhere(async |point| strike(scenario, Some(point)).await).await;
        assert!(points > 20, "{scenario:?} has more than {points} points");
    }
}

#[tokio::test]
async fn postgresql_alternates_through_every_crash() {
    exhaust(Postgresql, Strategy::Alternating, &[Work::First, Work::Later, Work::Back]).await;
}

#[tokio::test]
async fn postgresql_stays_as_it_is_when_alternating_fails_at_every_crash() {
    let works = [Work::FirstFailing("log_in"), Work::Failing("log_in"), Work::Failing("create_member")];
    exhaust(Postgresql, Strategy::Alternating, &works).await;
}

#[tokio::test]
async fn mariadb_alternates_through_every_crash() {
    exhaust(Mysql, Strategy::Alternating, &[Work::First, Work::Later, Work::Back]).await;
}

#[tokio::test]
async fn mariadb_stays_as_it_is_when_alternating_fails_at_every_crash() {
    let works = [Work::FirstFailing("log_in"), Work::Failing("log_in"), Work::Failing("create_member")];
    exhaust(Mysql, Strategy::Alternating, &works).await;
}

#[tokio::test]
async fn a_member_that_was_half_made_is_a_member_in_the_end() {
    // MariaDB makes an account and gives it its role by two statements, and there is no transaction around them.
    let scenario = Scenario { kind: Mysql, strategy: Strategy::Alternating, work: Work::First };
    let (case, world) = scenario.prepare().await;
    case.watched.break_after(case.creation());
    scenario.play(&case, &world).await;
    assert_eq!(world.view().await.rotation.count, 1);
    check_at_rest(&case, &world, "half-made").await;
    case.clear().await;
}

#[tokio::test]
async fn redis_has_two_passwords_through_every_crash() {
    let works = [Work::First, Work::FirstFailing("log_in"), Work::Later, Work::Failing("add_password"), Work::Back];
    exhaust(Redis, Strategy::DualCredential, &works).await;
}

#[tokio::test]
async fn postgresql_is_changed_in_place_through_every_crash() {
    let works = [Work::First, Work::FirstFailing("log_in"), Work::Later, Work::Failing("set_password")];
    exhaust(Postgresql, Strategy::InPlace, &works).await;
}

#[tokio::test]
async fn mariadb_is_changed_in_place_through_every_crash() {
    let works = [Work::First, Work::FirstFailing("log_in"), Work::Later, Work::Failing("set_password")];
    exhaust(Mysql, Strategy::InPlace, &works).await;
}

#[tokio::test]
async fn redis_is_changed_in_place_through_every_crash() {
    let works = [Work::First, Work::FirstFailing("log_in"), Work::Later, Work::Failing("set_password")];
    exhaust(Redis, Strategy::InPlace, &works).await;
}
