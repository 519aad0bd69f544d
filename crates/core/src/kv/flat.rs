//! Unversioned secrets (KV v1): one payload a name, replaced by each write.

use super::{Kv, KvError, check_name, check_size, json};
use crate::{barrier::Batch, door::Permit, keys, mount::Engine, secret::SecretBytes, storage::Key, store::StoreError};

impl Kv {
    /// The payload: the text of a JSON object.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn flat_read(&self, permit: Permit) -> Result<Option<SecretBytes>, KvError> {
        let key = flat_key(&permit)?;
        permit.spend();
        let record = self.store.barrier.get(&key).await.map_err(StoreError::from)?;
        Ok(record.map(|record| record.plaintext))
    }

    /// Replaces the payload by `fields`, the text of a JSON object.
    ///
    /// # Errors
    /// When the name is unfit, the object is empty, or the store fails.
    pub async fn flat_write(&self, permit: Permit, fields: &SecretBytes) -> Result<(), KvError> {
        let key = flat_key(&permit)?;
        let fields = flat_payload(fields)?;
        let _lock = self.store.lock(&key).await;
        let found = self.store.barrier.get(&key).await.map_err(StoreError::from)?;
        if !permit.still_fits(found.is_some()) {
            return Err(KvError::Denied);
        }
        permit.spend();
        let batch = Batch::new().expect(key.clone(), found.map(|record| record.revision)).put(key, fields);
        Ok(self.store.apply(batch).await?)
    }

    /// Removes a secret. One that is not there is no error.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn flat_delete(&self, permit: Permit) -> Result<(), KvError> {
        let key = flat_key(&permit)?;
        permit.spend();
        let _lock = self.store.lock(&key).await;
        Ok(self.store.delete(key).await?)
    }
}

/// Checks a payload of fields without versions, and gives it as it is stored.
pub(crate) fn flat_payload(fields: &SecretBytes) -> Result<SecretBytes, KvError> {
    let fields = json::normalize(fields.expose_secret()).map_err(|error| KvError::Invalid(error.to_string()))?;
    if fields.expose_secret() == b"{}" {
        return Err(KvError::Invalid("missing data fields".to_owned()));
    }
    check_size(fields.expose_secret())?;
    Ok(fields)
}

fn flat_key(permit: &Permit) -> Result<Key, KvError> {
    if permit.mount().engine != Engine::Kv1 {
        return Err(KvError::UnsupportedPath);
    }
    check_name(permit.rest())?;
    Ok(keys::kv_flat(&permit.mount().uuid, permit.rest()))
}
