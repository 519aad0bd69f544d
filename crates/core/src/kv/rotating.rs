//! The secret's side of a rotation: the pending version, its way to `current`, and how it is taken away again. Each is
//! one commit, together with the rotation's own record; none has a permit, for nobody outside asks for it.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::value::RawValue;

use super::{
    CURRENT, Kv, MountSettings, PENDING, Payload, RotationSettings, Secret, VersionState,
    expiry::note_end,
    json,
    staging::Added,
    write::{deletion_time, versions_to_keep},
};
use crate::{
    barrier::Batch,
    clock::Timestamp,
    keys,
    rotation::Site,
    secret::{SecretBytes, SecretString},
    storage::{Commit, Key, Revision},
    store::{Seen, Store, StoreError},
};

impl Site {
    fn key(&self) -> Key {
        keys::kv_meta(&self.mount, &self.name)
    }

    fn data_key(&self, version: u64) -> Key {
        keys::kv_data(&self.mount, &self.name, version)
    }
}

/// The secret's side could not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotatingError {
    /// There is no such secret any more.
    #[error("the secret is gone")]
    Gone,
    /// It is deleted and waits for its end.
    #[error("the secret is scheduled for deletion: restore it first")]
    Scheduled,
    /// It is read from another mount.
    #[error("the secret is a replica: rotate its origin")]
    Replica,
    /// Somebody wrote another version.
    #[error("somebody else changed the secret's current version meanwhile")]
    Changed,
    /// The version is not there or holds nothing.
    #[error("version {0} of the secret holds nothing")]
    Empty(u64),
    /// The payload is no object.
    #[error("the secret holds text or bytes and no fields: write fields to it first")]
    NoFields,
    /// The rotation's record changed: somebody else works on it.
    #[error("somebody else works on this rotation")]
    Lost,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Kv {
    /// The record of a secret with a rotation.
    pub(crate) async fn rotating(&self, site: &Site) -> Result<Secret, RotatingError> {
        let seen = self.store.read::<Secret>(&site.key()).await?.ok_or(RotatingError::Gone)?;
        check(&seen.value)?;
        Ok(seen.value)
    }

    /// What a version holds, if it can be read.
    pub(crate) async fn rotating_payload(&self, site: &Site, number: u64) -> Result<Payload, RotatingError> {
        let secret = self.rotating(site).await?;
        let now = self.store.now();
        let readable = |version: &&super::Version| !version.empty && version.state(now) == VersionState::Live;
        secret.version(number).filter(readable).ok_or(RotatingError::Empty(number))?;
        let record = self.store.barrier.get(&site.data_key(number)).await.map_err(StoreError::from)?;
        let payload = record.and_then(|record| Payload::from_stored(record.plaintext));
        payload.ok_or(RotatingError::Empty(number))
    }

    /// Says of a secret that it has a rotation, by this schedule, or has none any more; makes its record, without a
    /// version, if asked to.
    pub(crate) async fn mark_rotated(
        &self,
        site: &Site,
        rotated: bool,
        make: bool,
        schedule: &str,
        record: Batch,
    ) -> Result<Revision, RotatingError> {
        let key = site.key();
        let _lock = self.store.lock(&key).await;
        let found = self.store.read::<Secret>(&key).await?;
        let (seen, mut secret) = match found {
            Some(Seen { revision, value }) => (Some(revision), value),
            None if make => {
                let suffix = self.store.random.base62(6).map_err(StoreError::from)?;
                (None, Secret::new(self.store.now(), suffix.expose_secret().to_owned()))
            }
            // Its rotation goes all the same.
            None => return self.commit_with(&key, record).await,
        };
        if rotated {
            check(&secret)?;
        }
        secret.rotated = rotated;
        // Those who ask for the settings of a rotation see that there is one, or none any more.
        match &mut secret.rotation {
            None if rotated => {
                let since = Some(self.store.now());
                secret.rotation = Some(RotationSettings { enabled: true, since, ..RotationSettings::default() });
            }
            Some(settings) if !rotated && settings.hook.is_empty() => secret.rotation = None,
            Some(settings) if rotated && !schedule.is_empty() && !settings.says(schedule) => {
                // Rules that hold no longer; what has no form among them is not told.
                let told = ["rate(", "cron("].iter().any(|form| schedule.starts_with(form));
                settings.schedule = if told { schedule.to_owned() } else { String::new() };
                (settings.after_days, settings.window) = (0, String::new());
            }
            _ => {}
        }
        self.commit_with(&key, record.expect(key.clone(), seen).put(key.clone(), Store::encode(&secret)?)).await
    }

    /// Puts a pending version into the secret, or finds the one of that id; without a payload it keeps the place for
    /// one. `record` makes the rotation's part of the commit from the version's number.
    pub(crate) async fn stage_pending(
        &self,
        site: &Site,
        id: &str,
        payload: Option<Payload>,
        base: u64,
        record: impl FnOnce(u64) -> Result<Batch, StoreError> + Send,
    ) -> Result<Revision, RotatingError> {
        let open = self.open_rotating(site).await?;
        let Open { _lock, seen: Seen { revision, value: mut secret }, settings, now } = open;
        if secret.current() != base {
            return Err(RotatingError::Changed);
        }
        let known = secret.by_id(id).map(|version| version.number);
        let (number, stored) = match known {
            Some(number) => (number, None),
            None => {
                let deletion_time = deletion_time(&secret, &settings, now);
                let added = Added { id: id.to_owned(), created: now, deletion_time, empty: payload.is_none() };
                (secret.add(added, &[PENDING.to_owned()]), payload)
            }
        };
        secret.put_stage(PENDING, number);
        let mut batch = record(number)?;
        if let Some(payload) = stored {
            batch = batch.put(site.data_key(number), payload.into_stored());
        }
        self.commit_rotating(site, revision, secret, batch).await
    }

    /// Makes a version current in the place of `base`, and takes the label `pending` away. If it is current already,
    /// only the label goes.
    pub(crate) async fn promote_pending(
        &self,
        site: &Site,
        number: u64,
        base: u64,
        record: Batch,
    ) -> Result<Revision, RotatingError> {
        let open = self.open_rotating(site).await?;
        let Open { _lock, seen: Seen { revision, value: mut secret }, settings, now } = open;
        let version = secret.version(number).ok_or(RotatingError::Empty(number))?;
        if version.empty || version.state(now) != VersionState::Live {
            return Err(RotatingError::Empty(number));
        }
        if secret.current() != number && secret.current() != base {
            return Err(RotatingError::Changed);
        }
        secret.put_stage(CURRENT, number);
        secret.take_stage(PENDING);
        secret.updated = now;
        if let Some(rotation) = &mut secret.rotation {
            rotation.last = Some(now);
        }
        let pruned = secret.prune(versions_to_keep(&secret, &settings));
        let batch = pruned.into_iter().fold(record, |batch, number| batch.delete(site.data_key(number)));
        self.commit_rotating(site, revision, secret, batch).await
    }

    /// Makes an earlier version current again; what was current becomes `previous`.
    pub(crate) async fn promote_earlier(
        &self,
        site: &Site,
        number: u64,
        base: u64,
        record: Batch,
    ) -> Result<Revision, RotatingError> {
        let open = self.open_rotating(site).await?;
        let Open { _lock, seen: Seen { revision, value: mut secret }, now, .. } = open;
        if secret.current() != base {
            return Err(RotatingError::Changed);
        }
        secret.put_stage(CURRENT, number);
        secret.updated = now;
        self.commit_rotating(site, revision, secret, record).await
    }

    /// Takes a version away that never became current and holds nothing; one that was filled stays, and pending.
    pub(crate) async fn drop_pending_if_empty(
        &self,
        site: &Site,
        id: &str,
        record: Batch,
    ) -> Result<Revision, RotatingError> {
        // Nobody empties a version, and another's write in between makes the commit fail.
        let secret = self.store.read::<Secret>(&site.key()).await?;
        let filled = secret.as_ref().is_some_and(|seen| {
            let version = seen.value.by_id(id);
            version.is_some_and(|version| !version.empty && version.number != seen.value.current())
        });
        match filled {
            true => self.commit_with(&site.key(), record).await,
            false => self.drop_pending(site, id, record).await,
        }
    }

    /// Takes a version away that never became current. One that somebody gave another label loses `pending` alone.
    pub(crate) async fn drop_pending(&self, site: &Site, id: &str, record: Batch) -> Result<Revision, RotatingError> {
        let open = match self.open_rotating(site).await {
            Ok(open) => open,
            // There is nothing to take away.
            Err(RotatingError::Gone | RotatingError::Scheduled | RotatingError::Replica) => {
                return self.commit_with(&site.key(), record).await;
            }
            Err(error) => return Err(error),
        };
        let Open { _lock, seen: Seen { revision, value: mut secret }, .. } = open;
        let Some(version) = secret.by_id(id) else { return self.commit_with(&site.key(), record).await };
        let (number, wanted) = (version.number, version.stages.iter().any(|stage| stage != PENDING));
        let mut batch = record;
        if version.has(PENDING) {
            secret.take_stage(PENDING);
        }
        if !wanted {
            secret.versions.retain(|version| version.number != number);
            batch = batch.delete(site.data_key(number));
        }
        self.commit_rotating(site, revision, secret, batch).await
    }

    async fn open_rotating(&self, site: &Site) -> Result<Open<'_>, RotatingError> {
        let key = site.key();
        let lock = self.store.lock(&key).await;
        let seen = self.store.read::<Secret>(&key).await?.ok_or(RotatingError::Gone)?;
        check(&seen.value)?;
        let settings = self.store.read::<MountSettings>(&keys::kv_config(&site.mount)).await?;
        let settings = settings.map(|seen| seen.value).unwrap_or_default();
        Ok(Open { _lock: lock, seen, settings, now: self.store.now() })
    }

    async fn commit_rotating(
        &self,
        site: &Site,
        revision: Revision,
        secret: Secret,
        batch: Batch,
    ) -> Result<Revision, RotatingError> {
        let key = site.key();
        let batch = note_end(batch, &site.mount, &site.name, &secret, self.store.now());
        let batch = batch.expect(key.clone(), Some(revision)).put(key.clone(), Store::encode(&secret)?);
        self.commit_with(&key, batch).await
    }

    async fn commit_with(&self, secret: &[u8], batch: Batch) -> Result<Revision, RotatingError> {
        match self.store.commit(batch).await? {
            Commit::Committed(revision) => Ok(revision),
            Commit::Conflict(key) if key == secret => Err(StoreError::Contended.into()),
            Commit::Conflict(_) => Err(RotatingError::Lost),
        }
    }
}

/// A secret that is about to change, under its lock.
struct Open<'a> {
    _lock: tokio::sync::MutexGuard<'a, ()>,
    seen: Seen<Secret>,
    settings: MountSettings,
    now: Timestamp,
}

fn check(secret: &Secret) -> Result<(), RotatingError> {
    match secret {
        Secret { origin: Some(_), .. } => Err(RotatingError::Replica),
        Secret { recovery: Some(_), .. } => Err(RotatingError::Scheduled),
        _ => Ok(()),
    }
}

impl Payload {
    /// A field that is text.
    pub(crate) fn secret_field(&self, name: &str) -> Option<SecretString> {
        let Self::Fields(json) = self else { return None };
        let object: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(json.expose_secret()).ok()?;
        serde_json::from_str(object.get(name)?.get()).ok()
    }

    /// The fields with some of them set anew; all others stay. What holds no fields is refused, but for nothing at all.
    pub(crate) fn with_fields(base: Option<Self>, fields: &[(&str, &SecretString)]) -> Result<Self, RotatingError> {
        let empty = || SecretBytes::new(b"{}".to_vec());
        let base = match base {
            None => empty(),
            Some(Self::Fields(json)) => json,
            Some(Self::Text(_) | Self::Bytes(_)) => return Err(RotatingError::NoFields),
        };
        // Escaping makes at most six bytes of one: the buffer does not grow and leave a copy behind.
        let room = fields.iter().map(|(name, value)| (name.len() + value.len()) * 6 + 6).sum::<usize>();
        let mut patch = SecretBytes::new(Vec::with_capacity(room + 2));
        let out = patch.expose_secret_mut();
        out.push(b'{');
        for (index, (name, value)) in fields.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            // Writing text to memory cannot fail.
            _ = serde_json::to_writer(&mut *out, name);
            out.push(b':');
            _ = serde_json::to_writer(&mut *out, value.expose_secret());
        }
        out.push(b'}');
        let merged = json::merge(base.expose_secret(), patch.expose_secret()).map_err(|_| RotatingError::NoFields)?;
        Ok(Self::Fields(merged))
    }
}
