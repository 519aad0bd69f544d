//! What a drill says in the end: a table for people, or all of it as JSON.

use serde_json::{Value, json};

use super::beat::Stage;
use super::checks::Check;
use super::record::{Record, Stop, Tally};
use super::status::{Consumer, Session};
use super::timeline::Timeline;
use crate::output::Table;

/// How it went, in a word.
pub(super) fn result(record: &Record, checks: &[Check]) -> &'static str {
    match record.stop {
        Stop::Interrupted => "interrupted",
        Stop::Broken(_) => "broken",
        _ if checks.iter().any(|check| check.verdict.is_bad()) => "failed",
        _ => "passed",
    }
}

/// The assertions in rows.
pub(super) fn table(checks: &[Check]) -> String {
    let mut table = Table::new(["check", "result", "by"]);
    for check in checks {
        table.row([check.name, check.verdict.word(), check.verdict.detail()]);
    }
    format!("\n{}", table.render())
}

/// All that was seen.
pub(super) fn data(record: &Record, checks: &[Check], timeline: &Timeline) -> Value {
    let checks_data = checks.iter().map(|check| {
        json!({
            "name": check.name,
            "result": check.verdict.word(),
            "detail": check.verdict.detail(),
            "seconds": check.took.as_secs_f64(),
        })
    });
    let entries = timeline.entries.iter().map(|(at, text)| json!({ "seconds": at.as_secs_f64(), "event": text }));
    let last = record.last.as_ref().map(|last| &last.in_use);
    let behind = last.map_or(&[][..], |last| last.behind.as_slice());
    let held = last.map_or(&[][..], |last| last.other_sessions.as_slice());
    json!({
        "path": record.path,
        "strategy": record.first.as_ref().map(|first| &first.progress.strategy),
        "rotation": record.id,
        "result": result(record, checks),
        "seconds": record.took.as_secs_f64(),
        "checks": checks_data.collect::<Vec<_>>(),
        "probes": record.probes.iter().map(tally).collect::<Vec<_>>(),
        "before": record.first.as_ref().map(|first| {
            json!({ "version": first.in_use.version, "username": first.in_use.username })
        }),
        "current": last.map(|last| json!({ "version": last.version, "username": last.username })),
        "arrived_sessions": record.arrived.values().map(Session::data).collect::<Vec<_>>(),
        "stragglers": behind.iter().map(Consumer::data).collect::<Vec<_>>(),
        "sessions": held.iter().map(Session::data).collect::<Vec<_>>(),
        "timeline": entries.collect::<Vec<_>>(),
    })
}

fn tally(tally: &Tally) -> Value {
    let stages = Stage::ALL.map(|stage| {
        let count = tally.stages[stage as usize];
        let counts = json!({
            "attempts": count.attempts,
            "failures": count.failures,
            "slowest_seconds": count.slowest.as_secs_f64(),
        });
        (stage.name().to_owned(), counts)
    });
    let failures = tally
        .failures
        .iter()
        .map(|(at, stage, reason)| json!({ "seconds": at.as_secs_f64(), "stage": stage.name(), "reason": reason }));
    json!({
        "probe": tally.label,
        "stages": Value::Object(stages.into_iter().collect()),
        "first_failures": failures.collect::<Vec<_>>(),
    })
}
