//! The numbers of alerts, of rotations, and of messages to other systems. No family has more samples than there are rules,
//! conditions or states, but for the alerts that are named one by one, of which there are as many as the configuration
//! allows.

use keyturn_core::alert::{AlertStatistics, Condition};

use super::{Family, Kind, Value};

/// States in which a rotation can be, as `sys/rotation` says them.
const STATES: [&str; 11] = [
    "idle",
    "starting",
    "failed",
    "paused",
    "creating",
    "setting",
    "testing",
    "promoting",
    "overlap",
    "revoking",
    "undoing",
];

pub(in super::super) fn alert_families(alerts: &AlertStatistics) -> Vec<Family> {
    let mut families = vec![firing(alerts)];
    if !alerts.named.is_empty() {
        let mut named = Family::new("keyturn_alert", Kind::Gauge, "Alerts that fire, one by one, up to a number.");
        for (rule, severity, subject) in &alerts.named {
            let labels = vec![("rule", rule.clone()), ("severity", severity.clone()), ("subject", subject.clone())];
            named.put(labels, Value::Level(1.0));
        }
        families.push(named);
    }
    // What no round has looked at yet is not zero: it is not told.
    if let Some(at) = alerts.evaluated {
        let help = "When the rules were last looked at, in seconds since 1970.";
        families.push(Family::gauge("keyturn_alerts_evaluated_timestamp_seconds", help, seconds(at.as_second())));
        families.extend(of_rotations(alerts));
        families.push(conditions(alerts));
    }
    let sent = &alerts.delivered;
    families.extend([
        Family::counter("keyturn_messages_delivered", "Messages that their receivers took.", sent.taken),
        Family::counter("keyturn_message_failures", "Attempts to deliver a message that failed.", sent.failures),
        Family::counter("keyturn_messages_given_up", "Messages that were given up.", sent.given_up),
    ]);
    families
}

fn firing(alerts: &AlertStatistics) -> Family {
    let mut firing = Family::new("keyturn_alerts_firing", Kind::Gauge, "Alerts that fire, by rule and severity.");
    for ((rule, severity), count) in &alerts.firing {
        firing.put(vec![("rule", rule.clone()), ("severity", (*severity).to_owned())], Value::Level(level(*count)));
    }
    firing
}

fn of_rotations(alerts: &AlertStatistics) -> Vec<Family> {
    let rotations = &alerts.rotations;
    let watched: u64 = rotations.states.values().sum();
    let mut states = Family::new("keyturn_rotations", Kind::Gauge, "Rotations of secrets, by state.");
    for state in STATES {
        let count = rotations.states.get(state).copied().unwrap_or(0);
        let count = if state == "idle" { rotations.total.saturating_sub(watched) } else { count };
        states.put(vec![("state", state.to_owned())], Value::Level(level(count)));
    }
    let help = "When a rotation is next to be seen to, in seconds since 1970.";
    let next =
        rotations.next_due.map(|at| Family::gauge("keyturn_rotation_next_due_timestamp_seconds", help, seconds(at)));
    std::iter::once(states).chain(next).collect()
}

/// What holds whatever the configured rules are.
fn conditions(alerts: &AlertStatistics) -> Family {
    let help = "For how many rotations and leases a condition holds, whatever the configured rules are.";
    let mut family = Family::new("keyturn_condition_subjects", Kind::Gauge, help);
    for condition in Condition::ALL.into_iter().filter(|condition| !condition.has_within()) {
        let count = alerts.counts.get(&condition).copied().unwrap_or(0);
        family.put(vec![("condition", condition.name().to_owned())], Value::Level(level(count)));
    }
    family
}

#[allow(clippy::cast_precision_loss, reason = "a count beyond 2^53 may be a little off")]
fn level(count: u64) -> f64 {
    count as f64
}

#[allow(clippy::cast_precision_loss, reason = "exact for hundreds of millions of years")]
fn seconds(at: i64) -> f64 {
    at as f64
}
