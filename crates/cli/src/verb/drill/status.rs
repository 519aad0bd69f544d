//! The rotation as the server shows it, with who uses which credential.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::rotation::progress;
use crate::client::{Client, ClientError};

/// Names in a sentence, at the most; reports as data hold all.
const MOST_NAMED: usize = 5;

/// What is looked at.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Status {
    pub(super) paused: bool,
    pub(super) overlap_min: u64,
    pub(super) consumers: Vec<Consumer>,
    pub(super) in_use: InUse,
    #[serde(flatten)]
    pub(super) progress: progress::Status,
}

/// Which credential is in use.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct InUse {
    pub(super) version: u64,
    pub(super) username: String,
    pub(super) behind: Vec<Consumer>,
    pub(super) sessions: Vec<Session>,
    pub(super) other_sessions: Vec<Session>,
    pub(super) unknown: String,
}

/// One who has read the secret.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Consumer {
    pub(super) identity: String,
    name: String,
    pub(super) version: u64,
    last_read_time: String,
    address: Option<String>,
}

/// A connection at the target.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Session {
    pub(super) username: String,
    pub(super) id: String,
    address: String,
    application: String,
}

impl Status {
    /// Asks the server, which asks the target.
    pub(super) fn ask(client: &Client, path: &str) -> Result<Self, ClientError> {
        client.get_with(&format!("sys/rotation/{path}"), &[("use", "true".to_owned())])?.data()
    }

    /// Whether the run of that id has ended, and with its version current.
    pub(super) fn ended(&self, id: &str) -> Option<bool> {
        self.progress.last_run.as_ref().filter(|ended| ended.id == id).map(|ended| ended.promoted)
    }

    /// Whether the strategy keeps both credentials for a time.
    pub(super) fn overlaps(&self) -> bool {
        matches!(self.progress.strategy.as_str(), "alternating" | "dual-credential")
    }
}

impl InUse {
    /// The current credential in a few words.
    pub(super) fn credential(&self) -> String {
        match (self.version, self.username.as_str()) {
            (0, _) => "no version".to_owned(),
            (version, "") => format!("version {version}"),
            (version, name) => format!("version {version} as {name}"),
        }
    }

    /// Those who hold on to another credential than the current one; empty: nobody.
    pub(super) fn stragglers(&self) -> String {
        let mut parts = Vec::new();
        if !self.behind.is_empty() {
            let have = if self.behind.len() == 1 { "consumer has" } else { "consumers have" };
            let names = named(self.behind.iter().map(Consumer::told));
            parts.push(format!("{} {have} yet to read version {}: {names}", self.behind.len(), self.version));
        }
        if !self.other_sessions.is_empty() {
            parts.push(sessions(self.other_sessions.iter()));
        }
        parts.join("; ")
    }
}

impl Consumer {
    /// Who it is, and what it read last.
    pub(super) fn told(&self) -> String {
        let name = if self.name.is_empty() { String::new() } else { format!(" ({})", self.name) };
        let from = self.address.as_ref().map_or_else(String::new, |address| format!(" from {address}"));
        format!("{}{name}, version {} at {}{from}", self.identity, self.version, self.last_read_time)
    }

    /// For reports as data.
    pub(super) fn data(&self) -> Value {
        json!({
            "identity": self.identity, "name": self.name, "version": self.version,
            "last_read_time": self.last_read_time, "address": self.address,
        })
    }
}

impl Session {
    fn told(&self) -> String {
        let address = if self.address.is_empty() { "an unknown address" } else { &self.address };
        match self.application.as_str() {
            "" => address.to_owned(),
            application => format!("{application} from {address}"),
        }
    }

    /// For reports as data.
    pub(super) fn data(&self) -> Value {
        let texts = [("username", &self.username), ("id", &self.id), ("address", &self.address)];
        let mut data: Map<String, Value> = texts.into_iter().map(|(name, text)| (name.into(), json!(text))).collect();
        data.insert("application".to_owned(), json!(self.application));
        Value::Object(data)
    }
}

/// Sessions in a sentence: how many as whom, and where they come from.
pub(super) fn sessions<'s>(all: impl Iterator<Item = &'s Session> + Clone) -> String {
    let count = all.clone().count();
    let are = if count == 1 { "session is" } else { "sessions are" };
    let name = all.clone().next().map_or("", |session| session.username.as_str());
    format!("{count} {are} open as {name}: {}", named(all.map(Session::told)))
}

/// Each name once, with how often it comes.
fn named(names: impl Iterator<Item = String>) -> String {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for name in names {
        match counted.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counted.push((name, 1)),
        }
    }
    let more = counted.len().saturating_sub(MOST_NAMED);
    let shown = counted.into_iter().take(MOST_NAMED).map(|(name, count)| match count {
        1 => name,
        count => format!("{name} ({count} times)"),
    });
    let mut text = shown.collect::<Vec<_>>().join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}
