//! A process that is killed before or after each commit and each call at the target, or does not hear of a call's
//! outcome, one point after another: whatever the point, who exists at the target has a lease, and all ends in the end.

use std::ops::ControlFlow;

use keyturn_testing::crash::{Fault, Point, everywhere};

use super::*;

#[derive(Debug, Clone, Copy)]
enum Work {
    Issue,
    GiveUp,
    Renew,
    Revoke,
    RevokeLater,
    RevokeMany,
    Expire,
    RevokeToken,
    EndToken,
    Disable,
    Move,
    Force,
}

const ALL: [Work; 12] = [
    Work::Issue,
    Work::GiveUp,
    Work::Renew,
    Work::Revoke,
    Work::RevokeLater,
    Work::RevokeMany,
    Work::Expire,
    Work::RevokeToken,
    Work::EndToken,
    Work::Disable,
    Work::Move,
    Work::Force,
];

impl Work {
    /// Does the work as far as it comes, and answers the leases that were handed out and not taken back by it.
    async fn run(
        self,
        scene: &Scene,
        process: &Process,
        token: &SecretString,
    ) -> ControlFlow<Vec<String>, Vec<String>> {
        let mut held = Vec::new();
        macro_rules! tried {
            ($attempt:expr) => {
                match $attempt {
                    Ok(value) => value,
                    Err(_) => return ControlFlow::Break(held),
                }
            };
        }
        if matches!(self, Self::GiveUp) {
            let pending = tried!(process.begin(token, PATH, lasting(86_400)).await);
            _ = process.issuer.create(pending.lease()).await;
            tried!(process.core.leases().abandon(pending, Undone::Perhaps).await);
            tried!(process.core.leases().settle().await);
            return ControlFlow::Continue(held);
        }
        for _ in 0..2 {
            held.push(tried!(process.issue(token, PATH, lasting(86_400)).await).id);
        }
        // What is taken back is not held from the moment that it was asked for.
        let first = held[0].clone();
        let permit = async |path: &str| process.ask(&process.root, Update, path).await;
        match self {
            Self::Issue | Self::GiveUp => {}
            Self::Renew => {
                tried!(process.core.leases().renew(tried!(permit("sys/renew").await), &first, 90_000).await);
            }
            Self::Revoke | Self::RevokeLater => {
                let wait = matches!(self, Self::Revoke);
                held.remove(0);
                tried!(process.core.leases().revoke(tried!(permit("sys/revoke").await), &first, wait).await);
                tried!(process.core.leases().settle().await);
            }
            Self::RevokeMany => {
                held.clear();
                let permit = tried!(permit("sys/leases/revoke-prefix/db").await);
                tried!(process.core.leases().revoke_prefix(permit, true).await);
            }
            Self::Force => {
                held.clear();
                let permit = tried!(permit("sys/leases/revoke-force/db").await);
                tried!(process.core.leases().revoke_force(permit).await);
            }
            Self::Expire | Self::EndToken => {
                held.clear();
                scene.advance(if matches!(self, Self::Expire) { 86_401 } else { 50_001 });
                tried!(process.core.tend().await);
                tried!(process.core.leases().settle().await);
            }
            Self::RevokeToken => {
                held.clear();
                tried!(process.revoke_token(token).await);
                tried!(process.core.leases().settle().await);
            }
            Self::Disable => {
                held.clear();
                let permit = tried!(process.ask(&process.root, Delete, "sys/mounts/db").await);
                tried!(process.core.disable_mount(permit, "db/").await);
            }
            Self::Move => {
                held.clear();
                tried!(process.core.remount(tried!(permit("sys/remount").await), "db/", "moved/").await);
            }
        }
        ControlFlow::Continue(held)
    }
}

/// Has something go wrong at a point of the work; whether it came to that.
async fn struck_at(work: Work, point: Point) -> bool {
    let scene = Scene::new().await;
    let faults = Faults::default();
    let process = scene.boot_with(&faults).await.expect("booted");
    let token = process.token(living(50_000)).await.expect("a token").token;
    faults.arm_at(point.place, point.step, point.fault);
    let (ControlFlow::Continue(held) | ControlFlow::Break(held)) = work.run(&scene, &process, &token).await;
    let struck = faults.has_struck();
    if matches!(work, Work::Force) && point.fault == Fault::NeverDone {
        // Told to forget what the target does not do, it forgets it.
        return struck;
    }
    faults.kill().await;
    drop(process);

    let process = scene.boot().await;
    for id in &held {
        assert!(scene.target.names().contains(id), "{work:?}, {point:?}: handed out and gone");
    }
    // A call that was forced or cut short may have to be waited for.
    for _ in 0..3 {
        scene.advance(LAPSE);
        process.tend().await;
    }
    assert!(scene.is_in_step().await, "{work:?}, {point:?}: {:?} {:?}", scene.target.names(), scene.leases().await);
    for id in &held {
        assert!(scene.target.names().contains(id), "{work:?}, {point:?}: a lease in force was revoked");
    }
    if process.ask(&token, Read, "auth/token/lookup-self").await.is_err() {
        assert!(scene.leases().await.is_empty(), "{work:?}, {point:?}: the token is gone, its leases are not");
    }
    scene.advance(AGES);
    process.tend().await;
    assert!(scene.target.names().is_empty(), "{work:?}, {point:?}: nobody ends {:?}", scene.target.names());
    assert!(scene.traces().await.is_empty(), "{work:?}, {point:?}: left behind: {:?}", scene.traces().await);
    struck
}

#[tokio::test]
async fn no_crash_leaves_a_credential_without_a_lease_or_a_lease_without_an_end() {
    let mut points = 0;
    for work in ALL {
        let reached = everywhere(async |point| struck_at(work, point).await).await;
        assert!(reached > 8, "{work:?} has several commits and calls: {reached}");
        points += reached;
    }
    assert!(points > 300, "all points were tried: {points}");
}
