//! What is said about a secret's rotation: kept for whoever carries it out, and for clients that ask.

use serde::{Deserialize, Serialize};

use crate::clock::{Timestamp, nanos};

/// When and by what a secret's value is to be replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationSettings {
    /// Whether it is to be rotated at all.
    pub enabled: bool,
    /// The name of what rotates it: a function's ARN, a hook.
    pub hook: String,
    /// Days from one rotation to the next; 0: `schedule` says.
    pub after_days: u32,
    /// `rate(10 days)`, `cron(0 8 1 * ? *)`; empty: `after_days` says.
    pub schedule: String,
    /// How long the window for a rotation is open: `3h`; empty: as the schedule has it.
    pub window: String,
    /// When it was last rotated.
    #[serde(with = "nanos::option")]
    pub last: Option<Timestamp>,
    /// When rotation was set up or changed.
    #[serde(with = "nanos::option")]
    pub since: Option<Timestamp>,
    /// For a rotation that somebody else's service carries out: what it needs to know.
    pub external: Vec<(String, String)>,
    /// For the same: the role that it takes.
    pub external_role: String,
}

impl RotationSettings {
    /// Whether the rules amount to this schedule.
    pub(super) fn says(&self, schedule: &str) -> bool {
        match self.after_days {
            0 => self.schedule == schedule,
            days => format!("rate({days} days)") == schedule,
        }
    }
}
