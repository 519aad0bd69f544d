//! What a caller may ask: `sys/alerts`, and the numbers of `sys/metrics`.

use std::{collections::BTreeMap, sync::PoisonError};

use super::{
    Alerts, Condition, Conditions, Finding, Firing, RotationNumbers, Rule, Severity, evaluate, facts::Gathering, record,
};
use crate::{clock::Timestamp, core::Core, door::Permit, outbox::Delivered, store::StoreError};

/// What one question may read of each index of ends, in records.
const QUESTION: usize = 50_000;

/// What fires, and what was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertView {
    /// When the rules were last looked at; `None`: not since the start.
    pub evaluated: Option<Timestamp>,
    /// What fires by the configured rules, with its id.
    pub firing: Vec<(String, Firing)>,
    /// What the caller's conditions hold for, now.
    pub matched: Vec<Firing>,
    /// Conditions of which there is more than one question may read.
    pub partial: Vec<Condition>,
}

/// What is counted of alerts, with the last round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertStatistics {
    /// When the rules were last looked at; `None`: not since the start.
    pub evaluated: Option<Timestamp>,
    /// Alerts that fire, by rule and severity; rules of which none does are there as well.
    pub firing: BTreeMap<(String, &'static str), u64>,
    /// Some of those, one by one, if that is wanted: rule, severity, subject.
    pub named: Vec<(String, String, String)>,
    /// What conditions hold for, with their usual times, whatever the rules are.
    pub counts: BTreeMap<Condition, u64>,
    /// The rotations.
    pub rotations: RotationNumbers,
    /// Messages to other systems.
    pub delivered: Delivered,
}

/// A rule for each condition that is no matter of an end, told of as soon as it holds.
pub(super) fn plain_rules() -> Vec<Rule> {
    let all = Condition::ALL.into_iter().filter(|condition| !condition.has_within());
    all.map(Rule::new).collect()
}

impl Core {
    /// The alerts.
    #[must_use]
    pub fn alerts(&self) -> &Alerts {
        &self.alerts
    }
}

impl Alerts {
    /// What fires, and what `conditions` hold for at this moment.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read(&self, permit: Permit, conditions: &Conditions) -> Result<AlertView, StoreError> {
        permit.spend();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut view = AlertView { evaluated: seen.at, firing: seen.firing, ..AlertView::default() };
        if !conditions.rules.is_empty() {
            let named = numbered(&conditions.rules);
            let (facts, _) = self.gather(&mut Gathering::default(), &named, QUESTION).await?;
            let asked = |condition: &Condition| named.iter().any(|rule| rule.condition == *condition);
            view.partial = facts.partial.iter().copied().filter(asked).collect();
            let found = evaluate(&named, &facts, self.store.now()).into_iter().filter(|finding| finding.certain);
            view.matched = found.map(|finding| Firing::of(&unnumbered(finding))).collect();
        }
        if let Some(least) = conditions.firing {
            let grave = |firing: &&(String, Firing)| {
                Severity::named(&firing.1.severity).is_none_or(|severity| severity >= least)
            };
            view.matched.extend(view.firing.iter().filter(grave).map(|(_, firing)| firing.clone()));
        }
        let mut known = std::collections::BTreeSet::new();
        view.matched.retain(|found| known.insert(record::id_of(&found.condition, &found.subject)));
        Ok(view)
    }

    pub(crate) fn statistics(&self) -> AlertStatistics {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut firing: BTreeMap<(String, &'static str), u64> =
            self.config.rules.iter().map(|rule| ((rule.name.clone(), rule.severity.name()), 0)).collect();
        for (_, one) in &seen.firing {
            let severity = Severity::named(&one.severity).unwrap_or(Severity::Critical).name();
            *firing.entry((one.rule.clone(), severity)).or_default() += 1;
        }
        let named = seen.firing.iter().take(self.config.metrics_subjects);
        let named = named.map(|(_, one)| (one.rule.clone(), one.severity.clone(), one.subject.clone())).collect();
        AlertStatistics {
            evaluated: seen.at,
            firing,
            named,
            counts: seen.counts,
            rotations: seen.rotations,
            delivered: self.delivered(),
        }
    }
}

/// The rules under names of their own: what one has seen of an index is remembered by its name.
fn numbered(rules: &[Rule]) -> Vec<Rule> {
    let named = |(index, rule): (usize, &Rule)| Rule { name: format!("{index} {}", rule.name), ..rule.clone() };
    rules.iter().enumerate().map(named).collect()
}

fn unnumbered(finding: Finding) -> Finding {
    let rule = finding.rule.split_once(' ').map_or(String::new(), |(_, name)| name.to_owned());
    Finding { rule, ..finding }
}
