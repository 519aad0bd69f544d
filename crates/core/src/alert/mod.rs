//! Alerts: what ends soon, is late, has failed or is held up, told once and in time.
//!
//! ```text
//! rules         conditions, severities, what an operator may say of them
//! config        the rules and receivers of one server
//! facts         ends, rotations, certificates: what is known, read from indexes that are ordered by time
//! evaluate      what the rules say of the facts: the one evaluator, a pure function
//! record        what fires, stored with the messages of it
//! webhook       who is told, and how messages are signed
//! view          what a caller may ask, with a permit
//! ```
//!
//! The upkeep has it looked at in intervals. Nothing here costs a request anything, and what is read in a round does not
//! grow with the number of secrets, tokens or rotations that simply wait for their time.

mod certificates;
mod config;
mod ends;
mod evaluate;
mod facts;
mod record;
mod rotations;
mod rules;
mod view;
mod webhook;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

pub use certificates::end_of;
pub use config::{AlertConfig, AlertWebhook, Certificates, DEFAULT_INTERVAL};
pub use evaluate::{End, Facts, Finding, RotationFact, evaluate};
pub use record::Firing;
pub use rotations::RotationNumbers;
pub use rules::{Condition, Conditions, ConditionsError, MAX_SECONDS, Rule, Severity};
pub use view::{AlertStatistics, AlertView};
pub use webhook::{MIN_SECRET, signing_key};

use self::facts::Gathering;
use crate::{
    barrier::Batch,
    clock::Timestamp,
    keys,
    lease::Leases,
    mount::Mounts,
    outbox::{Delivered, Outbox},
    store::{Store, StoreError},
};

/// Changes in one commit.
const AT_ONCE: usize = 32;

/// Alerts that fire at once, at the most.
const MOST_FIRING: usize = 10_000;

/// All alerts.
pub struct Alerts {
    store: Arc<Store>,
    mounts: Arc<Mounts>,
    leases: Arc<Leases>,
    outbox: Arc<Outbox>,
    config: AlertConfig,
    work: tokio::sync::Mutex<Work>,
    seen: Mutex<Seen>,
}

/// What one round leaves to the next.
#[derive(Default)]
struct Work {
    gathering: Gathering,
    last: Option<Timestamp>,
    /// By their ids; `None`: what is stored is not read yet.
    firing: Option<BTreeMap<String, Firing>>,
}

/// What the last round has seen.
#[derive(Default, Clone)]
struct Seen {
    at: Option<Timestamp>,
    firing: Vec<(String, Firing)>,
    rotations: RotationNumbers,
    counts: BTreeMap<Condition, u64>,
}

impl Alerts {
    pub(crate) fn new(
        store: Arc<Store>,
        mounts: Arc<Mounts>,
        leases: Arc<Leases>,
        outbox: Arc<Outbox>,
        config: AlertConfig,
    ) -> Self {
        let clock = Arc::clone(&store.clock);
        let receivers = webhook::Receivers { webhooks: config.webhooks.clone(), clock };
        outbox.register(webhook::CHANNEL, Arc::new(receivers));
        Self { store, mounts, leases, outbox, config, work: tokio::sync::Mutex::default(), seen: Mutex::default() }
    }

    /// One round, if it is time for one: looks at the rules, writes down what has changed, and has it told.
    pub(crate) async fn tend(&self) -> Result<(), StoreError> {
        let mut work = self.work.lock().await;
        let now = self.store.now();
        // A clock that was set back does not put the next round off.
        let waits = |last: Timestamp| now >= last && now.duration_since(last).as_secs() < as_i64(self.config.interval);
        if work.last.is_some_and(waits) {
            return Ok(());
        }
        work.last = Some(now);
        self.round(&mut work, now).await
    }

    async fn round(&self, work: &mut Work, now: Timestamp) -> Result<(), StoreError> {
        if work.firing.is_none() {
            work.firing = Some(self.stored().await?);
        }
        let (facts, rotations) = self.gather(&mut work.gathering, &self.config.rules, ends::ROUND).await?;
        self.tidy(now).await?;
        let findings = evaluate(&self.config.rules, &facts, now);
        let mut counts = BTreeMap::new();
        for finding in evaluate(&view::plain_rules(), &facts, now).into_iter().filter(|finding| finding.certain) {
            *counts.entry(finding.condition).or_default() += 1;
        }
        let Some(firing) = &mut work.firing else { return Ok(()) };
        let changed = self.change(firing, findings, &facts.partial, now).await;
        let firing = firing.iter().map(|(id, firing)| (id.clone(), firing.clone())).collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen { at: Some(now), firing, rotations, counts };
        changed
    }

    async fn stored(&self) -> Result<BTreeMap<String, Firing>, StoreError> {
        let all = self.store.read_all::<Firing>(keys::ALERTS).await?;
        Ok(all.into_iter().map(|(id, firing)| (String::from_utf8_lossy(&id).into_owned(), firing)).collect())
    }

    /// Makes what fires what was found, some at a time, each with the messages of it.
    async fn change(
        &self,
        firing: &mut BTreeMap<String, Firing>,
        findings: Vec<Finding>,
        partial: &BTreeSet<Condition>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let found: BTreeMap<String, Finding> =
            findings.into_iter().map(|finding| (record::id_of(&finding.rule, &finding.subject), finding)).collect();
        let rules = &self.config.rules;
        let may_stand = |firing: &Firing| {
            let rule = rules.iter().find(|rule| rule.name == firing.rule);
            rule.is_some_and(|rule| partial.contains(&rule.condition))
        };
        let over = firing.iter().filter(|(id, firing)| !found.contains_key(*id) && !may_stand(firing));
        let mut changes: Vec<(String, Option<Firing>)> = over.map(|(id, _)| (id.clone(), None)).collect();
        let mut room = MOST_FIRING.saturating_sub(firing.len());
        for (id, finding) in found.into_iter().filter(|(_, finding)| finding.certain) {
            match firing.get_mut(&id) {
                // Since when it fires stays; the words may change, and nobody is told anew.
                Some(known) if known.severity == finding.severity.name() => {
                    (known.message, known.due) = (finding.message, finding.due);
                }
                Some(known) => changes.push((id, Some(Firing { since: known.since, ..Firing::of(&finding) }))),
                None if room > 0 => {
                    room -= 1;
                    changes.push((id, Some(Firing::of(&finding))));
                }
                None => {}
            }
        }
        for some in changes.chunks(AT_ONCE) {
            self.commit(firing, some, now).await?;
        }
        Ok(())
    }

    async fn commit(
        &self,
        firing: &mut BTreeMap<String, Firing>,
        changes: &[(String, Option<Firing>)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for (id, new) in changes {
            let key = keys::alert(id);
            let told = new.as_ref().or_else(|| firing.get(id));
            if let Some(told) = told {
                batch = self.tell(batch, id, told, new.is_none(), now)?;
            }
            batch = match new {
                Some(new) => batch.put(key, Store::encode(new)?),
                None => batch.delete(key),
            };
        }
        self.store.apply(batch).await?;
        for (id, new) in changes {
            let before = match new {
                Some(new) => firing.insert(id.clone(), new.clone()),
                None => firing.remove(id),
            };
            match (new, before) {
                (Some(Firing { rule, severity, subject, message, .. }), _) => {
                    tracing::warn!(rule, severity, subject, "an alert fires: {message}");
                }
                (None, Some(Firing { rule, severity, subject, .. })) => {
                    tracing::info!(rule, severity, subject, "an alert is over");
                }
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn tell(
        &self,
        mut batch: Batch,
        id: &str,
        firing: &Firing,
        is_over: bool,
        now: Timestamp,
    ) -> Result<Batch, StoreError> {
        let condition = Condition::named(&firing.condition);
        let severity = Severity::named(&firing.severity).unwrap_or(Severity::Critical);
        for webhook in self.config.webhooks.iter().filter(|webhook| webhook.resolved || !is_over) {
            if condition.is_none_or(|condition| webhook.wants(condition, severity)) {
                batch = self.outbox.put(batch, webhook::CHANNEL, &webhook.name, firing.told(id, now, is_over))?;
            }
        }
        Ok(batch)
    }

    /// What became of messages to other systems.
    pub(crate) fn delivered(&self) -> Delivered {
        self.outbox.delivered()
    }
}

fn as_i64(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
