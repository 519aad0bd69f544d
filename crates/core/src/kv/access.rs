//! Access dates: the day of a secret's last read, as AWS's clients show it.
//!
//! A read only notes that it was the first of its day; the note is written down in the background, so that reading
//! costs no write. Notes are lost with a crash: the next read makes them again.

use std::sync::PoisonError;

use super::{Kv, Place, Secret};
use crate::{
    barrier::Batch,
    clock::Timestamp,
    keys,
    store::{Store, StoreError},
};

/// Notes that are kept at the most. A read beyond it is noted another time.
const MAX_NOTES: usize = 4096;

/// Notes that one round of upkeep writes down.
const PER_ROUND: usize = 128;

fn day_of(time: Timestamp) -> u32 {
    u32::try_from(time.as_second() / 86_400).unwrap_or(0)
}

impl Kv {
    /// Notes a read, if it is the first of its day.
    pub(super) fn note_access(&self, place: &Place, last_day: u32, now: Timestamp) {
        if last_day == day_of(now) {
            return;
        }
        // A reader never waits for this: if another holds the notes, the next read makes the note.
        if let Ok(mut notes) = self.accessed.try_lock()
            && notes.len() < MAX_NOTES
        {
            notes.insert((place.mount.uuid.clone(), place.name.clone()));
        }
    }

    /// Lets a note that is yet to be written down show in what is told of a secret.
    pub(super) fn see_noted_access(&self, place: &Place, secret: &mut Secret) {
        let notes = self.accessed.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.contains(&(place.mount.uuid.clone(), place.name.clone())) {
            secret.last_accessed_day = day_of(self.store.now());
        }
    }

    /// Writes some of the notes down, under each secret's lock, so that no writer is disturbed.
    pub(crate) async fn flush_accesses(&self) -> Result<(), StoreError> {
        let notes = self.take_notes();
        let today = day_of(self.store.now());
        for (mount, name) in notes {
            let key = keys::kv_meta(&mount, &name);
            let _lock = self.store.lock(&key).await;
            let Some(mut seen) = self.store.read::<Secret>(&key).await? else { continue };
            seen.value.last_accessed_day = today;
            let record = Store::encode(&seen.value)?;
            // Another process may have changed the secret: then the next read makes the note again.
            let _ = self.store.commit(Batch::new().expect(key.clone(), Some(seen.revision)).put(key, record)).await?;
        }
        Ok(())
    }

    fn take_notes(&self) -> Vec<(String, String)> {
        let mut notes = self.accessed.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: Vec<_> = notes.iter().take(PER_ROUND).cloned().collect();
        for note in &taken {
            notes.remove(note);
        }
        taken
    }
}
