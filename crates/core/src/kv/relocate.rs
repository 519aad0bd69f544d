//! Moving, copying and removing whole secrets, as parts of a larger commit. Whoever commits the batch tries again when it
//! meets a conflict: the secrets are read without a lock, since several at once are concerned.

use super::{KvError, Secret, VersionState};
use crate::{
    barrier::Batch,
    keys,
    secret::SecretBytes,
    store::{Seen, Store, StoreError},
};

/// Bytes of payloads that one commit moves at the most.
const MAX_MOVED: usize = 64 << 20;

/// How much a commit moves so far.
#[derive(Debug, Default)]
pub(crate) struct Load(usize);

impl Load {
    fn add(&mut self, payload: &SecretBytes) -> Result<(), KvError> {
        self.0 += payload.len();
        if self.0 > MAX_MOVED {
            return Err(KvError::Invalid(format!(
                "the versions of these secrets have more than {MAX_MOVED} bytes, too much to be moved at once: destroy old versions first"
            )));
        }
        Ok(())
    }
}

async fn find(store: &Store, mount: &str, name: &str) -> Result<Option<Seen<Secret>>, KvError> {
    let found: Option<Seen<Secret>> = store.read(&keys::kv_meta(mount, name)).await?;
    if let Some(seen) = &found
        && (seen.value.origin.is_some() || !seen.value.replicas.is_empty())
    {
        return Err(KvError::Invalid(format!("the secret {name} takes part in replication: end that first")));
    }
    Ok(found)
}

/// Adds to `batch` what gives a secret another name, its versions with it. One that is not there is nothing to move.
pub(crate) async fn moving(
    store: &Store,
    mount: &str,
    (from, to): (&str, &str),
    mut batch: Batch,
    load: &mut Load,
) -> Result<Batch, KvError> {
    let (source, target) = (keys::kv_meta(mount, from), keys::kv_meta(mount, to));
    batch = batch.expect(target.clone(), None);
    let Some(Seen { revision, value: secret }) = find(store, mount, from).await? else {
        return Ok(batch.expect(source, None));
    };
    if let Some(recovery) = &secret.recovery {
        let note = keys::kv_purge(mount, recovery.until, to);
        batch = batch.put(note, SecretBytes::new(vec![1]));
    }
    batch = batch.expect(source.clone(), Some(revision)).delete(source).put(target, Store::encode(&secret)?);
    for version in &secret.versions {
        let key = keys::kv_data(mount, from, version.number);
        if let Some(record) = store.barrier.get(&key).await.map_err(StoreError::from)? {
            load.add(&record.plaintext)?;
            batch = batch.delete(key).put(keys::kv_data(mount, to, version.number), record.plaintext);
        }
    }
    Ok(batch)
}

/// Adds to `batch` what makes a secret with the current content of another, and no history. One that has none is nothing
/// to copy.
pub(crate) async fn copying(
    store: &Store,
    mount: &str,
    (from, to): (&str, &str),
    batch: Batch,
) -> Result<Batch, KvError> {
    let target = keys::kv_meta(mount, to);
    let batch = batch.expect(target.clone(), None);
    let Some(Seen { revision, value: secret }) = find(store, mount, from).await? else { return Ok(batch) };
    let now = store.now();
    let current = secret.version(secret.current()).filter(|version| version.state(now) == VersionState::Live);
    let Some(current) = current else { return Ok(batch) };
    let record = store.barrier.get(&keys::kv_data(mount, from, current.number)).await.map_err(StoreError::from)?;
    let Some(record) = record else { return Ok(batch) };
    let suffix = store.random.base62(6).map_err(StoreError::from)?.expose_secret().to_owned();
    let id = store.random.uuid().map_err(StoreError::from)?.to_string();
    let (custom_metadata, marks) = (secret.custom_metadata, secret.marks);
    let mut copy = Secret { custom_metadata, marks, ..Secret::new(now, suffix) };
    let number = copy.promote_new(id, now, None);
    Ok(batch
        .expect(keys::kv_meta(mount, from), Some(revision))
        .put(target, Store::encode(&copy)?)
        .put(keys::kv_data(mount, to, number), record.plaintext))
}

/// Adds to `batch` what removes a secret with all its versions for good.
pub(crate) async fn removing(store: &Store, mount: &str, name: &str, batch: Batch) -> Result<Batch, KvError> {
    let key = keys::kv_meta(mount, name);
    let Some(Seen { revision, value: secret }) = find(store, mount, name).await? else { return Ok(batch) };
    let batch = batch.expect(key.clone(), Some(revision)).delete(key);
    let versions = secret.versions.iter();
    Ok(versions.fold(batch, |batch, version| batch.delete(keys::kv_data(mount, name, version.number))))
}
