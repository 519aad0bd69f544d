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
    rotation::{AtMax, MAX_ATTEMPTS, Phase, Rotation, Run, Site},
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
    /// The prefixes of the records that are to be counted in this round still.
    folders: Vec<Key>,
    after: Option<Key>,
    counted: u64,
    total: u64,
}

impl Count {
    /// Goes on by some pages.
    pub(super) async fn go_on(&mut self, store: &Store, mounts: &Mounts) -> Result<u64, StoreError> {
        for _ in 0..PAGES {
            let Some(folder) = self.folders.last() else {
                let all = mounts.all();
                self.folders = all.iter().filter_map(|mount| folder_of(mount.engine, &mount.uuid)).collect();
                self.total = std::mem::take(&mut self.counted);
                if self.folders.is_empty() {
                    break;
                }
                continue;
            };
            let page = store.barrier.keys(folder, self.after.as_deref(), PAGE).await?;
            self.counted += page.len() as u64;
            self.after = page.last().cloned();
            if page.len() < PAGE {
                self.after = None;
                self.folders.pop();
            }
        }
        // Before the first round is over, what it has seen so far is the best there is.
        Ok(self.total.max(self.counted))
    }
}

/// Where a mount's rotations lie, if it can have any.
fn folder_of(engine: Engine, uuid: &str) -> Option<Key> {
    match engine {
        Engine::Kv2 => Some(keys::kv_rotations(uuid)),
        Engine::Database => Some(keys::database(uuid, "rotation", "")),
        _ => None,
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
            let Some(site) = Site::of_watch_key(note) else { continue };
            if let Some((subject, rotation)) = read(store, mounts, Some(note), &site).await? {
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
            let Some((second, site)) = Site::of_due_key(note) else { continue };
            let Ok(second) = i64::from_str_radix(&second, 16) else { continue };
            numbers.next_due.get_or_insert(second);
            if second >= now {
                return Ok(true);
            }
            if found.len() >= MOST {
                return Ok(false);
            }
            if let Some((subject, rotation)) = read(store, mounts, None, &site).await?
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

/// The rotation of a site, and what it is called. A note that none stands behind goes: its secret, its role, or its mount
/// was removed.
async fn read(
    store: &Store,
    mounts: &Mounts,
    note: Option<&[u8]>,
    site: &Site,
) -> Result<Option<(String, Rotation)>, StoreError> {
    let key = site.rotation_key();
    let rotation = store.read::<Rotation>(&key).await?;
    match (rotation, mounts.with_uuid(&site.mount), note) {
        (Some(seen), Some(mount), _) => Ok(Some((site.path(&mount.path), seen.value))),
        (None, _, Some(note)) => {
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
        Phase::Idle if rotation.retries > 0 && !rotation.paused => rotation.wake,
        Phase::Idle => rotation.next.or(rotation.wake),
        _ if rotation.paused => None,
        _ => rotation.wake,
    };
    if let Some(failure) = &rotation.failure {
        let why = format!("{}: {}", failure.phase.name(), failure.reason);
        fact.failed = Some((failure.at, why));
    }
    let Some(run) = &rotation.run else { return fact };
    let stuck = |fact: &mut RotationFact, run: &Run| {
        let why = format!("{}: {}", rotation.phase.name(), run.reason);
        fact.failed = Some((run.promoted.unwrap_or(run.began), why));
    };
    match rotation.phase {
        // These are never given up, so nobody would hear of them.
        Phase::Undoing | Phase::Revoking if run.attempts > 0 && fact.failed.is_none() => stuck(&mut fact, run),
        // As long as it may take to find out, a static role's password is set over and over.
        Phase::Setting if run.attempts >= MAX_ATTEMPTS => stuck(&mut fact, run),
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
