//! A process that is killed before or after each commit and each call at the target, one point after another: whatever
//! the point, who exists at the target has a lease, and all ends in the end.

use std::ops::ControlFlow;

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

/// Kills a process at the `step`-th point of the work; whether it came to its end before.
async fn killed_at(work: Work, step: usize) -> bool {
    let scene = Scene::new().await;
    let fuse = Fuse::new();
    let process = scene.boot_with(&fuse).await.expect("booted");
    let token = process.token(living(50_000)).await.expect("a token").token;
    fuse.blow_at(step);
    let (ControlFlow::Continue(held) | ControlFlow::Break(held)) = work.run(&scene, &process, &token).await;
    let finished = !fuse.is_blown();
    fuse.kill().await;
    drop(process);

    let process = scene.boot().await;
    for id in &held {
        assert!(scene.target.names().contains(id), "{work:?} {step}: handed out and gone");
    }
    // A call that was forced or cut short may have to be waited for.
    for _ in 0..3 {
        scene.advance(LAPSE);
        process.tend().await;
    }
    assert!(scene.is_in_step().await, "{work:?} {step}: {:?} {:?}", scene.target.names(), scene.leases().await);
    for id in &held {
        assert!(scene.target.names().contains(id), "{work:?} {step}: a lease in force was revoked");
    }
    if process.ask(&token, Read, "auth/token/lookup-self").await.is_err() {
        assert!(scene.leases().await.is_empty(), "{work:?} {step}: the token is gone, its leases are not");
    }
    scene.advance(AGES);
    process.tend().await;
    assert!(scene.target.names().is_empty(), "{work:?} {step}: nobody ends {:?}", scene.target.names());
    assert!(scene.traces().await.is_empty(), "{work:?} {step}: left behind: {:?}", scene.traces().await);
    finished
}

#[tokio::test]
async fn no_crash_leaves_a_credential_without_a_lease_or_a_lease_without_an_end() {
    let mut points = 0;
    for work in ALL {
        let mut step = 1;
        while !killed_at(work, step).await {
            step += 1;
        }
        assert!(step > 8, "{work:?} has a commit or call at each side of its steps: {step}");
        points += step - 1;
    }
    assert!(points > 200, "all points were tried: {points}");
}
