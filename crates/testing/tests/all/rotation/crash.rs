//! The process dies at every commit and around every call at the target, for each strategy, while a rotation is set up
//! and while one runs. After the restart the rotation ends by itself, and what is promised holds.

use keyturn_core::rotation::{Phase, Strategy};
use keyturn_testing::crash::{Point, everywhere};

use super::world::{World, settings};

/// A rotation that is set up and then runs; in some, a call fails so often that what was begun is taken back.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    strategy: Strategy,
    failing: Option<&'static str>,
}

/// Whatever fails on the way, fails.
async fn play(world: &World, scenario: Scenario) {
    if world.configure(settings(scenario.strategy)).await.is_err() || !world.finish().await {
        return;
    }
    if let Some(name) = scenario.failing {
        // One that comes about, so that both principals are there.
        if world.run().await.is_err() || !world.finish().await {
            return;
        }
        world.fake.with(|state| state.failing.insert(name, 6));
    }
    if world.run().await.is_ok() {
        world.finish().await;
    }
}

/// What holds whenever the process may die.
async fn check_always(world: &World, strategy: Strategy, what: &str) {
    if strategy == Strategy::InPlace || !strategy.has_target() {
        return;
    }
    if let Some((_, username, password)) = world.current().await {
        assert!(world.fake.lets_in(&username, &password), "{what}: the current credential is refused");
    }
}

/// What holds when nothing is under way.
pub(super) async fn check_at_rest(world: &World, strategy: Strategy, what: &str) {
    let view = world.view().await;
    assert_eq!(view.rotation.phase, Phase::Idle, "{what}");
    assert!(view.rotation.claim.is_none() && view.rotation.run.is_none(), "{what}: {:?}", view.rotation);
    let secret = world.secret().await;
    // What a hook filled before it failed waits for another attempt.
    let may_wait = strategy == Strategy::Hook && view.rotation.failure.is_some();
    let waits = secret.staged("pending").is_some();
    assert!(may_wait || !waits, "{what}: a pending version is left: {:?}", secret.versions);
    let current = world.current().await;
    let labelled = secret.versions.iter().filter(|version| version.stages.is_empty());
    assert!(labelled.clone().all(|version| !version.unreleased), "{what}: a version that nobody knows is left");
    let numbers: Vec<u64> = secret.versions.iter().map(|version| version.number).collect();
    let payloads = world.keys(&format!("kv/{}/data/", world.mount().await)).await;
    assert_eq!(payloads.len(), numbers.len(), "{what}: payloads and versions differ");
    if !strategy.has_target() {
        return;
    }
    match current {
        Some((_, username, password)) => {
            assert!(world.fake.lets_in(&username, &password), "{what}: the current credential is refused at rest");
            assert_eq!(world.fake.enabled(), [(username, 1)], "{what}: others can log in");
        }
        None => assert_eq!(world.fake.enabled(), [], "{what}: somebody can log in, and nobody knows"),
    }
    world.fake.with(|state| {
        for (name, user) in &state.users {
            assert!(name.starts_with("app") && user.member_of == "app_owner", "{what}: {name} is a stranger");
        }
    });
}

async fn exhaust(strategy: Strategy, failing: &[&'static str]) {
    let scenarios = std::iter::once(None).chain(failing.iter().copied().map(Some));
    for scenario in scenarios.map(|failing| Scenario { strategy, failing }) {
        let world = world_of(scenario).await;
        play(&world, scenario).await;
        check_at_rest(&world, strategy, "nothing dies").await;
        let view = world.view().await;
        assert_eq!(view.rotation.failure.is_some(), scenario.failing.is_some(), "{scenario:?}: {:?}", view.rotation);
        assert_eq!(view.rotation.count, 2, "{scenario:?}");
        let points = everywhere(async |point| strike(scenario, point).await).await;
        assert!(points > 20, "{scenario:?} has more than {points} points");
    }
}

async fn world_of(scenario: Scenario) -> World {
    let world = World::new().await;
    if scenario.strategy.overlaps() {
        world.watch();
    }
    world
}

/// Whether it came to that.
async fn strike(scenario: Scenario, point: Point) -> bool {
    let strategy = scenario.strategy;
    let what = format!("{scenario:?}, {point:?}");
    let mut world = world_of(scenario).await;
    world.faults.arm_at(point.place, point.step, point.fault);
    play(&world, scenario).await;
    let struck = world.faults.has_struck();
    if world.faults.is_dead() {
        world.restart().await;
    }
    world.faults.disarm();
    check_always(&world, strategy, &what).await;
    if world.keys(&format!("kv/{}/rotation/", world.mount().await)).await.is_empty() {
        // It died before there was one.
        return struck;
    }
    world.finish().await;
    check_at_rest(&world, strategy, &what).await;
    // It is not stuck: the next one comes about.
    world.fake.with(|state| state.failing.clear());
    let before = world.view().await.rotation.count;
    world.run().await.unwrap_or_else(|error| panic!("{what}: {error}"));
    world.finish().await;
    check_at_rest(&world, strategy, &what).await;
    assert_eq!(world.view().await.rotation.count, before + 1, "{what}: {:?}", world.view().await.rotation);
    let violations = world.fake.with(|state| std::mem::take(&mut state.violations));
    assert!(violations.is_empty(), "{what}: {violations:?}");
    struck
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alternating_survives_every_crash() {
    exhaust(Strategy::Alternating, &["log_in", "set_password"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dual_credential_survives_every_crash() {
    exhaust(Strategy::DualCredential, &["log_in", "add_password"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_place_survives_every_crash() {
    exhaust(Strategy::InPlace, &["log_in", "set_password"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_survives_every_crash() {
    exhaust(Strategy::Generated, &[]).await;
}
