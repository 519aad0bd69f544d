//! Writing a new version.

use super::{
    DEFAULT_MAX_VERSIONS, Kv, KvError, MountSettings, Payload, Place, Secret, VersionView, check_changeable,
    check_size, expiry::note_end, json,
};
use crate::{
    barrier::Batch,
    clock::{self, Timestamp},
    config_values::Visibility,
    door::Permit,
    secret::SecretBytes,
    store::{Seen, Store},
};

/// A version to be written.
#[derive(Debug)]
pub struct NewVersion {
    /// Its content.
    pub payload: Payload,
    /// The number of the version it replaces; 0: there must be none.
    pub cas: Option<u64>,
}

impl Kv {
    /// Writes a version and makes it current. What is beyond the number of versions to keep goes with the same commit.
    ///
    /// # Errors
    /// When the name is unfit, `cas` does not match or is missing though required.
    pub async fn write(&self, permit: Permit, new: NewVersion) -> Result<VersionView, KvError> {
        let place = Self::locate(&permit, &["data"])?;
        let _lock = self.store.lock(&place.key()).await;
        self.write_locked(permit, &place, new.cas, new.payload).await
    }

    /// Lays `patch` (the text of a JSON object) over the current version's fields, as RFC 7386 merges, and writes the
    /// outcome as a new version.
    ///
    /// # Errors
    /// [`KvError::NotFound`] when there is no current version; otherwise as [`Kv::write`].
    pub async fn patch(&self, permit: Permit, patch: &SecretBytes, cas: Option<u64>) -> Result<VersionView, KvError> {
        let place = Self::locate(&permit, &["data"])?;
        let _lock = self.store.lock(&place.key()).await;
        let (_, fields) = self.current_fields(&place).await?.ok_or(KvError::NotFound)?;
        let merged = json::merge(fields.expose_secret(), patch.expose_secret())
            .map_err(|error| KvError::Invalid(format!("data: {error}")))?;
        self.write_locked(permit, &place, cas, Payload::Fields(merged)).await
    }

    pub(super) async fn write_locked(
        &self,
        permit: Permit,
        place: &Place,
        cas: Option<u64>,
        payload: Payload,
    ) -> Result<VersionView, KvError> {
        self.write_restricting(permit, place, cas, payload, &[]).await
    }

    /// The same, with these fields restricted from then on.
    pub(super) async fn write_restricting(
        &self,
        permit: Permit,
        place: &Place,
        cas: Option<u64>,
        payload: Payload,
        restricted: &[&str],
    ) -> Result<VersionView, KvError> {
        let key = place.key();
        let payload = payload.into_stored();
        check_size(payload.expose_secret())?;
        let settings = self.settings_of(&place.mount).await?;
        let found = self.find(place).await?;
        if !permit.still_fits(found.is_some()) {
            return Err(KvError::Denied);
        }
        let author = permit.caller().map_or_else(String::new, |caller| caller.entry().display_name.clone());
        permit.spend();
        let seen = found.as_ref().map(|seen| seen.revision);
        let now = self.store.now();
        if let Some(seen) = &found {
            check_changeable(&seen.value)?;
        }
        let mut secret = match found {
            Some(Seen { value, .. }) => value,
            None => Secret::new(now, self.arn_suffix()?),
        };
        check_cas(&secret, &settings, cas)?;
        for field in restricted {
            secret.marks.entry((*field).to_owned()).or_default().visibility = Visibility::Restricted;
        }
        let id = self.store.random.uuid().map_err(crate::store::StoreError::from)?.to_string();
        let number = secret.promote_new(id, now, deletion_time(&secret, &settings, now));
        secret.set_author(number, author);
        let pruned = secret.prune(versions_to_keep(&secret, &settings));
        let mut batch = Batch::new()
            .expect(key.clone(), seen)
            .put(key, Store::encode(&secret)?)
            .put(place.data_key(number), payload);
        for number in pruned {
            batch = batch.delete(place.data_key(number));
        }
        batch = note_end(batch, place.uuid(), &place.name, &secret, now);
        self.store.apply(batch).await?;
        let version = secret.version(number).cloned().ok_or(KvError::NotFound)?;
        Ok(VersionView { version, custom_metadata: secret.custom_metadata })
    }

    pub(super) fn arn_suffix(&self) -> Result<String, KvError> {
        let suffix = self.store.random.base62(6).map_err(crate::store::StoreError::from)?;
        Ok(suffix.expose_secret().to_owned())
    }
}

fn check_cas(secret: &Secret, settings: &MountSettings, cas: Option<u64>) -> Result<(), KvError> {
    match cas {
        Some(expected) if expected != secret.current() => Err(KvError::CasMismatch),
        None if settings.cas_required || secret.cas_required => Err(KvError::CasRequired),
        _ => Ok(()),
    }
}

pub(super) fn versions_to_keep(secret: &Secret, settings: &MountSettings) -> u32 {
    match secret.max_versions.max(settings.max_versions) {
        0 => DEFAULT_MAX_VERSIONS,
        keep => keep,
    }
}

/// When a version written now will be deleted: after the shorter of what the mount and the secret say.
pub(super) fn deletion_time(secret: &Secret, settings: &MountSettings, now: Timestamp) -> Option<Timestamp> {
    if settings.delete_version_after < 0 || secret.delete_version_after < 0 {
        return None;
    }
    let seconds = [settings.delete_version_after, secret.delete_version_after]
        .into_iter()
        .filter(|seconds| *seconds > 0)
        .min()
        .and_then(|seconds| u64::try_from(seconds).ok())?;
    Some(clock::after(now, seconds))
}
