//! The evaluator over facts that are written down by hand, at times that are moved by hand.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::clock::{Clock as _, ManualClock, SignedDuration};

const DAY: u64 = 86_400;

fn clock() -> ManualClock {
    ManualClock::new("2026-02-27T23:00:00Z".parse().expect("a time"))
}

fn advance(clock: &ManualClock, seconds: u64) {
    clock.advance(SignedDuration::from_secs(as_i64(seconds)));
}

fn end(condition: Condition, begins: Timestamp, life: u64) -> End {
    let ends = crate::clock::after(begins, life);
    End { condition, subject: "a".into(), detail: "d".into(), begins, ends }
}

fn rotation() -> RotationFact {
    RotationFact {
        subject: "secret/db".into(),
        failed: None,
        undecided: false,
        straggling: None,
        due: None,
        paused: false,
    }
}

fn only(rule: Rule, facts: &Facts, now: Timestamp) -> Option<Finding> {
    let mut found = evaluate(&[rule], facts, now);
    assert!(found.len() <= 1, "{found:?}");
    found.pop()
}

#[test]
fn what_ends_is_told_of_from_the_first_second_within_to_its_end() {
    let clock = clock();
    let begins = clock.now();
    for condition in [Condition::SecretExpiring, Condition::LeaseExpiring, Condition::TokenExpiring] {
        let clock = ManualClock::new(begins);
        let facts = Facts { ends: vec![end(condition, begins, 10 * DAY)], ..Facts::default() };
        let rule = Rule::new(condition).within(2 * DAY);
        assert_eq!(only(rule.clone(), &facts, clock.now()), None);
        advance(&clock, 8 * DAY - 1);
        assert_eq!(only(rule.clone(), &facts, clock.now()), None);
        advance(&clock, 1);
        let found = only(rule.clone(), &facts, clock.now()).expect("it ends soon");
        assert_eq!((found.since, found.due), (clock.now(), Some(facts.ends[0].ends)));
        assert!(found.certain && found.message.contains("2026-03-09T23:00:00Z (d)"), "{}", found.message);
        advance(&clock, 2 * DAY - 1);
        assert!(only(rule.clone(), &facts, clock.now()).is_some());
        advance(&clock, 1);
        assert_eq!(only(rule, &facts, clock.now()), None, "it is gone");
    }
}

#[test]
fn a_certificate_is_told_of_after_its_end_and_however_short_its_life() {
    let clock = clock();
    let facts = Facts { ends: vec![end(Condition::CertificateExpiring, clock.now(), 3600)], ..Facts::default() };
    let rule = Rule::new(Condition::CertificateExpiring);
    let found = only(rule.clone(), &facts, clock.now()).expect("it ends soon");
    assert_eq!(found.since, clock.now(), "not before it began");
    advance(&clock, 40 * DAY);
    assert!(only(rule, &facts, clock.now()).expect("it has ended").message.contains("has ended"));
}

#[test]
fn what_is_short_lived_by_design_is_not_told_of() {
    let clock = clock();
    let facts = Facts { ends: vec![end(Condition::TokenExpiring, clock.now(), 3600)], ..Facts::default() };
    assert_eq!(only(Rule::new(Condition::TokenExpiring), &facts, clock.now()), None);
    let all = Rule { min_life: 3600, ..Rule::new(Condition::TokenExpiring).within(3600) };
    assert!(only(all, &facts, clock.now()).is_some());
}

#[test]
fn a_rotation_is_late_after_the_delay_of_the_rule() {
    let clock = clock();
    let due = clock.now();
    let facts = Facts { rotations: vec![RotationFact { due: Some(due), ..rotation() }], ..Facts::default() };
    let rule = Rule::new(Condition::RotationOverdue);
    advance(&clock, 299);
    assert_eq!(only(rule.clone(), &facts, clock.now()), None);
    advance(&clock, 1);
    let found = only(rule, &facts, clock.now()).expect("it is late");
    assert_eq!((found.subject.as_str(), found.due, found.since), ("secret/db", Some(due), clock.now()));
}

#[test]
fn a_failure_stands_until_it_is_decided() {
    let clock = clock();
    let rule = Rule::new(Condition::RotationFailed);
    let now = clock.now();
    let facts = |fact| Facts { rotations: vec![fact], ..Facts::default() };
    assert_eq!(only(rule.clone(), &facts(rotation()), now), None);
    let failed = RotationFact { failed: Some((now, "setting: refused".into())), ..rotation() };
    let found = only(rule.clone(), &facts(failed), now).expect("it failed");
    assert!(found.certain && found.message.contains("setting: refused"));
    let open = RotationFact { undecided: true, ..rotation() };
    assert!(!only(rule, &facts(open), now).expect("it is open").certain);
}

#[test]
fn who_holds_on_is_told_of_and_leases_together() {
    let clock = clock();
    let now = clock.now();
    let straggling = RotationFact { straggling: Some((now, "1 consumer: web".into())), ..rotation() };
    let mut facts = Facts { rotations: vec![straggling], overdue_leases: (3, 299), ..Facts::default() };
    facts.irrevocable.push((now, "database/creds/a/x".into(), "refused".into()));
    let found = only(Rule::new(Condition::RotationStragglers), &facts, now).expect("stragglers");
    assert!(found.message.contains("1 consumer: web"));
    assert_eq!(only(Rule::new(Condition::LeaseOverdue), &facts, now), None);
    facts.overdue_leases.1 = 300;
    assert_eq!(only(Rule::new(Condition::LeaseOverdue), &facts, now).expect("late").subject, "leases");
    facts.overdue_leases.0 = 0;
    assert_eq!(only(Rule::new(Condition::LeaseOverdue), &facts, now), None);
    let found = only(Rule::new(Condition::LeaseIrrevocable), &facts, now).expect("irrevocable");
    assert_eq!((found.severity, found.subject.as_str()), (Severity::Critical, "database/creds/a/x"));
}

#[test]
fn a_rule_holds_for_a_subject_once() {
    let clock = clock();
    let ends = [40, 30, 50].map(|life| end(Condition::CertificateExpiring, clock.now(), life * DAY)).to_vec();
    let facts = Facts { ends, ..Facts::default() };
    let found = only(Rule::new(Condition::CertificateExpiring).within(60 * DAY), &facts, clock.now());
    assert_eq!(found.and_then(|found| found.due), Some(facts.ends[1].ends), "the first end counts");
}

#[test]
fn a_webhook_is_told_what_it_wants() {
    let webhook = AlertWebhook {
        name: "ops".into(),
        url: "https://ops.example/".into(),
        ca_pem: String::new(),
        secret: "whatever it is called with".into(),
        severity: Severity::Warning,
        conditions: vec![Condition::RotationFailed],
        resolved: true,
    };
    assert!(webhook.wants(Condition::RotationFailed, Severity::Critical));
    assert!(!webhook.wants(Condition::RotationFailed, Severity::Info));
    assert!(!webhook.wants(Condition::TokenExpiring, Severity::Critical));
    assert!(
        AlertWebhook { conditions: Vec::new(), ..webhook.clone() }.wants(Condition::TokenExpiring, Severity::Warning)
    );
    assert!(!format!("{webhook:?}").contains("whatever"));
}

proptest! {
    /// Whatever begins and ends when, and whatever the rule: it is told of exactly within its time, if it lived for long
    /// enough, and was in the index before it came within reach.
    #[test]
    fn ends_are_told_of_exactly_within_their_time(life in 0_u64..40 * DAY, age in 0_u64..50 * DAY, within in 1_u64..20 * DAY) {
        let begins = clock().now();
        let now = crate::clock::after(begins, age);
        let facts = Facts { ends: vec![end(Condition::TokenExpiring, begins, life)], ..Facts::default() };
        let rule = Rule::new(Condition::TokenExpiring).within(within);
        let found = only(rule.clone(), &facts, now);
        let expected = age < life && life - age <= within && life >= 2 * within;
        prop_assert_eq!(found.is_some(), expected);
        if let Some(found) = found {
            prop_assert!(found.since <= now && found.since >= begins);
            prop_assert!(life >= rule.within, "it was never behind the horizon of what has been read");
        }
    }

    /// An id says which rule and which subject, and nothing else.
    #[test]
    fn ids_differ_where_rules_or_subjects_do(names in prop::collection::btree_set("[a-c/]{0,4}", 2..8)) {
        let names: Vec<String> = names.into_iter().collect();
        let ids: BTreeSet<String> =
            names.iter().flat_map(|rule| names.iter().map(|subject| record::id_of(rule, subject))).collect();
        prop_assert_eq!(ids.len(), names.len() * names.len());
    }
}
