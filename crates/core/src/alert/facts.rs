//! What is known at a moment, gathered for the evaluator.

use std::sync::Arc;

use super::{
    Alerts,
    certificates::Known,
    ends::Ends,
    evaluate::Facts,
    rotations::{self, Count, RotationNumbers},
    rules::{Condition, Rule},
};
use crate::{
    barrier::Batch,
    clock::Timestamp,
    keys,
    lease::LeaseRecord,
    mount::Engine,
    store::{PAGE, StoreError},
};

/// What is remembered from one round to the next.
#[derive(Default)]
pub(super) struct Gathering {
    ends: Ends,
    certificates: Known,
    count: Count,
}

impl Alerts {
    /// Gathers what `rules` need, over at most `budget` records for each rule and index of ends.
    pub(super) async fn gather(
        &self,
        gathering: &mut Gathering,
        rules: &[Rule],
        budget: usize,
    ) -> Result<(Facts, RotationNumbers), StoreError> {
        let (store, mounts) = (&*self.store, &*self.mounts);
        let mut facts = Facts::default();
        let mut partial = Vec::new();
        facts.ends = gathering.ends.look(store, mounts, rules, budget, |condition| partial.push(condition)).await?;
        facts.partial.extend(partial);
        if rules.iter().any(|rule| rule.condition == Condition::CertificateExpiring) {
            let process = self.config.certificates.as_deref();
            gathering.certificates.look(store, mounts, process, &mut facts).await?;
        }
        let mut numbers = rotations::look(store, mounts, &mut facts).await?;
        numbers.total = gathering.count.go_on(store, mounts).await?;
        self.look_at_leases(&mut facts).await?;
        Ok((facts, numbers))
    }

    async fn look_at_leases(&self, facts: &mut Facts) -> Result<(), StoreError> {
        let (overdue, is_whole) = self.leases.overdue();
        facts.overdue_leases = overdue;
        if !is_whole {
            facts.partial.insert(Condition::LeaseOverdue);
        }
        let page = self.store.barrier.keys(keys::LEASES_IRREVOCABLE, None, PAGE).await?;
        if page.len() == PAGE {
            facts.partial.insert(Condition::LeaseIrrevocable);
        }
        for key in page {
            let id =
                String::from_utf8_lossy(key.get(keys::LEASES_IRREVOCABLE.len()..).unwrap_or_default()).into_owned();
            if let Some(seen) = self.store.read::<LeaseRecord>(&keys::lease(&id)).await? {
                let (since, why) = seen.value.trouble();
                facts.irrevocable.push((since, id, why.to_owned()));
            }
        }
        Ok(())
    }

    /// Removes notes of ends that are over, some at a time.
    pub(super) async fn tidy(&self, now: Timestamp) -> Result<(), StoreError> {
        let mounts = self.mounts.all();
        for mount in mounts.iter().filter(|mount| mount.engine == Engine::Kv2).map(Arc::as_ref) {
            let past = keys::kv_expiry(&mount.uuid, now, "");
            let page = self.store.barrier.keys(&keys::kv_expiries(&mount.uuid), None, PAGE).await?;
            let over: Vec<_> = page.into_iter().filter(|key| *key < past).collect();
            if !over.is_empty() {
                self.store.apply(over.into_iter().fold(Batch::new(), Batch::delete)).await?;
            }
        }
        Ok(())
    }
}
