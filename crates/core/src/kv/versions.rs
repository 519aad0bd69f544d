//! Deleting, restoring and destroying versions.

use super::{Kv, KvError, REPLICA, Secret};
use crate::{barrier::Batch, clock::Timestamp, door::Permit, store::Store};

impl Kv {
    /// Deletes the current version; it can be had back. A secret that is not there is no error.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn delete_current(&self, permit: Permit) -> Result<(), KvError> {
        self.change(permit, "data", |secret, now| {
            let current = secret.current();
            delete(secret, current, now);
            Vec::new()
        })
        .await
    }

    /// Deletes versions; they can be had back. Versions that are not there are passed over.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn delete_versions(&self, permit: Permit, numbers: &[u64]) -> Result<(), KvError> {
        self.change(permit, "delete", |secret, now| {
            for number in numbers {
                delete(secret, *number, now);
            }
            Vec::new()
        })
        .await
    }

    /// Brings deleted versions back, and a secret that is scheduled for deletion with them. What is destroyed stays so.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn undelete_versions(&self, permit: Permit, numbers: &[u64]) -> Result<(), KvError> {
        self.change(permit, "undelete", |secret, _| {
            secret.recovery = None;
            for number in numbers {
                if let Some(version) = secret.released_mut(*number).filter(|version| !version.destroyed) {
                    version.deletion_time = None;
                }
            }
            Vec::new()
        })
        .await
    }

    /// Removes the payloads of versions for good.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn destroy_versions(&self, permit: Permit, numbers: &[u64]) -> Result<(), KvError> {
        self.change(permit, "destroy", |secret, _| {
            let mut gone = Vec::new();
            for number in numbers {
                if let Some(version) = secret.released_mut(*number) {
                    version.destroyed = true;
                    gone.push(*number);
                }
            }
            gone
        })
        .await
    }

    /// Changes a secret's record; the payloads of the versions that `edit` names go with the same commit.
    async fn change(
        &self,
        permit: Permit,
        area: &str,
        edit: impl FnOnce(&mut Secret, Timestamp) -> Vec<u64>,
    ) -> Result<(), KvError> {
        let place = Self::locate(&permit, &[area])?;
        permit.spend();
        let key = place.key();
        let _lock = self.store.lock(&key).await;
        let Some(seen) = self.find(&place).await? else { return Ok(()) };
        let mut secret = seen.value;
        if secret.origin.is_some() {
            return Err(KvError::Invalid(REPLICA.to_owned()));
        }
        let now = self.store.now();
        let gone = edit(&mut secret, now);
        secret.updated = now;
        let mut batch = Batch::new().expect(key.clone(), Some(seen.revision)).put(key, Store::encode(&secret)?);
        for number in gone {
            batch = batch.delete(place.data_key(number));
        }
        Ok(self.store.apply(batch).await?)
    }
}

fn delete(secret: &mut Secret, number: u64, now: Timestamp) {
    if let Some(version) = secret.released_mut(number) {
        // A version that was deleted before keeps the time of that.
        if !version.destroyed && version.deletion_time.is_none_or(|at| at > now) {
            version.deletion_time = Some(now);
        }
    }
}
