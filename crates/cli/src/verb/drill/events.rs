//! The threads of a drill: one for each probe, one that looks at the rotation, one that waits for Ctrl-C. What they find
//! comes to the one that judges, in order.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::beat::{Beat, Stage};
use super::probe::{Failed, Probe};
use super::status::Status;
use crate::client::{Client, ClientError};

/// Between two looks at the rotation.
const PAUSE: Duration = Duration::from_millis(250);

/// What has happened.
#[derive(Debug)]
pub(super) enum Event {
    /// A probe was made.
    Probed(Attempt),
    /// The rotation was looked at.
    Looked(Result<Box<Status>, ClientError>),
    /// The rotation was asked for: its id.
    Begun(Result<String, ClientError>),
    /// Somebody wants the drill to end.
    Interrupted,
}

/// One try of a probe.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Which.
    pub(super) probe: usize,
    /// How far the rotation was when it began.
    pub(super) stage: Stage,
    /// How long it took.
    pub(super) took: Duration,
    /// How it went.
    pub(super) result: Result<(), Failed>,
}

/// The threads; they end with it.
#[derive(Debug)]
pub(super) struct Threads {
    pub(super) beat: Arc<Beat>,
    client: Arc<Client>,
    path: String,
    sender: Sender<Event>,
    commands: Vec<JoinHandle<()>>,
}

#[derive(Deserialize)]
struct Begun {
    id: String,
}

impl Threads {
    /// Waits for signals; nothing else is begun yet.
    pub(super) fn new(client: Arc<Client>, path: &str) -> (Self, Receiver<Event>) {
        let (sender, receiver) = mpsc::channel();
        on_interrupt(sender.clone());
        let (beat, path) = (Arc::default(), path.to_owned());
        (Self { beat, client, path, sender, commands: Vec::new() }, receiver)
    }

    /// Begins to probe.
    pub(super) fn probe(&mut self, probes: &Arc<[Probe]>, interval: Duration) {
        for index in 0..probes.len() {
            let (probes, beat, sender) = (Arc::clone(probes), Arc::clone(&self.beat), self.sender.clone());
            let is_command = probes[index].is_command();
            let thread = thread::spawn(move || {
                while !beat.is_over() {
                    let (stage, began) = (beat.stage(), Instant::now());
                    let result = probes[index].once(&beat);
                    let took = began.elapsed();
                    let attempt = Attempt { probe: index, stage, took, result };
                    if beat.is_over() || sender.send(Event::Probed(attempt)).is_err() {
                        return;
                    }
                    beat.rest(interval.saturating_sub(took));
                }
            });
            // A request needs no ending; it goes with the process.
            self.commands.extend(is_command.then_some(thread));
        }
    }

    /// Begins to look at the rotation.
    pub(super) fn watch(&self) {
        let (client, path, beat, sender) = self.shared();
        thread::spawn(move || {
            while !beat.is_over() {
                let status = Status::ask(&client, &path).map(Box::new);
                if sender.send(Event::Looked(status)).is_err() {
                    return;
                }
                beat.rest(PAUSE);
            }
        });
    }

    /// Asks for the rotation.
    pub(super) fn begin(&self) {
        let (client, path, _, sender) = self.shared();
        thread::spawn(move || {
            let begun = client
                .post(&format!("sys/rotation-run/{path}"), &json!({}))
                .and_then(|reply| Ok(reply.data::<Begun>()?.id));
            // Whoever waits for it may have been told to stop.
            let _ = sender.send(Event::Begun(begun));
        });
    }

    fn shared(&self) -> (Arc<Client>, String, Arc<Beat>, Sender<Event>) {
        (Arc::clone(&self.client), self.path.clone(), Arc::clone(&self.beat), self.sender.clone())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.beat.end();
        for thread in self.commands.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Tells of SIGINT and SIGTERM. Without the means to hear of them they end the process as they do any other.
fn on_interrupt(sender: Sender<Event>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    thread::spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
            // The drill may be over.
            let _ = sender.send(Event::Interrupted);
        });
    });
}
