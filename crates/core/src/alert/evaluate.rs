//! The one evaluator: what the rules say of what is known at a moment. A pure function, so that every outlet tells the
//! same, and a test needs no store.

use std::collections::BTreeSet;

use super::rules::{Condition, Rule, Severity};
use crate::clock::{self, SignedDuration, Timestamp};

/// Something that ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Which condition tells of it.
    pub condition: Condition,
    /// Its name, by which it is found again: no secret.
    pub subject: String,
    /// What else is said of it, for people.
    pub detail: String,
    /// Since when it is good.
    pub begins: Timestamp,
    /// Until when.
    pub ends: Timestamp,
}

/// A rotation of which something may have to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationFact {
    /// The secret: mount and name.
    pub subject: String,
    /// Since when, and why, it failed.
    pub failed: Option<(Timestamp, String)>,
    /// Whether a run is under way of which it is open whether it comes about: what was told of the one before stands.
    pub undecided: bool,
    /// Since when both credentials have been good for too long, and who holds on.
    pub straggling: Option<(Timestamp, String)>,
    /// When it was to begin or to go on.
    pub due: Option<Timestamp>,
    /// Whether it waits since somebody paused it.
    pub paused: bool,
}

/// What is known at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What ends, or the part of it that some rule may tell of.
    pub ends: Vec<End>,
    /// Rotations that are not simply waiting for their time.
    pub rotations: Vec<RotationFact>,
    /// Leases that are to be revoked by now, and the seconds for which the oldest of them has waited.
    pub overdue_leases: (u64, u64),
    /// Leases that could not be revoked: since when, the id, why.
    pub irrevocable: Vec<(Timestamp, String, String)>,
    /// Conditions of which not everything is known: what was told before stands.
    pub partial: BTreeSet<Condition>,
}

/// A rule that holds for a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: String,
    /// What it is about.
    pub condition: Condition,
    /// How grave it is.
    pub severity: Severity,
    /// What it holds for.
    pub subject: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends or was due, where there is such a time.
    pub due: Option<Timestamp>,
    /// In words; no secret.
    pub message: String,
    /// `false`: it is not known to hold, but what was told before is not known to be over either.
    pub certain: bool,
}

/// The subject of what is told of all leases together.
pub(super) const ALL_LEASES: &str = "leases";

/// What the rules say of the facts at `now`, in the order of the rules; each rule holds for a subject once.
#[must_use]
pub fn evaluate(rules: &[Rule], facts: &Facts, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    for rule in rules {
        let mut seen = BTreeSet::new();
        let of_rule = of_rule(rule, facts, now);
        found.extend(of_rule.into_iter().filter(|finding| seen.insert(finding.subject.clone())));
    }
    found
}

fn of_rule(rule: &Rule, facts: &Facts, now: Timestamp) -> Vec<Finding> {
    match rule.condition {
        Condition::SecretExpiring
        | Condition::LeaseExpiring
        | Condition::TokenExpiring
        | Condition::CertificateExpiring => {
            let mut ends: Vec<&End> = facts.ends.iter().filter(|end| is_ending(rule, end, now)).collect();
            // Of several with one name the first end counts.
            ends.sort_by_key(|end| end.ends);
            ends.into_iter().map(|end| expiring(rule, end, now)).collect()
        }
        Condition::RotationOverdue => facts.rotations.iter().filter_map(|fact| overdue(rule, fact, now)).collect(),
        Condition::RotationFailed => facts.rotations.iter().filter_map(|fact| failed(rule, fact, now)).collect(),
        Condition::RotationStragglers => facts.rotations.iter().filter_map(|fact| straggling(rule, fact)).collect(),
        Condition::LeaseOverdue => overdue_leases(rule, facts.overdue_leases, now).into_iter().collect(),
        Condition::LeaseIrrevocable => {
            let irrevocable = facts.irrevocable.iter();
            irrevocable
                .map(|(since, id, why)| {
                    finding(rule, id, *since, None, format!("the credential could not be revoked: {why}"))
                })
                .collect()
        }
    }
}

fn finding(rule: &Rule, subject: &str, since: Timestamp, due: Option<Timestamp>, message: String) -> Finding {
    let Rule { name, condition, severity, .. } = rule;
    Finding {
        rule: name.clone(),
        condition: *condition,
        severity: *severity,
        subject: subject.to_owned(),
        since,
        due,
        message,
        certain: true,
    }
}

/// Whether what ends does so within the rule's time, and was made for long enough. A certificate that has ended is told
/// of until it is replaced; everything else is gone with its end.
fn is_ending(rule: &Rule, end: &End, now: Timestamp) -> bool {
    let life = clock::seconds_until(end.begins, end.ends);
    let is_over = end.ends <= now && rule.condition != Condition::CertificateExpiring;
    end.condition == rule.condition && !is_over && life >= rule.min_life && end.ends <= clock::after(now, rule.within)
}

fn expiring(rule: &Rule, end: &End, now: Timestamp) -> Finding {
    let since = before(end.ends, rule.within).max(end.begins);
    let (thing, verb) = match rule.condition {
        Condition::SecretExpiring => ("the secret", "ends"),
        Condition::LeaseExpiring => ("the lease", "ends"),
        Condition::TokenExpiring => ("the token", "ends"),
        _ if end.ends <= now => ("the certificate", "has ended"),
        _ => ("the certificate", "ends"),
    };
    let detail = if end.detail.is_empty() { String::new() } else { format!(" ({})", end.detail) };
    finding(rule, &end.subject, since, Some(end.ends), format!("{thing} {verb} at {}{detail}", shown(end.ends)))
}

fn overdue(rule: &Rule, fact: &RotationFact, now: Timestamp) -> Option<Finding> {
    let due = fact.due?;
    let since = clock::after(due, rule.after);
    let why = if fact.paused { "the rotation is paused and was due at" } else { "the rotation was due at" };
    (since <= now).then(|| finding(rule, &fact.subject, since, Some(due), format!("{why} {}", shown(due))))
}

fn failed(rule: &Rule, fact: &RotationFact, now: Timestamp) -> Option<Finding> {
    if let Some((since, why)) = &fact.failed {
        return Some(finding(rule, &fact.subject, *since, None, format!("the rotation failed: {why}")));
    }
    let open = finding(rule, &fact.subject, now, None, "the rotation is tried again".to_owned());
    fact.undecided.then_some(Finding { certain: false, ..open })
}

fn straggling(rule: &Rule, fact: &RotationFact) -> Option<Finding> {
    let (since, who) = fact.straggling.as_ref()?;
    let message = format!("the credential before is still needed, and both are good: {who}");
    Some(finding(rule, &fact.subject, *since, Some(*since), message))
}

fn overdue_leases(rule: &Rule, (queued, oldest): (u64, u64), now: Timestamp) -> Option<Finding> {
    (queued > 0 && oldest >= rule.after).then(|| {
        let since = clock::after(before(now, oldest), rule.after);
        let are = if queued == 1 { "credential is" } else { "credentials are" };
        let message = format!("{queued} {are} to be revoked, the first since {}", shown(before(now, oldest)));
        finding(rule, ALL_LEASES, since, None, message)
    })
}

/// `time` less `seconds`, held at the beginning of representable time.
pub(super) fn before(time: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    time.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN)
}

/// A time for people, to the second.
pub(super) fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
