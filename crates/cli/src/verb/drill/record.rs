//! All that a drill has seen.

use std::collections::BTreeMap;
use std::time::Duration;

use super::beat::Stage;
use super::events::Attempt;
use super::status::{Consumer, Session, Status};

/// Failures of a probe that are kept word for word.
const MOST_KEPT: usize = 10;

/// What is seen of one probe.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Its name in reports.
    pub(super) label: String,
    /// By stage, in order.
    pub(super) stages: [Count; 4],
    /// Its first failures: when, in which stage, why.
    pub(super) failures: Vec<(Duration, Stage, String)>,
    /// Failures since its last success.
    pub(super) in_a_row: u64,
}

/// How often, and how long at the most.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Count {
    pub(super) attempts: u64,
    pub(super) failures: u64,
    pub(super) slowest: Duration,
}

/// Why the drill ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// All was seen that there is to see.
    Finished,
    /// The application did not answer before anything was changed.
    Unhealthy,
    /// It took longer than this.
    TimedOut(Duration),
    /// Somebody ended it.
    Interrupted,
    /// The server refused, or could not be asked.
    Broken(String),
}

/// All of it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) path: String,
    pub(super) probes: Vec<Tally>,
    /// Probes after the rotation that are wanted of each.
    pub(super) wanted_after: u64,
    /// The rotation as it was before.
    pub(super) first: Option<Status>,
    /// As it was seen last.
    pub(super) last: Option<Status>,
    /// The run's id, once it has begun.
    pub(super) id: Option<String>,
    /// Whether it was asked for.
    pub(super) asked: bool,
    /// Whether its version was seen to be current.
    pub(super) promoted: bool,
    /// Whether it has ended, and with its version current.
    pub(super) ended: Option<bool>,
    /// When each stage began.
    pub(super) marks: [Option<Duration>; 4],
    /// Sessions as the principal before, at any look.
    pub(super) had_sessions: bool,
    /// Sessions as the new principal, by their id.
    pub(super) arrived: BTreeMap<String, Session>,
    /// Looks since the new version was seen to be current.
    pub(super) looks: u64,
    /// Looks since the run was seen to have ended.
    pub(super) looks_after: u64,
    /// How long it all took.
    pub(super) took: Duration,
    pub(super) stop: Stop,
}

impl Record {
    /// Of nothing yet.
    pub(super) fn new(path: &str, labels: impl Iterator<Item = String>, wanted_after: u64) -> Self {
        Self {
            path: path.to_owned(),
            probes: labels.map(|label| Tally { label, ..Tally::default() }).collect(),
            wanted_after,
            first: None,
            last: None,
            id: None,
            asked: false,
            promoted: false,
            ended: None,
            marks: [Some(Duration::ZERO), None, None, None],
            had_sessions: false,
            arrived: BTreeMap::new(),
            looks: 0,
            looks_after: 0,
            took: Duration::ZERO,
            stop: Stop::Finished,
        }
    }

    /// Counts a probe; what is worth telling of it.
    pub(super) fn count(&mut self, attempt: &Attempt, at: Duration) -> Option<String> {
        let tally = self.probes.get_mut(attempt.probe)?;
        let count = &mut tally.stages[attempt.stage as usize];
        count.attempts += 1;
        count.slowest = count.slowest.max(attempt.took);
        let Err(failed) = &attempt.result else {
            let before = std::mem::take(&mut tally.in_a_row);
            let times = if before == 1 { "failure" } else { "failures" };
            return (before > 0).then(|| format!("{} succeeds again, after {before} {times}", tally.label));
        };
        count.failures += 1;
        tally.in_a_row += 1;
        let reason = failed.to_string();
        if tally.failures.len() < MOST_KEPT {
            tally.failures.push((at, attempt.stage, reason.clone()));
        }
        (tally.in_a_row == 1).then(|| format!("{} failed: {reason}", tally.label))
    }

    /// The least number of probes that any of them has made in a stage.
    pub(super) fn attempts(&self, stage: Stage) -> u64 {
        self.probes.iter().map(|tally| tally.stages[stage as usize].attempts).min().unwrap_or(0)
    }

    /// All probes that were made, and that failed.
    pub(super) fn totals(&self) -> (u64, u64) {
        let all = self.probes.iter().flat_map(|tally| tally.stages);
        all.fold((0, 0), |(attempts, failures), count| (attempts + count.attempts, failures + count.failures))
    }

    /// Takes a look in.
    pub(super) fn look(&mut self, status: Status) {
        let sessions = if self.promoted { &status.in_use.other_sessions } else { &status.in_use.sessions };
        self.had_sessions |= !sessions.is_empty();
        if self.promoted {
            // At the first of these looks Keyturn's own trial of the new login may not be gone yet.
            if self.looks > 0 {
                let known = status.in_use.sessions.iter().map(|one| (one.id.clone(), one.clone()));
                self.arrived.extend(known);
            }
            self.looks += 1;
            self.looks_after += u64::from(self.ended.is_some());
        }
        self.last = Some(status);
    }

    /// Consumers that have read the version that is current.
    pub(super) fn readers(&self) -> Vec<&Consumer> {
        let last = self.last.iter();
        last.flat_map(|last| last.consumers.iter().filter(|one| one.version == last.in_use.version)).collect()
    }

    /// From the beginning of a stage to that of the next, or the end.
    pub(super) fn length(&self, stage: Stage) -> Duration {
        let Some(began) = self.marks[stage as usize] else { return Duration::ZERO };
        let next = self.marks.iter().skip(stage as usize + 1).flatten().next();
        next.copied().unwrap_or(self.took).saturating_sub(began)
    }
}
