//! The assertions, judged by what was seen.

use std::time::Duration;

use super::beat::Stage;
use super::record::{Record, Stop};
use super::seconds;
use super::status::{self, Consumer, Status};

/// How an assertion came out, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It holds.
    Passed(String),
    /// It does not.
    Failed(String),
    /// It could not be judged, for a fault elsewhere.
    Errored(String),
    /// It does not apply, or its turn never came.
    Skipped(String),
}

/// One assertion.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) took: Duration,
    pub(super) verdict: Verdict,
}

impl Verdict {
    /// In a word.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Failed(_) => "failed",
            Self::Errored(_) => "error",
            Self::Skipped(_) => "skipped",
        }
    }

    /// By what.
    pub(super) fn detail(&self) -> &str {
        match self {
            Self::Passed(text) | Self::Failed(text) | Self::Errored(text) | Self::Skipped(text) => text,
        }
    }

    /// Whether the drill has not shown what it is for.
    pub(super) const fn is_bad(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Errored(_))
    }
}

/// Every assertion, in the order of the drill.
pub(super) fn judge(record: &Record) -> Vec<Check> {
    let check = |name, stage, verdict| Check { name, took: record.length(stage), verdict };
    vec![
        check("probes before the rotation", Stage::Before, probes(record, Stage::Before)),
        check("rotated", Stage::During, rotated(record)),
        check("probes during the rotation", Stage::During, probes(record, Stage::During)),
        check("probes while both credentials are good", Stage::Overlap, probes(record, Stage::Overlap)),
        check("reconnected", Stage::Overlap, reconnected(record)),
        check("revoked", Stage::Overlap, revoked(record)),
        check("probes after the rotation", Stage::After, probes(record, Stage::After)),
    ]
}

/// What the drill ended with is the verdict on what it had not seen yet.
fn unfinished(record: &Record, what: &str) -> Verdict {
    match &record.stop {
        Stop::TimedOut(bound) => Verdict::Failed(format!("not within {}: {what}", seconds(*bound))),
        Stop::Interrupted => Verdict::Errored(format!("interrupted: {what}")),
        Stop::Broken(reason) => Verdict::Errored(reason.clone()),
        Stop::Unhealthy | Stop::Finished => Verdict::Skipped("nothing was rotated".to_owned()),
    }
}

fn probes(record: &Record, stage: Stage) -> Verdict {
    let at = stage as usize;
    let failed = record.probes.iter().filter(|tally| tally.stages[at].failures > 0).map(|tally| {
        let count = tally.stages[at];
        let first = tally.failures.iter().find(|(_, seen, _)| *seen == stage);
        let first =
            first.map_or_else(String::new, |(when, _, why)| format!(", first {why} ({:.1}s)", when.as_secs_f64()));
        format!("{}: {} of {} failed{first}", tally.label, count.failures, count.attempts)
    });
    let failed: Vec<String> = failed.collect();
    if !failed.is_empty() {
        return Verdict::Failed(failed.join("; "));
    }
    let made = record.attempts(stage);
    if stage == Stage::After && record.marks[at].is_some() && made < record.wanted_after {
        return unfinished(record, &format!("{made} of {} probes were made", record.wanted_after));
    }
    match (record.marks[at], made) {
        (None, _) if record.stop == Stop::Unhealthy => Verdict::Skipped("nothing was rotated".to_owned()),
        (None, _) if stage == Stage::Overlap && record.promoted => {
            Verdict::Skipped("there was no such time, or none that was seen".to_owned())
        }
        (None, _) => Verdict::Skipped("it did not come to that".to_owned()),
        (Some(_), 0) if stage == Stage::Before => unfinished(record, "no probe was made"),
        (Some(_), 0) => {
            Verdict::Skipped(format!("it took {}, and no probe fell into it", seconds(record.length(stage))))
        }
        (Some(_), made) => {
            let slowest = record.probes.iter().map(|tally| tally.stages[at].slowest).max().unwrap_or_default();
            let each = if record.probes.len() > 1 { " of each" } else { "" };
            Verdict::Passed(format!("{made}{each}, none failed, the slowest took {}", seconds(slowest)))
        }
    }
}

fn rotated(record: &Record) -> Verdict {
    let Some(last) = record.last.as_ref().filter(|_| record.asked) else {
        return unfinished(record, "no rotation was asked for");
    };
    match (record.ended, record.promoted) {
        (Some(false), _) => Verdict::Failed(last.progress.reason()),
        (Some(true), _) | (None, true) => {
            let took = seconds(record.length(Stage::During));
            Verdict::Passed(format!("{} became current after {took}", last.in_use.credential()))
        }
        (None, false) => unfinished(record, &last.progress.line()),
    }
}

/// Whether the application uses the new credential, and nobody another one.
pub(super) fn reconnected(record: &Record) -> Verdict {
    let Some(last) = record.last.as_ref().filter(|_| record.promoted) else {
        return Verdict::Skipped("no new credential became current".to_owned());
    };
    let stragglers = last.in_use.stragglers();
    let is_told = last.in_use.unknown.is_empty();
    if !stragglers.is_empty() {
        return unseen(record, stragglers);
    }
    if is_told && !record.arrived.is_empty() {
        return Verdict::Passed(format!("by the target: {}", status::sessions(record.arrived.values())));
    }
    if is_told && record.had_sessions {
        return unseen(record, format!("no session was seen as {}", last.in_use.username));
    }
    let readers = record.readers();
    if readers.is_empty() {
        return unseen(record, format!("nobody has read version {}", last.in_use.version));
    }
    let why = if is_told { "the target showed no session before or after" } else { &last.in_use.unknown };
    let names: Vec<String> = readers.into_iter().take(5).map(Consumer::told).collect();
    Verdict::Passed(format!("by who has read it alone ({why}): {}", names.join("; ")))
}

fn unseen(record: &Record, what: String) -> Verdict {
    if record.stop == Stop::Finished { Verdict::Failed(what) } else { unfinished(record, &what) }
}

fn revoked(record: &Record) -> Verdict {
    let (Some(first), Some(last)) = (&record.first, record.last.as_ref().filter(|_| record.promoted)) else {
        return Verdict::Skipped("no new credential became current".to_owned());
    };
    match first.progress.strategy.as_str() {
        "hook" => return Verdict::Skipped("the credential before is the hook's to revoke".to_owned()),
        "generated" => return Verdict::Skipped("there is no target where the value before is good".to_owned()),
        _ if first.in_use.username.is_empty() => return Verdict::Skipped("there was no credential before".to_owned()),
        "in-place" => return Verdict::Passed("the target took the new password in place of the one before".to_owned()),
        _ => {}
    }
    let before = before(first);
    if record.ended.is_none() {
        return unfinished(record, &format!("{before} is still good: {}", waiting(last)));
    }
    match last.in_use.other_sessions.is_empty() {
        true => Verdict::Passed(format!("{before} is good no longer")),
        false => Verdict::Failed(status::sessions(last.in_use.other_sessions.iter())),
    }
}

/// The credential that is to be revoked.
fn before(first: &Status) -> String {
    match first.progress.strategy.as_str() {
        "alternating" => first.in_use.username.clone(),
        _ => format!("the password before of {}", first.in_use.username),
    }
}

/// Why it is not revoked yet.
fn waiting(last: &Status) -> String {
    let stragglers = last.in_use.stragglers();
    let told = last.progress.waiting_for();
    match (stragglers.is_empty(), told.is_empty()) {
        (false, _) => stragglers,
        (true, false) => told.to_owned(),
        (true, true) => last.progress.line(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const OLD: &str = "app_a";
    const NEW: &str = "app_b";

    fn consumer(version: u64) -> Value {
        json!({ "identity": "entity/x", "name": "web", "version": version, "last_read_time": "t", "address": null })
    }

    fn session(username: &str, id: &str) -> Value {
        json!({ "username": username, "id": id, "address": "10.0.0.1", "application": "web" })
    }

    fn look(strategy: &str, in_use: Value) -> Status {
        let mut all =
            json!({ "version": 2, "username": NEW, "behind": [], "sessions": [], "other_sessions": [], "unknown": "" });
        all.as_object_mut().unwrap().extend(in_use.as_object().unwrap().clone());
        let consumers = all["behind"].as_array().unwrap().iter().cloned().chain([consumer(2)]).collect::<Vec<_>>();
        let status = json!({
            "strategy": strategy, "paused": false, "overlap_min": 0, "consumers": consumers, "in_use": all,
            "state": "idle", "run": null, "failure": null, "last_run": { "id": "i", "promoted": true },
            "next_rotation_time": null,
        });
        serde_json::from_value(status).unwrap()
    }

    /// A drill that was seen to its end; `looks` came after the promotion.
    fn ended(strategy: &str, sessions_before: &Value, looks: &[Value]) -> Record {
        let mut record = Record::new("secret/x", ["probe".to_owned()].into_iter(), 5);
        let first = look(strategy, json!({ "version": 1, "username": OLD, "sessions": sessions_before }));
        record.look(first.clone());
        record.first = Some(first);
        (record.asked, record.promoted, record.ended) = (true, true, Some(true));
        looks.iter().for_each(|one| record.look(look(strategy, one.clone())));
        record
    }

    #[test]
    fn sessions_as_the_new_principal_are_the_evidence() {
        let new = json!({ "sessions": [session(NEW, "2")] });
        let record = ended("alternating", &json!([session(OLD, "1")]), &[json!({}), new.clone()]);
        let Verdict::Passed(by) = reconnected(&record) else { panic!("{:?}", reconnected(&record)) };
        assert_eq!(by, format!("by the target: 1 session is open as {NEW}: web from 10.0.0.1"));
        assert_eq!(revoked(&record), Verdict::Passed(format!("{OLD} is good no longer")));
        // The trial of the new login, which is seen at the first look alone, is none.
        let record = ended("alternating", &json!([session(OLD, "1")]), &[new, json!({})]);
        assert_eq!(reconnected(&record), Verdict::Failed(format!("no session was seen as {NEW}")));
    }

    #[test]
    fn an_application_without_sessions_is_judged_by_what_it_reads() {
        let record = ended("alternating", &json!([]), &[json!({}), json!({})]);
        assert!(
            matches!(reconnected(&record), Verdict::Passed(by) if by.contains("by who has read it alone (the target showed no session"))
        );
        let unknown = json!({ "unknown": "cannot tell" });
        let record = ended("dual-credential", &json!([]), &[unknown.clone(), unknown]);
        assert!(
            matches!(reconnected(&record), Verdict::Passed(by) if by.contains("(cannot tell): entity/x (web), version 2"))
        );
    }

    #[test]
    fn who_holds_on_is_named() {
        let held = json!({
            "behind": [consumer(1)], "sessions": [session(NEW, "2")],
            "other_sessions": [session(OLD, "3"), session(OLD, "4")],
        });
        let mut record = ended("alternating", &json!([session(OLD, "3")]), &[held.clone(), held]);
        let named = "1 consumer has yet to read version 2: entity/x (web), version 1 at t; 2 sessions are open as app_a: \
                     web from 10.0.0.1 (2 times)";
        assert_eq!(reconnected(&record), Verdict::Failed(named.to_owned()));
        assert!(matches!(revoked(&record), Verdict::Failed(_)), "sessions that outlive the revocation");
        (record.ended, record.stop) = (None, Stop::TimedOut(Duration::from_secs(4)));
        assert_eq!(revoked(&record), Verdict::Failed(format!("not within 4s: {OLD} is still good: {named}")));
        record.stop = Stop::Interrupted;
        assert!(matches!(revoked(&record), Verdict::Errored(why) if why.starts_with("interrupted: ")));
    }

    #[test]
    fn what_does_not_apply_is_skipped() {
        for (strategy, is_skipped) in [("hook", true), ("generated", true), ("in-place", false), ("alternating", false)]
        {
            let record = ended(strategy, &json!([]), &[json!({}), json!({})]);
            assert_eq!(matches!(revoked(&record), Verdict::Skipped(_)), is_skipped, "{strategy}");
        }
        let unhealthy = Record { stop: Stop::Unhealthy, ..Record::new("secret/x", std::iter::empty(), 5) };
        assert!(judge(&unhealthy).iter().all(|check| matches!(check.verdict, Verdict::Skipped(_))));
    }
}
