//! How many leases there are, kept in memory: by role, and by the second in which they end. It is counted once, in
//! the background, page by page in the order of ids; a change to a lease that was counted already is taken into account
//! with its commit, all others are still to come. While a page is read no change is under way, so none is missed or
//! counted twice.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{RwLock, RwLockReadGuard};

use super::record::{Change, LeaseRecord, Phase};
use crate::{
    clock::Timestamp,
    codec, keys,
    storage::Key,
    store::{PAGE, Store, StoreError},
};

/// A mount's uuid and a role.
type Label = (String, String);

#[derive(Debug, Default)]
pub(super) struct Census {
    /// Held for reading by a change, for writing while a page is counted.
    gate: RwLock<()>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    counted: Counted,
    active: HashMap<Label, u64>,
    /// By the second in which they end or ended.
    ends: BTreeMap<i64, u64>,
    irrevocable: u64,
}

/// Which leases have been counted.
#[derive(Debug, Default)]
enum Counted {
    #[default]
    None,
    UpTo(String),
    All,
}

impl Counts {
    fn covers(&self, id: &str) -> bool {
        match &self.counted {
            Counted::None => false,
            Counted::UpTo(last) => id <= last.as_str(),
            Counted::All => true,
        }
    }

    fn add(&mut self, lease: &LeaseRecord) {
        match lease.phase {
            Phase::Irrevocable => self.irrevocable += 1,
            phase => {
                *self.ends.entry(lease.since).or_default() += 1;
                if phase == Phase::Active {
                    *self.active.entry((lease.mount.clone(), lease.role.clone())).or_default() += 1;
                }
            }
        }
    }

    fn take(&mut self, lease: &LeaseRecord) {
        match lease.phase {
            Phase::Irrevocable => self.irrevocable = self.irrevocable.saturating_sub(1),
            phase => {
                if let Some(count) = self.ends.get_mut(&lease.since) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.ends.remove(&lease.since);
                    }
                }
                if phase == Phase::Active {
                    take_one(&mut self.active, (lease.mount.clone(), lease.role.clone()));
                }
            }
        }
    }
}

fn take_one<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, u64>, key: K) {
    if let std::collections::hash_map::Entry::Occupied(mut entry) = counts.entry(key) {
        *entry.get_mut() = entry.get().saturating_sub(1);
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

/// What is known of all leases at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// Leases in force, by mount and role; the largest first.
    pub(super) active: Vec<(Label, u64)>,
    /// Leases that are to be revoked by now, those that wait for another attempt among them.
    pub(super) queued: u64,
    /// Seconds for which the oldest of them has waited.
    pub(super) oldest: u64,
    /// Leases that could not be revoked.
    pub(super) irrevocable: u64,
}

impl Census {
    /// What a change holds from before its commit until it is noted.
    pub(super) async fn changing(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().await
    }

    pub(super) fn note(&self, changes: &[Change]) {
        let mut counts = self.counts();
        for change in changes {
            if let Some(before) = change.before.as_ref().filter(|seen| counts.covers(&seen.value.id)) {
                counts.take(&before.value);
            }
            if let Some(after) = change.after.as_ref().filter(|after| counts.covers(&after.id)) {
                counts.add(after);
            }
        }
    }

    /// Counts one page more. Whether all is counted now.
    pub(super) async fn count_page(&self, store: &Store) -> Result<bool, StoreError> {
        let _alone = self.gate.write().await;
        let after: Option<Key> = match &self.counts().counted {
            Counted::All => return Ok(true),
            Counted::UpTo(last) => Some(keys::lease(last)),
            Counted::None => None,
        };
        let page = store.barrier.scan(keys::LEASES, after.as_deref(), PAGE).await?;
        let mut counts = self.counts();
        for (key, record) in &page {
            match codec::decode::<LeaseRecord>(&record.plaintext) {
                Ok(lease) => counts.add(&lease),
                Err(error) => tracing::error!(%error, "a lease's record cannot be read; it is not counted"),
            }
            counts.counted = Counted::UpTo(String::from_utf8_lossy(&key[keys::LEASES.len()..]).into_owned());
        }
        if page.len() < PAGE {
            counts.counted = Counted::All;
        }
        Ok(page.len() < PAGE)
    }

    /// Leases that are to be revoked by now, the seconds for which the oldest has waited, and whether all are counted.
    pub(super) fn overdue(&self, now: Timestamp) -> ((u64, u64), bool) {
        let counts = self.counts();
        let now = now.as_second();
        let queued = counts.ends.range(..=now).map(|(_, count)| count).sum();
        let first = counts.ends.keys().next().copied().unwrap_or(now);
        ((queued, u64::try_from(now - first).unwrap_or(0)), matches!(counts.counted, Counted::All))
    }

    pub(super) fn numbers(&self, now: Timestamp) -> Numbers {
        let counts = self.counts();
        let now = now.as_second();
        let queued = counts.ends.range(..=now).map(|(_, count)| count).sum();
        let first = counts.ends.keys().next().copied().unwrap_or(now);
        let mut active: Vec<_> = counts.active.iter().map(|(label, count)| (label.clone(), *count)).collect();
        active.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let oldest = u64::try_from(now - first).unwrap_or(0);
        Numbers { active, queued, oldest, irrevocable: counts.irrevocable }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
