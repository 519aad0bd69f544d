//! Reading and writing the records of rotations.

use super::{Inner, Rotation, Site};
use crate::{
    barrier::Batch,
    clock::Timestamp,
    secret::SecretBytes,
    storage::{Commit, Revision},
    store::{Seen, Store, StoreError},
};

/// A rotation as it was read, with what has to change along with it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) site: Site,
    pub(super) revision: Option<Revision>,
    /// When it is noted to be due.
    noted: Option<Timestamp>,
    /// Whether it is noted to be watched.
    watched: bool,
    pub(super) rotation: Rotation,
}

impl Held {
    /// One that is yet to be stored.
    pub(super) fn fresh(site: Site, rotation: Rotation) -> Self {
        Self { site, revision: None, noted: None, watched: false, rotation }
    }

    /// What stores it, if nobody has changed it meanwhile.
    pub(super) fn batch(&self) -> Result<Batch, StoreError> {
        let key = self.site.rotation_key();
        let mut batch = Batch::new().expect(key.clone(), self.revision).put(key, Store::encode(&self.rotation)?);
        let note = |at: Option<Timestamp>| at.map(|at| self.site.due_key(at));
        let (before, after) = (note(self.noted), note(self.rotation.wake));
        if before != after {
            batch = before.into_iter().fold(batch, Batch::delete);
            batch = after.into_iter().fold(batch, |batch, note| batch.put(note, SecretBytes::new(vec![1])));
        }
        let watch = self.site.watch_key();
        batch = match (self.watched, self.rotation.is_watched()) {
            (false, true) => batch.put(watch, SecretBytes::new(vec![1])),
            (true, false) => batch.delete(watch),
            _ => batch,
        };
        Ok(batch)
    }

    /// What removes it.
    pub(super) fn removal(&self) -> Batch {
        let key = self.site.rotation_key();
        let batch = Batch::new().expect(key.clone(), self.revision).delete(key).delete(self.site.readers_key());
        let batch = batch.delete(self.site.watch_key());
        self.noted.into_iter().fold(batch, |batch, at| batch.delete(self.site.due_key(at)))
    }

    /// Notes that it was stored.
    pub(super) fn stored(&mut self, revision: Revision) {
        self.revision = Some(revision);
        self.noted = self.rotation.wake;
        self.watched = self.rotation.is_watched();
    }
}

impl Inner {
    pub(super) async fn hold(&self, site: &Site) -> Result<Option<Held>, StoreError> {
        let seen = self.store.read::<Rotation>(&site.rotation_key()).await?;
        Ok(seen.map(|Seen { revision, value }| Held {
            site: site.clone(),
            revision: Some(revision),
            noted: value.wake,
            watched: value.is_watched(),
            rotation: value,
        }))
    }

    /// Stores a rotation; `false`: somebody else changed it, nothing is stored.
    #[must_use = "whoever does not store it has lost it"]
    pub(super) async fn keep(&self, held: &mut Held) -> Result<bool, StoreError> {
        match self.store.commit(held.batch()?).await? {
            Commit::Committed(revision) => {
                held.stored(revision);
                Ok(true)
            }
            Commit::Conflict(_) => Ok(false),
        }
    }
}
