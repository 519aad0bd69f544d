//! The end of a secret and what comes before it: a window in which it can be restored. Also what is said about a secret
//! beside its tags: its access policy, its rotation.

use std::sync::Arc;

use super::{
    CURRENT, Kv, PENDING, Place, Recovery, RotationSettings, Secret, SecretError,
    labelled::{Restriction, check, check_stages},
    staging::Added,
};
use crate::{
    barrier::Batch,
    clock,
    door::Permit,
    keys,
    mount::{Engine, Mount},
    store::{PAGE, Seen, StoreError},
};

/// What a rotation is to be: `None` leaves as it is.
#[derive(Debug, Default)]
pub struct RotationChange {
    /// The name of what rotates.
    pub hook: Option<String>,
    /// Days, schedule, window: replaced together.
    pub rules: Option<(u32, String, String)>,
    /// What somebody else's service needs to know.
    pub external: Option<Vec<(String, String)>>,
    /// The role that it takes.
    pub external_role: Option<String>,
    /// The id of the version that a rotation at once is to fill; `None`: none now.
    pub start: Option<String>,
}

impl Kv {
    /// Deletes a secret as a whole: nobody reads or changes it, and in `window` seconds it is gone.
    ///
    /// # Errors
    /// [`SecretError::NotFound`], [`SecretError::Scheduled`], [`SecretError::Replica`], [`SecretError::HasReplicas`].
    pub async fn schedule_deletion(
        &self,
        permit: Permit,
        window: u64,
        allowed: Restriction<'_>,
    ) -> Result<(Secret, Recovery), SecretError> {
        let place = Self::locate(&permit, &["data"])?;
        let _lock = self.store.lock(&place.key()).await;
        let Seen { revision, value: mut secret } = self.open_for_change(permit, &place, allowed).await?;
        if secret.is_followed() {
            return Err(SecretError::HasReplicas);
        }
        let now = self.store.now();
        let recovery = Recovery { deleted: now, until: clock::after(now, window) };
        secret.recovery = Some(recovery.clone());
        secret.updated = now;
        let note = keys::kv_purge(place.uuid(), recovery.until, &place.name);
        let batch = Batch::new().put(note, crate::secret::SecretBytes::new(vec![1]));
        self.commit_secret(&place, Some(revision), &secret, batch).await?;
        Ok((secret, recovery))
    }

    /// Removes a secret for good, whether it was scheduled or not; says what it was.
    ///
    /// # Errors
    /// [`SecretError::NotFound`], [`SecretError::Replica`], [`SecretError::HasReplicas`].
    pub async fn delete_now(&self, permit: Permit, allowed: Restriction<'_>) -> Result<Secret, SecretError> {
        let place = Self::locate(&permit, &["metadata"])?;
        permit.spend();
        let _lock = self.store.lock(&place.key()).await;
        let seen = self.find(&place).await?.ok_or(SecretError::NotFound)?;
        check(&seen.value, allowed)?;
        if seen.value.origin.is_some() {
            return Err(SecretError::Replica);
        }
        if seen.value.is_followed() {
            return Err(SecretError::HasReplicas);
        }
        self.remove(&place, &seen, Batch::new()).await?;
        Ok(seen.value)
    }

    /// Takes a deletion back; without one nothing changes.
    ///
    /// # Errors
    /// [`SecretError::NotFound`], [`SecretError::Replica`].
    pub async fn restore(&self, permit: Permit, allowed: Restriction<'_>) -> Result<Secret, SecretError> {
        let place = Self::locate(&permit, &["undelete"])?;
        permit.spend();
        let _lock = self.store.lock(&place.key()).await;
        let Seen { revision, value: mut secret } = self.find(&place).await?.ok_or(SecretError::NotFound)?;
        check(&secret, allowed)?;
        if secret.origin.is_some() {
            return Err(SecretError::Replica);
        }
        if secret.recovery.take().is_some() {
            secret.updated = self.store.now();
            // The note of its end is passed over when its time comes.
            self.commit_secret(&place, Some(revision), &secret, Batch::new()).await?;
        }
        Ok(secret)
    }

    /// Sets the access policy, or removes it with an empty text.
    ///
    /// # Errors
    /// [`SecretError::NotFound`], [`SecretError::Scheduled`], [`SecretError::Replica`].
    pub async fn set_access_policy(
        &self,
        permit: Permit,
        text: String,
        allowed: Restriction<'_>,
    ) -> Result<Secret, SecretError> {
        let place = Self::locate(&permit, &["metadata"])?;
        let _lock = self.store.lock(&place.key()).await;
        let Seen { revision, value: mut secret } = self.open_for_change(permit, &place, allowed).await?;
        secret.access_policy = text;
        secret.updated = self.store.now();
        self.commit_secret(&place, Some(revision), &secret, Batch::new()).await?;
        Ok(secret)
    }

    /// Says how a secret is to be rotated and, with `start`, opens a rotation: a pending version without a payload.
    /// The same start again changes nothing more. `check` sees the settings as they would be, and whether the secret has
    /// a rotation of this server's own; that one opens its versions itself.
    ///
    /// # Errors
    /// [`SecretError::Rotating`] when another version is pending; otherwise as [`Kv::update`].
    pub async fn configure_rotation<E: From<SecretError>>(
        &self,
        permit: Permit,
        change: RotationChange,
        allowed: Restriction<'_>,
        check: impl FnOnce(&RotationSettings, bool) -> Result<(), E> + Send,
    ) -> Result<Secret, E> {
        let place = Self::locate(&permit, &["data"]).map_err(SecretError::from)?;
        let _lock = self.store.lock(&place.key()).await;
        let Seen { revision, value: mut secret } = self.open_for_change(permit, &place, allowed).await?;
        let now = self.store.now();
        let start = change.start.clone();
        let settings = changed_settings(secret.rotation.take().unwrap_or_default(), change, now);
        check(&settings, secret.rotated)?;
        secret.rotation = Some(settings);
        if let Some(id) = start.filter(|_| !secret.rotated) {
            open_rotation(&mut secret, id, now)?;
        }
        secret.updated = now;
        self.commit_secret(&place, Some(revision), &secret, Batch::new()).await.map_err(SecretError::from)?;
        Ok(secret)
    }

    /// Switches rotation off; the rules and labels stay.
    ///
    /// # Errors
    /// As [`Kv::update`].
    pub async fn cancel_rotation(&self, permit: Permit, allowed: Restriction<'_>) -> Result<Secret, SecretError> {
        let place = Self::locate(&permit, &["metadata"])?;
        let _lock = self.store.lock(&place.key()).await;
        let Seen { revision, value: mut secret } = self.open_for_change(permit, &place, allowed).await?;
        if let Some(rotation) = &mut secret.rotation {
            rotation.enabled = false;
            secret.updated = self.store.now();
            self.commit_secret(&place, Some(revision), &secret, Batch::new()).await?;
        }
        Ok(secret)
    }

    /// Removes the secrets whose time to be restored has ended.
    pub(crate) async fn purge_due(&self, mounts: &[Arc<Mount>]) -> Result<(), StoreError> {
        let now = format!("{:016x}", self.store.now().as_second().max(0));
        for mount in mounts.iter().filter(|mount| mount.engine == Engine::Kv2) {
            let prefix = keys::kv_purges(&mount.uuid);
            for key in self.store.barrier.keys(&prefix, None, PAGE).await? {
                let rest = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
                let Some((until, name)) = rest.split_once('/') else { continue };
                if until > now.as_str() {
                    break;
                }
                let place = Place::new(Arc::clone(mount), name.to_owned());
                self.purge(&place, key).await?;
            }
        }
        Ok(())
    }

    /// Removes one secret if it is still to be, and the note of it in any case.
    async fn purge(&self, place: &Place, note: Vec<u8>) -> Result<(), StoreError> {
        let _lock = self.store.lock(&place.key()).await;
        let due = self
            .find(place)
            .await?
            .filter(|seen| seen.value.recovery.as_ref().is_some_and(|recovery| recovery.until <= self.store.now()));
        match due {
            Some(seen) => self.remove(place, &seen, Batch::new().delete(note)).await,
            None => self.store.delete(note).await,
        }
    }

    /// Removes a secret's record with all its payloads.
    pub(super) async fn remove(&self, place: &Place, seen: &Seen<Secret>, batch: Batch) -> Result<(), StoreError> {
        let key = place.key();
        let mut batch = batch.expect(key.clone(), Some(seen.revision)).delete(key);
        if seen.value.rotated {
            let (mount, name) = (place.uuid(), &place.name);
            batch = batch.delete(keys::kv_rotation(mount, name)).delete(keys::kv_readers(mount, name));
        }
        let versions = seen.value.versions.iter();
        self.store.apply(versions.fold(batch, |batch, version| batch.delete(place.data_key(version.number)))).await
    }
}

fn changed_settings(mut settings: RotationSettings, change: RotationChange, now: clock::Timestamp) -> RotationSettings {
    settings.enabled = true;
    settings.hook = change.hook.unwrap_or(settings.hook);
    if let Some((after_days, schedule, window)) = change.rules {
        RotationSettings { after_days, schedule, window, since: Some(now), ..settings }
            .with_external(change.external, change.external_role)
    } else {
        settings.since = settings.since.or(Some(now));
        settings.with_external(change.external, change.external_role)
    }
}

impl RotationSettings {
    fn with_external(mut self, external: Option<Vec<(String, String)>>, role: Option<String>) -> Self {
        self.external = external.unwrap_or(self.external);
        self.external_role = role.unwrap_or(self.external_role);
        self
    }
}

fn open_rotation(secret: &mut Secret, id: String, now: clock::Timestamp) -> Result<(), SecretError> {
    if let Some(pending) = secret.staged(PENDING).filter(|version| !version.has(CURRENT)) {
        if pending.id == id {
            return Ok(());
        }
        return Err(SecretError::Rotating { pending: pending.id.clone() });
    }
    if secret.by_id(&id).is_none() {
        secret.add(Added { id, created: now, deletion_time: None, empty: true }, &[PENDING.to_owned()]);
    }
    check_stages(secret)
}
