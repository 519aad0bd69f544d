//! When and where a key was last used. A request only notes it, once a minute; the note is written down by the upkeep,
//! so that proving who one is costs no write. Notes are lost with a crash.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use super::{AccessKey, AccessKeys};
use crate::{
    barrier::Batch,
    clock::{Timestamp, nanos},
    keys,
    store::{Store, StoreError},
};

/// Seconds within which two uses count as one.
pub(super) const STEP: i64 = 60;
/// Notes that are kept at the most. A use beyond it is noted another time.
const MAX_NOTES: usize = 4096;
/// Notes that one round of upkeep writes down.
const PER_ROUND: usize = 128;

/// A use of an access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUse {
    /// When.
    #[serde(with = "nanos")]
    pub time: Timestamp,
    /// The region that the request was signed for.
    pub region: String,
    /// The service that it was signed for.
    pub service: String,
}

impl AccessKeys {
    /// Notes a use. Whoever asks never waits for this.
    pub(super) fn note_use(&self, id: &str, last_use: LastUse) {
        if let Ok(mut uses) = self.uses.try_lock()
            && (uses.len() < MAX_NOTES || uses.contains_key(id))
        {
            uses.insert(id.to_owned(), last_use);
        }
    }

    /// Writes some of the notes down.
    pub(crate) async fn flush_uses(&self) -> Result<(), StoreError> {
        for (id, last_use) in self.take_notes() {
            let key = keys::access_key(&id);
            let _lock = self.store.lock(&key).await;
            let Some(mut seen) = self.store.read::<AccessKey>(&key).await? else { continue };
            seen.value.last_use = Some(last_use);
            let record = Store::encode(&seen.value)?;
            // A key that is revoked meanwhile stays so: the commit only goes over the record that was read.
            let _ = self.store.commit(Batch::new().expect(key.clone(), Some(seen.revision)).put(key, record)).await?;
        }
        Ok(())
    }

    fn take_notes(&self) -> Vec<(String, LastUse)> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let ids: Vec<_> = uses.keys().take(PER_ROUND).cloned().collect();
        ids.into_iter().filter_map(|id| uses.remove_entry(&id)).collect()
    }
}
