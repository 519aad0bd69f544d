//! What an operator says about alerts: rules, how often they are looked at, who is told.

use std::{fmt, sync::Arc};

use super::{
    evaluate::End,
    rules::{Condition, Rule, Severity},
};
use crate::secret::SecretString;

/// How often the rules are looked at unless the configuration says otherwise, in seconds.
pub const DEFAULT_INTERVAL: u64 = 15;

/// A receiver of messages.
#[derive(Debug, Clone)]
pub struct AlertWebhook {
    /// What it is called; each once.
    pub name: String,
    /// Where messages go: `https`, or `http` on this machine.
    pub url: String,
    /// The certificates that its own must lead back to, in PEM; empty: the system's.
    pub ca_pem: String,
    /// What messages are signed with.
    pub secret: SecretString,
    /// The least severity that it is told of.
    pub severity: Severity,
    /// What it is told of; empty: everything.
    pub conditions: Vec<Condition>,
    /// Whether it is told when something is over.
    pub resolved: bool,
}

impl AlertWebhook {
    /// Whether it is told of this.
    #[must_use]
    pub fn wants(&self, condition: Condition, severity: Severity) -> bool {
        severity >= self.severity && (self.conditions.is_empty() || self.conditions.contains(&condition))
    }
}

/// Certificates that the process serves with.
pub trait Certificates: Send + Sync {
    /// Each with its times, as [`End`]s of [`Condition::CertificateExpiring`].
    fn all(&self) -> Vec<End>;
}

/// What an operator says about alerts.
#[derive(Clone)]
pub struct AlertConfig {
    /// What is told of.
    pub rules: Vec<Rule>,
    /// Seconds between two looks.
    pub interval: u64,
    /// Alerts that metrics name one by one, at the most.
    pub metrics_subjects: usize,
    /// Who is told.
    pub webhooks: Vec<AlertWebhook>,
    /// What the process serves with.
    pub certificates: Option<Arc<dyn Certificates>>,
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self {
            rules: Rule::defaults(),
            interval: DEFAULT_INTERVAL,
            metrics_subjects: 0,
            webhooks: Vec::new(),
            certificates: None,
        }
    }
}

impl fmt::Debug for AlertConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rules, interval, metrics_subjects, webhooks, .. } = self;
        let mut shown = f.debug_struct("AlertConfig");
        shown.field("rules", rules).field("interval", interval).field("metrics_subjects", metrics_subjects);
        shown.field("webhooks", webhooks).finish_non_exhaustive()
    }
}
