//! What is known of rotations, without reading those that wait for their time: the index of what somebody may have to
//! see to, and the one of what is due, which says with its first entries who is late.
//!
//! How many there are in all is counted a page of names at a time, over and over; the number is as old as a round takes.

use std::collections::BTreeMap;

use super::{
    evaluate::{Facts, RotationFact},
    rules::Condition,
};
use crate::{
    barrier::Batch,
    clock::{self, Timestamp},
    keys,
    mount::{Engine, Mounts},
    rotation::{AtMax, Phase, Rotation},
    storage::{Commit, Key},
    store::{PAGE, Store, StoreError},
};

/// Rotations that are looked at in one round.
const MOST: usize = 10_000;

/// Pages of names that are counted in one round.
const PAGES: usize = 8;

/// What is known of all rotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RotationNumbers {
    /// All there are.
    pub total: u64,
    /// Those that do not wait for their time, by their state.
    pub states: BTreeMap<&'static str, u64>,
    /// When something is next to be done, in seconds since 1970.
    pub next_due: Option<i64>,
}

/// Counts all rotations, in rounds.
#[derive(Debug, Default)]
pub(super) struct Count {
    mounts: Vec<String>,
    after: Option<Key>,
    counted: u64,
    total: u64,
}

impl Count {
    /// Goes on by some pages.
    pub(super) async fn go_on(&mut self, store: &Store, mounts: &Mounts) -> Result<u64, StoreError> {
        for _ in 0..PAGES {
            let Some(uuid) = self.mounts.last() else {
                let all = mounts.all();
                self.mounts =
                    all.iter().filter(|mount| mount.engine == Engine::Kv2).map(|mount| mount.uuid.clone()).collect();
                self.total = std::mem::take(&mut self.counted);
                if self.mounts.is_empty() {
                    break;
                }
                continue;
            };
            let page = store.barrier.keys(&keys::kv_rotations(uuid), self.after.as_deref(), PAGE).await?;
            self.counted += page.len() as u64;
            self.after = page.last().cloned();
            if page.len() < PAGE {
                self.after = None;
                self.mounts.pop();
            }
        }
        // Before the first round is over, what it has seen so far is the best there is.
        Ok(self.total.max(self.counted))
    }
}

/// Looks at the rotations that somebody may have to see to.
pub(super) async fn look(store: &Store, mounts: &Mounts, facts: &mut Facts) -> Result<RotationNumbers, StoreError> {
    let mut numbers = RotationNumbers::default();
    let mut after: Option<Key> = None;
    let mut found: BTreeMap<String, RotationFact> = BTreeMap::new();
    while found.len() < MOST {
        let page = store.barrier.keys(keys::ROTATIONS_WATCHED, after.as_deref(), PAGE).await?;
        for note in &page {
            let place = note.get(keys::ROTATIONS_WATCHED.len()..).unwrap_or_default();
            if let Some((subject, rotation)) = read(store, mounts, note, place).await? {
                *numbers.states.entry(state_of(&rotation)).or_default() += 1;
                found.insert(subject.clone(), fact_of(subject, &rotation, store.now()));
            }
        }
        after = page.last().cloned();
        if page.len() < PAGE {
            after = None;
            break;
        }
    }
    let is_whole = after.is_none() & late(store, mounts, &mut found, &mut numbers).await?;
    if !is_whole {
        use Condition::{RotationFailed, RotationOverdue, RotationStragglers};
        facts.partial.extend([RotationOverdue, RotationFailed, RotationStragglers]);
    }
    facts.rotations = found.into_values().collect();
    Ok(numbers)
}

/// Those whose time has come and that are not looked at already; whether that are all.
async fn late(
    store: &Store,
    mounts: &Mounts,
    found: &mut BTreeMap<String, RotationFact>,
    numbers: &mut RotationNumbers,
) -> Result<bool, StoreError> {
    let now = store.now().as_second();
    let mut after: Option<Key> = None;
    loop {
        let page = store.barrier.keys(keys::ROTATIONS_DUE, after.as_deref(), PAGE).await?;
        for note in &page {
            let rest = note.get(keys::ROTATIONS_DUE.len()..).unwrap_or_default();
            let Some((second, place)) = rest.split_at_checked(16).filter(|(_, place)| place.first() == Some(&b'/'))
            else {
                continue;
            };
            let second = std::str::from_utf8(second).ok().and_then(|hex| i64::from_str_radix(hex, 16).ok());
            let Some(second) = second else { continue };
            numbers.next_due.get_or_insert(second);
            if second >= now {
                return Ok(true);
            }
            if found.len() >= MOST {
                return Ok(false);
            }
            if let Some((subject, rotation)) = read(store, mounts, &[], &place[1..]).await?
                && !found.contains_key(&subject)
            {
                found.insert(subject.clone(), fact_of(subject, &rotation, store.now()));
            }
        }
        after = page.last().cloned();
        if page.len() < PAGE {
            return Ok(true);
        }
    }
}

/// The rotation at `<mount>/<name>`. A note that none stands behind goes: its secret, or its mount, was removed.
async fn read(
    store: &Store,
    mounts: &Mounts,
    note: &[u8],
    place: &[u8],
) -> Result<Option<(String, Rotation)>, StoreError> {
    let Some((uuid, name)) = std::str::from_utf8(place).ok().and_then(|place| place.split_once('/')) else {
        return Ok(None);
    };
    let key = keys::kv_rotation(uuid, name);
    let rotation = store.read::<Rotation>(&key).await?;
    match (rotation, mounts.with_uuid(uuid)) {
        (Some(seen), Some(mount)) => Ok(Some((format!("{}{name}", mount.path), seen.value))),
        (None, _) if !note.is_empty() => {
            // Should one be made meanwhile, its note stays.
            let (Commit::Committed(_) | Commit::Conflict(_)) =
                store.commit(Batch::new().expect(key, None).delete(note)).await?;
            Ok(None)
        }
        _ => Ok(None),
    }
}

fn state_of(rotation: &Rotation) -> &'static str {
    if rotation.paused && rotation.phase == Phase::Idle { "paused" } else { rotation.state() }
}

fn fact_of(subject: String, rotation: &Rotation, now: Timestamp) -> RotationFact {
    let mut fact =
        RotationFact { subject, failed: None, undecided: false, straggling: None, due: None, paused: rotation.paused };
    fact.due = match rotation.phase {
        Phase::Idle => rotation.next.or(rotation.wake),
        _ if rotation.paused => None,
        _ => rotation.wake,
    };
    if let Some(failure) = &rotation.failure {
        let why = format!("{}: {}", failure.phase.name(), failure.reason);
        fact.failed = Some((failure.at, why));
    }
    let Some(run) = &rotation.run else { return fact };
    match rotation.phase {
        // These are never given up, so nobody would hear of them.
        Phase::Undoing | Phase::Revoking if run.attempts > 0 && fact.failed.is_none() => {
            let why = format!("{}: {}", rotation.phase.name(), run.reason);
            fact.failed = Some((run.promoted.unwrap_or(run.began), why));
        }
        Phase::Overlap => {
            let most = clock::after(run.promoted.unwrap_or(run.began), rotation.settings.overlap_max);
            let holds_on = rotation.settings.at_max == AtMax::Wait && !run.reason.is_empty();
            fact.straggling = (holds_on && most <= now).then(|| (most, run.reason.clone()));
        }
        Phase::Revoking => {}
        _ => fact.undecided = true,
    }
    fact
}
