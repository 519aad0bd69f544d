//! How the process is told to stop or to reload: SIGTERM and SIGINT drain, a second one cuts, SIGHUP reloads.
//!
//! ```text
//! Serving --SIGTERM/SIGINT--> Draining --second SIGTERM/SIGINT--> Cutting
//! ```

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// How far shutdown has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Requests are taken.
    Serving,
    /// No new connections; requests at work are finished.
    Draining,
    /// Whatever is still at work is cut.
    Cutting,
}

/// The end that starts a shutdown. Dropping it starts one too, so that no server outlives its owner unseen.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<Phase>);

/// The end that is told; one clone per listener.
#[derive(Debug, Clone)]
pub struct ShutdownSignal(watch::Receiver<Phase>);

/// A trigger and its signal.
#[must_use]
pub fn channel() -> (ShutdownTrigger, ShutdownSignal) {
    let (sender, receiver) = watch::channel(Phase::Serving);
    (ShutdownTrigger(sender), ShutdownSignal(receiver))
}

impl ShutdownTrigger {
    /// Lets requests at work finish, takes no more. Asked a second time it cuts what is left.
    pub fn advance(&self) {
        self.0.send_modify(|phase| {
            *phase = match phase {
                Phase::Serving => Phase::Draining,
                Phase::Draining | Phase::Cutting => Phase::Cutting,
            }
        });
    }
}

impl ShutdownSignal {
    /// Returns once shutdown has begun.
    pub async fn draining(&mut self) {
        // An error means that the trigger is gone, which is a shutdown as well.
        let _ = self.0.wait_for(|phase| *phase >= Phase::Draining).await;
    }

    /// Returns once the rest is to be cut; never when the trigger is gone without having asked for it.
    pub async fn cutting(&mut self) {
        if self.0.wait_for(|phase| *phase >= Phase::Cutting).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What SIGHUP runs: named actions, each of which keeps the old state when it fails.
#[derive(Default)]
pub struct Reloads(Vec<(String, Reload)>);

type Reload = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

impl std::fmt::Debug for Reloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Reloads {
    /// Adds an action. `name` is what the log says was reloaded; the action's error says why it was not.
    pub fn add(&mut self, name: impl Into<String>, action: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.0.push((name.into(), Box::new(action)));
    }

    /// Runs every action; a failing one does not stop the others.
    pub fn run(&self) {
        for (name, action) in &self.0 {
            match action() {
                Ok(()) => tracing::info!("reloaded {name}"),
                Err(reason) => tracing::error!("could not reload {name}, the old one stays in use: {reason}"),
            }
        }
    }
}

/// Takes over SIGTERM, SIGINT and SIGHUP from here on. To be called inside a tokio runtime, once per process.
///
/// # Errors
/// When the operating system refuses the handlers.
pub fn on_signals(reloads: Reloads) -> io::Result<ShutdownSignal> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let (trigger, shutdown) = channel();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                received = stop(&mut terminate, &mut interrupt) => {
                    tracing::info!("{received}: finishing requests at work; a second one cuts them");
                    trigger.advance();
                }
                Some(()) = hangup.recv() => reloads.run(),
            }
        }
    });
    Ok(shutdown)
}

async fn stop(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        Some(()) = terminate.recv() => "SIGTERM",
        Some(()) = interrupt.recv() => "SIGINT",
        else => std::future::pending().await,
    }
}
