//! When a config was first and last fetched. A fetch only notes it, once a minute; the upkeep writes the notes down, so
//! that reading costs no write. Notes are lost with a crash.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{ConfigName, Projects};
use crate::{
    barrier::Batch,
    clock::Timestamp,
    keys,
    mount::{Mount, Mounts},
    storage::Commit,
    store::{Store, StoreError},
};

/// Seconds within which two fetches count as one.
const STEP: i64 = 60;
/// Configs that are remembered at the most. A fetch of another is noted another time.
const MAX_KNOWN: usize = 4096;

/// A fetch that is known of: when it was, and whether that is yet to be written down.
struct Noted {
    time: Timestamp,
    pending: bool,
}

/// The notes, by mount and config.
#[derive(Default)]
pub(super) struct Fetches(Mutex<HashMap<(String, ConfigName), Noted>>);

impl Projects {
    /// Notes that what a config holds was fetched. Whoever fetches never waits for this.
    pub fn note_fetch(&self, mount: &Mount, project: &str, config: &str) {
        let Ok(mut notes) = self.fetches.0.try_lock() else { return };
        let now = self.store.now();
        let name = ConfigName { project: project.to_owned(), config: config.to_owned() };
        let key = (mount.uuid.clone(), name);
        let room = notes.len() < MAX_KNOWN;
        match notes.get_mut(&key) {
            Some(noted) if (now.as_second() - noted.time.as_second()).abs() < STEP => {}
            Some(noted) => *noted = Noted { time: now, pending: true },
            None if room => _ = notes.insert(key, Noted { time: now, pending: true }),
            None => {}
        }
    }

    /// Writes the notes down.
    pub(crate) async fn flush_fetches(&self, mounts: &Mounts) -> Result<(), StoreError> {
        for ((uuid, name), time) in self.take_notes() {
            if let Some(mount) = mounts.with_uuid(&uuid) {
                self.write_fetch(&mount, &name, time).await?;
            }
        }
        Ok(())
    }

    fn take_notes(&self) -> Vec<((String, ConfigName), Timestamp)> {
        let now = self.store.now().as_second();
        let mut notes = self.fetches.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = notes.iter_mut().filter(|(_, noted)| noted.pending);
        let taken = pending
            .map(|(key, noted)| {
                noted.pending = false;
                (key.clone(), noted.time)
            })
            .collect();
        if notes.len() >= MAX_KNOWN {
            notes.retain(|_, noted| (now - noted.time.as_second()).abs() < STEP);
        }
        taken
    }

    async fn write_fetch(&self, mount: &Mount, name: &ConfigName, time: Timestamp) -> Result<(), StoreError> {
        let key = keys::project(&mount.uuid, &name.project);
        let _lock = self.store.lock(&key).await;
        let seen = self.record(mount, &name.project).await?;
        let revision = seen.as_ref().map(|seen| seen.revision);
        let Ok(mut draft) = self.draft(mount, &name.project).await else { return Ok(()) };
        // It may be gone since.
        let Ok(config) = draft.config(&name.config) else { return Ok(()) };
        config.initial_fetch = config.initial_fetch.or(Some(time));
        config.last_fetch = Some(time);
        let batch = Batch::new().expect(key.clone(), revision).put(key, Store::encode(&draft.record)?);
        // Whoever changed the project meanwhile wins; the next fetch is noted again.
        match self.store.commit(batch).await? {
            Commit::Committed(_) | Commit::Conflict(_) => Ok(()),
        }
    }
}
