//! What ends is told of exactly within its time, although no round reads more than has come within reach since the last.

use std::collections::{BTreeMap, BTreeSet};

use keyturn_core::{
    alert::{AlertView, Conditions},
    clock::SignedDuration,
    door::{Answer, Ask, Credential, Permit},
    kv::{Payload, PutVersion, Secret, SecretChange, Verdict},
    policy::Operation,
};
use keyturn_testing::TestNode;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

struct World(TestNode);

fn allowed(_: &Secret) -> Verdict {
    Verdict::Allowed
}

impl World {
    async fn start() -> Self {
        Self(TestNode::start().await.expect("a store"))
    }

    async fn permit(&self, operation: Operation, path: &str) -> Permit {
        let credential = Some(Credential::Token(&self.0.root_token));
        let ask = Ask { credential, ..Ask::new("test", operation, path) };
        let core = self.0.core().expect("open");
        let (exchange, admitted) = core.admit(ask).await;
        exchange.conclude(Answer::default()).await.expect("recorded");
        admitted.expect("admitted")
    }

    async fn pass(&self, seconds: u64) {
        self.0.clock.advance(SignedDuration::from_secs(i64::try_from(seconds).expect("seconds")));
        self.0.core().expect("open").tend().await.expect("upkeep");
    }

    /// A secret that is gone in `window` seconds.
    async fn ends_in(&self, name: &str, window: u64) {
        let core = self.0.core().expect("open");
        let permit = self.permit(Operation::Update, &format!("secret/data/{name}")).await;
        let payload = Payload::from_text(b"x".to_vec().into());
        let version = Some(PutVersion { id: name.to_owned(), payload, stages: Vec::new() });
        core.kv().create(permit, SecretChange { version, ..SecretChange::default() }).await.expect("made");
        let permit = self.permit(Operation::Delete, &format!("secret/data/{name}")).await;
        core.kv().schedule_deletion(permit, window, &allowed).await.expect("scheduled");
    }

    async fn restore(&self, name: &str) {
        let permit = self.permit(Operation::Update, &format!("secret/undelete/{name}")).await;
        self.0.core().expect("open").kv().restore(permit, &allowed).await.expect("restored");
    }

    async fn ask(&self, conditions: &str) -> AlertView {
        let conditions: Conditions = conditions.parse().expect("conditions");
        let permit = self.permit(Operation::Read, "sys/alerts").await;
        self.0.core().expect("open").alerts().read(permit, &conditions).await.expect("an answer")
    }

    async fn firing(&self) -> BTreeSet<String> {
        self.ask("").await.firing.into_iter().map(|(_, firing)| firing.subject).collect()
    }
}

#[tokio::test]
async fn what_ends_is_told_of_exactly_within_its_time() {
    let world = World::start().await;
    let (within, min_life) = (3 * DAY, 6 * DAY);
    let mut ends: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let (mut now, mut seed) = (0_u64, 0x9e37_79b9_u64);
    world.pass(60).await;
    for round in 0..120 {
        // Lives from one hour to twenty days, made at all times, some taken back.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let window = (seed >> 33) % (20 * 24) * HOUR + HOUR;
        let name = format!("s{round}");
        world.ends_in(&name, window).await;
        ends.insert(format!("secret/{name}"), (now, window));
        if round % 7 == 6 {
            let name = format!("s{}", round - 5);
            if ends.remove(&format!("secret/{name}")).is_some_and(|(began, window)| began + window > now) {
                world.restore(&name).await;
            }
        }
        let step = (seed >> 20) % (9 * HOUR) + 30;
        world.pass(step).await;
        now += step;
        let told: BTreeSet<String> = ends
            .iter()
            .filter(|(_, (began, window))| {
                let end = began + window;
                *window >= min_life && end > now && end - now <= within
            })
            .map(|(subject, _)| subject.clone())
            .collect();
        assert_eq!(world.firing().await, told, "in round {round}");
        let asked: BTreeSet<String> =
            world.ask("secret-expiring=3d").await.matched.into_iter().map(|found| found.subject).collect();
        assert_eq!(asked, told, "asked in round {round}");
    }
    assert!(now > 20 * DAY, "some have ended");
}

#[tokio::test]
async fn nothing_is_looked_at_between_two_rounds() {
    let world = World::start().await;
    world.pass(60).await;
    let first = world.ask("").await.evaluated.expect("looked at");
    world.pass(14).await;
    assert_eq!(world.ask("").await.evaluated, Some(first));
    world.pass(1).await;
    assert_ne!(world.ask("").await.evaluated, Some(first));
    world.0.clock.advance(SignedDuration::from_hours(-2));
    world.pass(0).await;
    assert!(world.ask("").await.evaluated < Some(first), "a clock that was set back does not put it off");
}
