//! Any order of work, failures and crashes: once all is quiet, who exists is who has a lease.

use keyturn_core::lease::ACT_SECONDS;
use keyturn_testing::{
    Mood,
    crash::{Fault, Place},
};
use proptest::{collection::vec, prelude::*};

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Issue {
        ttl: u64,
        by_token: bool,
    },
    Begin {
        create: bool,
    },
    Confirm(usize),
    Abandon(usize),
    Renew(usize, u64),
    Revoke(usize, bool),
    RevokePrefix(bool),
    RevokeToken,
    Wait(i64),
    Tend,
    Mood(Mood),
    /// What goes wrong so many steps from now.
    Crash(u64, Fault),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let mood = prop_oneof![Just(Mood::Well), Just(Mood::Down), Just(Mood::Refusing)];
    let fault = prop::sample::select(Place::Call.faults());
    prop_oneof![
        6 => (1..400_u64, any::<bool>()).prop_map(|(ttl, by_token)| Step::Issue { ttl, by_token }),
        2 => any::<bool>().prop_map(|create| Step::Begin { create }),
        2 => (0..8_usize).prop_map(Step::Confirm),
        1 => (0..8_usize).prop_map(Step::Abandon),
        3 => (0..8_usize, 1..400_u64).prop_map(|(which, ttl)| Step::Renew(which, ttl)),
        3 => (0..8_usize, any::<bool>()).prop_map(|(which, wait)| Step::Revoke(which, wait)),
        1 => any::<bool>().prop_map(Step::RevokePrefix),
        1 => Just(Step::RevokeToken),
        4 => (1..120_i64).prop_map(Step::Wait),
        4 => Just(Step::Tend),
        2 => mood.prop_map(Step::Mood),
        2 => (1..15_u64, fault).prop_map(|(step, fault)| Step::Crash(step, fault)),
        1 => Just(Step::Restart),
    ]
}

/// The process of the moment, and what it has begun.
struct Run {
    scene: Scene,
    faults: Faults,
    process: Process,
    token: Option<SecretString>,
    /// Each with whether its credential was made.
    pending: Vec<(Pending, bool)>,
}

impl Run {
    async fn start() -> Self {
        let scene = Scene::new().await;
        let faults = Faults::default();
        let process = scene.boot_with(&faults).await.expect("booted");
        Self { scene, faults, process, token: None, pending: Vec::new() }
    }

    /// A new process, as after `kill -9`.
    async fn restart(&mut self) {
        self.faults.kill().await;
        self.pending.clear();
        self.faults = Faults::default();
        self.process = self.scene.boot_with(&self.faults).await.expect("booted");
    }

    async fn permit(&self, path: &str) -> Option<Permit> {
        self.process.ask(&self.process.root, Update, path).await.ok()
    }

    async fn pick(&self, which: usize) -> Option<String> {
        let leases = self.scene.leases().await;
        (!leases.is_empty()).then(|| leases[which % leases.len()].clone())
    }

    async fn token(&mut self) -> Option<SecretString> {
        if self.token.is_none() {
            self.token = self.process.token(living(100_000)).await.ok().map(|issued| issued.token);
        }
        self.token.clone()
    }

    async fn take(&mut self, step: &Step) {
        let leases = Arc::clone(self.process.core.leases());
        match step {
            Step::Issue { ttl, by_token } => {
                let token = if *by_token { self.token().await } else { Some(self.process.root.clone()) };
                let Some(token) = token else { return };
                let issued = self.process.issue(&token, PATH, lasting(*ttl)).await;
                if let Ok(lease) = issued {
                    assert!(self.scene.target.names().contains(&lease.id), "handed out without being made");
                }
            }
            Step::Begin { create } => {
                let root = self.process.root.clone();
                let Ok(pending) = self.process.begin(&root, PATH, lasting(300)).await else { return };
                let made = *create && self.process.issuer.create(pending.lease()).await.is_ok();
                self.pending.push((pending, made));
            }
            Step::Confirm(which) if !self.pending.is_empty() => {
                let (pending, made) = self.pending.remove(which % self.pending.len());
                // An engine makes the credential before it confirms, by a call that ends in time, or gives it up.
                let age = self.process.core.now().duration_since(pending.lease().issued).as_secs();
                let in_time = u64::try_from(age).is_ok_and(|age| age <= ACT_SECONDS);
                if made {
                    _ = leases.confirm(pending).await;
                } else if !in_time {
                    _ = leases.abandon(pending, Undone::Perhaps).await;
                } else if self.process.issuer.create(pending.lease()).await.is_ok() {
                    _ = leases.confirm(pending).await;
                }
            }
            Step::Abandon(which) if !self.pending.is_empty() => {
                let (pending, _) = self.pending.remove(which % self.pending.len());
                _ = leases.abandon(pending, Undone::Perhaps).await;
            }
            Step::Renew(which, ttl) => {
                let (Some(id), Some(permit)) = (self.pick(*which).await, self.permit("sys/renew").await) else {
                    return;
                };
                _ = leases.renew(permit, &id, *ttl).await;
            }
            Step::Revoke(which, wait) => {
                let (Some(id), Some(permit)) = (self.pick(*which).await, self.permit("sys/revoke").await) else {
                    return;
                };
                _ = leases.revoke(permit, &id, *wait).await;
            }
            Step::RevokePrefix(wait) => {
                let Some(permit) = self.permit("sys/leases/revoke-prefix/db").await else { return };
                _ = leases.revoke_prefix(permit, *wait).await;
            }
            Step::RevokeToken => {
                if let Some(token) = self.token.take() {
                    _ = self.process.revoke_token(&token).await;
                }
            }
            Step::Wait(seconds) => self.scene.advance(*seconds),
            Step::Tend => {
                _ = self.process.core.tend().await;
                _ = leases.settle().await;
            }
            Step::Mood(mood) => self.scene.target.set_mood(*mood),
            Step::Crash(step, fault) => self.faults.arm(*step, *fault),
            Step::Restart => self.restart().await,
            Step::Confirm(_) | Step::Abandon(_) => {}
        }
        if self.faults.is_dead() {
            self.restart().await;
        }
    }

    /// Waits until nothing is left to be done.
    async fn calm(&mut self) {
        self.restart().await;
        self.scene.target.set_mood(Mood::Well);
        for _ in 0..6 {
            let permit = self.permit("sys/leases/tidy").await.expect("permitted");
            self.process.core.leases().tidy(permit).await.expect("tidied");
            self.scene.advance(LAPSE);
            self.process.tend().await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_work_failures_and_crashes(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut run = Run::start().await;
            for step in &steps {
                run.take(step).await;
            }
            run.calm().await;
            let (there, traces) = (run.scene.target.names(), run.scene.traces().await);
            assert!(run.scene.is_in_step().await, "{:?} {there:?} {traces:#?}", run.process.core.now());
            let statistics = run.process.statistics().await;
            let active: u64 = statistics.active.iter().map(|(_, _, count)| count).sum();
            let in_force = run.scene.target.names().len() as u64;
            assert_eq!((active + statistics.irrevocable, statistics.queued), (in_force, 0));
            run.scene.advance(AGES);
            run.process.tend().await;
            run.process.tend().await;
            assert!(run.scene.traces().await.is_empty(), "{:?}", run.scene.traces().await);
        });
    }
}
