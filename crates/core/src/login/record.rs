//! What the records of several auth methods have in common: they lie under a name, and a write changes what is there.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    barrier::Batch,
    storage::Key,
    store::{Store, StoreError},
};

/// Replaces the record at `key`, or a new one, by what `change` makes of it, if `check` lets that be kept.
pub(super) async fn rewrite<R, W, M>(
    store: &Store,
    key: Key,
    new: impl FnOnce() -> R,
    change: impl FnOnce(&mut R) -> Result<(), W>,
    check: impl FnOnce(&R) -> Result<(), M>,
) -> Result<R, W>
where
    R: Serialize + DeserializeOwned,
    M: From<StoreError>,
    W: From<M>,
{
    let _lock = store.lock(&key).await;
    let found = store.read::<R>(&key).await.map_err(M::from)?;
    let (revision, mut record) = match found {
        Some(seen) => (Some(seen.revision), seen.value),
        None => (None, new()),
    };
    change(&mut record)?;
    check(&record)?;
    let text = Store::encode(&record).map_err(M::from)?;
    let batch = Batch::new().expect(key.clone(), revision).put(key, text);
    store.apply(batch).await.map_err(M::from)?;
    Ok(record)
}
