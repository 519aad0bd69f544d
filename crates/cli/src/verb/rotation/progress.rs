//! Following a rotation until it ends.

use std::thread;
use std::time::Duration;

use serde::Deserialize;

use crate::client::Client;
use crate::failure::Failure;
use crate::output;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// What is looked at.
#[derive(Debug, Clone, Deserialize)]
pub(in super::super) struct Status {
    pub(in super::super) strategy: String,
    pub(in super::super) state: String,
    run: Option<Run>,
    failure: Option<Stopped>,
    pub(in super::super) last_run: Option<Ended>,
    next_rotation_time: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Run {
    id: String,
    version: u64,
    username: String,
    previous_username: Option<String>,
    attempts: u64,
    waiting_for: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Stopped {
    step: String,
    reason: String,
    attempts: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(in super::super) struct Ended {
    pub(in super::super) id: String,
    pub(in super::super) promoted: bool,
}

impl Status {
    fn ask(client: &Client, path: &str) -> Result<Self, Failure> {
        Ok(client.get(&format!("sys/rotation/{path}"))?.data()?)
    }

    /// Where it is, in a line.
    pub(in super::super) fn line(&self) -> String {
        let Some(run) = &self.run else { return self.state.clone() };
        let who = if run.username.is_empty() { String::new() } else { format!(" as {}", run.username) };
        let what = match self.state.as_str() {
            "creating" => "creating a pending version".to_owned(),
            "setting" => format!("version {}{who}: the target takes the new credential", run.version),
            "testing" => format!("version {}{who}: logging in with it", run.version),
            "promoting" => format!("version {}{who}: becomes current", run.version),
            "overlap" => format!("version {}{who} is current; {} is still good", run.version, run.before()),
            "revoking" => format!("revoking {}", run.before()),
            "undoing" => "taking back what was begun".to_owned(),
            other => other.to_owned(),
        };
        match (run.waiting_for.as_str(), run.attempts) {
            ("", _) => what,
            (reason, 0) => format!("{what}: {reason}"),
            (reason, attempts) => format!("{what}: attempt {attempts} failed: {reason}"),
        }
    }

    /// Whether the run of that id is under way.
    pub(in super::super) fn is_run(&self, id: &str) -> bool {
        self.run.as_ref().is_some_and(|run| run.id == id)
    }

    /// Whether the new version of what is under way is current.
    pub(in super::super) fn is_promoted(&self) -> bool {
        matches!(self.state.as_str(), "overlap" | "revoking")
    }

    /// What holds it up; empty: nothing that is known.
    pub(in super::super) fn waiting_for(&self) -> &str {
        self.run.as_ref().map_or("", |run| run.waiting_for.as_str())
    }

    /// Why it did not come about.
    pub(in super::super) fn reason(&self) -> String {
        let now = match self.strategy.as_str() {
            "hook" => "the version before stays current, and what the hook wrote waits for the next attempt",
            _ => "the credential before stays in use",
        };
        match &self.failure {
            Some(Stopped { step, reason, attempts }) => {
                format!("{step} failed after {attempts} attempts: {reason}; {now}")
            }
            None => format!("it was taken back; {now}"),
        }
    }

    fn failed(&self) -> Failure {
        Failure::Rotation(self.reason())
    }
}

impl Run {
    fn before(&self) -> &str {
        match self.previous_username.as_deref() {
            None | Some("") => "the credential before",
            Some(name) => name,
        }
    }
}

/// Tells each step of the run of that id until it has ended.
pub(in super::super) fn follow(client: &Client, path: &str, id: &str) -> Result<(), Failure> {
    let status = until_ended(client, path, id)?;
    if !status.last_run.as_ref().is_some_and(|ended| ended.promoted) {
        return Err(status.failed());
    }
    let next = status.next_rotation_time.as_deref().map(output::short_time);
    let next = next.map_or_else(String::new, |at| format!("; the next is due at {at}"));
    Ok(output::print_line(&format!("{path} is rotated{next}"))?)
}

/// The same for one that only tries the present credential.
pub(in super::super) fn follow_test(client: &Client, path: &str, id: &str) -> Result<(), Failure> {
    let status = until_ended(client, path, id)?;
    if status.failure.is_some() {
        return Err(status.failed());
    }
    Ok(output::print_line(&format!("the present credential of {path} is good"))?)
}

fn until_ended(client: &Client, path: &str, id: &str) -> Result<Status, Failure> {
    let mut told = String::new();
    loop {
        let status = Status::ask(client, path)?;
        if status.last_run.as_ref().is_some_and(|ended| ended.id == id) {
            return Ok(status);
        }
        if status.run.as_ref().is_none_or(|run| run.id == id) {
            tell(&status, &mut told);
        }
        thread::sleep(PAUSE);
    }
}

/// Tells each step until a rotation that was just set up has come to rest.
pub(super) fn follow_first(client: &Client, path: &str) -> Result<(), Failure> {
    let mut told = String::new();
    loop {
        let status = Status::ask(client, path)?;
        match status.state.as_str() {
            "failed" => return Err(status.failed()),
            "idle" => return Ok(()),
            _ => tell(&status, &mut told),
        }
        thread::sleep(PAUSE);
    }
}

fn tell(status: &Status, told: &mut String) {
    let line = status.line();
    if line != *told {
        output::note(&line);
        *told = line;
    }
}
