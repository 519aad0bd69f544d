//! Real signals, in a process of their own: SIGHUP reloads, SIGTERM drains, a second one cuts.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use keyturn_server::shutdown::{Reloads, on_signals};
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::mpsc;

#[tokio::test]
async fn hangup_reloads_and_terminate_stops() {
    let (ran, mut runs) = mpsc::unbounded_channel();
    let attempts = Arc::new(AtomicUsize::new(0));
    let mut reloads = Reloads::default();
    let counted = attempts.clone();
    reloads.add("what fails", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Err("on purpose".to_owned())
    });
    reloads.add("what works", move || ran.send(()).map_err(|error| error.to_string()));
    let mut shutdown = on_signals(reloads).expect("handlers");

    for round in 1..=2 {
        kill_process(getpid(), Signal::HUP).expect("kill");
        runs.recv().await.expect("the second action ran after the first failed");
        assert_eq!(attempts.load(Ordering::Relaxed), round);
    }
    kill_process(getpid(), Signal::TERM).expect("kill");
    shutdown.draining().await;
    kill_process(getpid(), Signal::INT).expect("kill");
    shutdown.cutting().await;
}
