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
    storage::Commit,
    store::{Store, StoreError},
};

/// Notes that are kept at the most. A read beyond it is noted another time.
const MAX_NOTES: usize = 4096;

/// Secrets that one commit dates.
const CHUNK: usize = 64;

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

    /// Writes the notes down. A secret that changes meanwhile is noted again.
    pub(crate) async fn flush_accesses(&self) -> Result<usize, StoreError> {
        let notes = std::mem::take(&mut *self.accessed.lock().unwrap_or_else(PoisonError::into_inner));
        let today = day_of(self.store.now());
        let notes: Vec<_> = notes.into_iter().collect();
        let mut written = 0;
        for chunk in notes.chunks(CHUNK) {
            let mut batch = Batch::new();
            for (mount, name) in chunk {
                let key = keys::kv_meta(mount, name);
                let Some(mut seen) = self.store.read::<Secret>(&key).await? else { continue };
                seen.value.last_accessed_day = today;
                batch = batch.expect(key.clone(), Some(seen.revision)).put(key, Store::encode(&seen.value)?);
            }
            if batch.writes.is_empty() {
                continue;
            }
            match self.store.commit(batch).await? {
                Commit::Committed(_) => written += chunk.len(),
                Commit::Conflict(_) => {
                    self.accessed.lock().unwrap_or_else(PoisonError::into_inner).extend(chunk.iter().cloned());
                }
            }
        }
        Ok(written)
    }
}
