//! What is stored of alerts that fire, so that each is told once and survives a restart.
//!
//! ```text
//! alert/<id>    Firing, in MessagePack; the id is of rule and subject: 32 hex digits
//! ```
//!
//! That an alert fires, or is over, and the messages of it go into one commit.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::evaluate::{Finding, shown};
use crate::clock::{Timestamp, nanos};

/// An alert that fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firing {
    /// The rule's name.
    pub rule: String,
    /// What it is about.
    pub condition: String,
    /// How grave it is.
    pub severity: String,
    /// What it holds for.
    pub subject: String,
    /// Since when.
    #[serde(with = "nanos")]
    pub since: Timestamp,
    /// When it ends or was due, where there is such a time.
    #[serde(with = "nanos::option")]
    pub due: Option<Timestamp>,
    /// In words; no secret.
    pub message: String,
}

impl Firing {
    pub(super) fn of(finding: &Finding) -> Self {
        Self {
            rule: finding.rule.clone(),
            condition: finding.condition.name().to_owned(),
            severity: finding.severity.name().to_owned(),
            subject: finding.subject.clone(),
            since: finding.since,
            due: finding.due,
            message: finding.message.clone(),
        }
    }

    /// The body of a message, as Standard Webhooks have it.
    pub(super) fn told(&self, id: &str, now: Timestamp, is_over: bool) -> String {
        let status = if is_over { "resolved" } else { "firing" };
        let mut data = json!({
            "id": id,
            "status": status,
            "rule": self.rule,
            "condition": self.condition,
            "severity": self.severity,
            "subject": self.subject,
            "since": shown(self.since),
            "due": self.due.map(shown),
            "message": self.message,
        });
        if let Some(data) = data.as_object_mut().filter(|_| is_over) {
            data.insert("resolved".to_owned(), shown(now).into());
        }
        json!({ "type": format!("alert.{status}"), "timestamp": shown(now), "data": data }).to_string()
    }
}

/// What an alert is found again by.
pub(super) fn id_of(rule: &str, subject: &str) -> String {
    let hash = digest::digest(&digest::SHA256, format!("{rule}\0{subject}").as_bytes());
    hex::encode(hash.as_ref().get(..16).unwrap_or_default())
}
