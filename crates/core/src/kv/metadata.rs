//! What is said about a secret, listing, and removal with all versions.

use std::collections::BTreeMap;

use super::{Kv, KvError, Secret, check_changeable, check_prefix};
use crate::{
    barrier::Batch,
    door::Permit,
    keys,
    mount::Engine,
    store::{Seen, Store},
};

/// Entries of custom metadata at the most (Vault's bound).
const MAX_ENTRIES: usize = 64;
/// The longest key of custom metadata, in bytes (Vault's bound).
const MAX_KEY: usize = 128;
/// The longest value of custom metadata, in bytes (Vault's bound).
const MAX_VALUE: usize = 512;

/// What a secret's record says.
pub type SecretView = Secret;

/// A change to what is said about a secret; `None` leaves as it is.
#[derive(Debug, Default)]
pub struct MetadataChange {
    /// How many versions are kept; 0: as the mount says.
    pub max_versions: Option<u32>,
    /// Whether a write must name the version it replaces.
    pub cas_required: Option<bool>,
    /// Seconds after which a new version is deleted; 0: as the mount says, negative: never.
    pub delete_version_after: Option<i64>,
    /// Replaces all of it.
    pub custom_metadata: Option<BTreeMap<String, String>>,
    /// Laid over what is there; `None` removes a key.
    pub custom_metadata_patch: BTreeMap<String, Option<String>>,
}

impl Kv {
    /// What is known of a secret and its versions, without any payload. Versions that were never current are left out,
    /// and those of a secret that is scheduled for deletion are deleted.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn metadata(&self, permit: Permit) -> Result<Option<SecretView>, KvError> {
        let place = Self::locate(&permit, &["metadata"])?;
        permit.spend();
        let Some((mut secret, _)) = self.resolve(&place).await? else { return Ok(None) };
        secret.versions.retain(|version| !version.unreleased);
        if let Some(recovery) = &secret.recovery {
            for version in &mut secret.versions {
                version.deletion_time.get_or_insert(recovery.deleted);
            }
        }
        Ok(Some(secret))
    }

    /// Changes what is said about a secret; creates it without a version if it is not there and `create` says so.
    ///
    /// # Errors
    /// [`KvError::NotFound`] without `create`; [`KvError::Invalid`] when a bound is broken.
    pub async fn change_metadata(&self, permit: Permit, change: MetadataChange, create: bool) -> Result<(), KvError> {
        let place = Self::locate(&permit, &["metadata"])?;
        let key = place.key();
        let _lock = self.store.lock(&key).await;
        let found = self.find(&place).await?;
        if !permit.still_fits(found.is_some()) {
            return Err(KvError::Denied);
        }
        permit.spend();
        let revision = found.as_ref().map(|seen| seen.revision);
        let now = self.store.now();
        if let Some(seen) = &found {
            check_changeable(&seen.value)?;
        }
        let mut secret = match found {
            Some(Seen { value, .. }) => value,
            None if create => Secret::new(now, self.arn_suffix()?),
            None => return Err(KvError::NotFound),
        };
        apply(&mut secret, change)?;
        secret.updated = now;
        let batch = Batch::new().expect(key.clone(), revision).put(key, Store::encode(&secret)?);
        Ok(self.store.apply(batch).await?)
    }

    /// Removes a secret with all its versions for good.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn delete_secret(&self, permit: Permit) -> Result<(), KvError> {
        let place = Self::locate(&permit, &["metadata"])?;
        permit.spend();
        let key = place.key();
        let _lock = self.store.lock(&key).await;
        let Some(seen) = self.find(&place).await? else { return Ok(()) };
        if seen.value.is_followed() {
            return Err(KvError::Invalid("the secret has replicas in other mounts: remove them first".to_owned()));
        }
        Ok(self.remove(&place, &seen, Batch::new()).await?)
    }

    /// The names directly below `metadata/<prefix>/`; folders end with a slash.
    ///
    /// # Errors
    /// When the path is unfit or the store fails.
    pub async fn list(&self, permit: Permit) -> Result<Vec<String>, KvError> {
        let mount = permit.mount();
        let prefix = match mount.engine {
            Engine::Kv2 => permit.rest().strip_prefix("metadata/").ok_or(KvError::UnsupportedPath)?,
            _ => permit.rest(),
        };
        check_prefix(prefix)?;
        let below = match mount.engine {
            Engine::Kv2 => keys::kv_metas(&mount.uuid),
            _ => keys::kv_flats(&mount.uuid),
        };
        Ok(self.store.children(&[below.as_slice(), prefix.as_bytes()].concat()).await?)
    }
}

fn apply(secret: &mut Secret, change: MetadataChange) -> Result<(), KvError> {
    if let Some(max_versions) = change.max_versions {
        secret.max_versions = max_versions;
    }
    if let Some(cas_required) = change.cas_required {
        secret.cas_required = cas_required;
    }
    if let Some(seconds) = change.delete_version_after {
        secret.delete_version_after = seconds;
    }
    if let Some(replaced) = change.custom_metadata {
        secret.custom_metadata = replaced;
    }
    for (key, value) in change.custom_metadata_patch {
        match value {
            Some(value) => _ = secret.custom_metadata.insert(key, value),
            None => _ = secret.custom_metadata.remove(&key),
        }
    }
    check_custom_metadata(&secret.custom_metadata)
}

fn check_custom_metadata(metadata: &BTreeMap<String, String>) -> Result<(), KvError> {
    let invalid = |text: String| Err(KvError::Invalid(format!("custom_metadata validation failed: {text}")));
    if metadata.len() > MAX_ENTRIES {
        return invalid(format!("payload must contain at most {MAX_ENTRIES} keys, provided {}", metadata.len()));
    }
    for (key, value) in metadata {
        if key.is_empty() || key.len() > MAX_KEY {
            return invalid(format!(
                "length of key {:?} is {} but must be between 1 and {MAX_KEY}",
                cut(key),
                key.len()
            ));
        }
        if value.len() > MAX_VALUE {
            return invalid(format!(
                "length of the value of key {key:?} is {} but must be at most {MAX_VALUE}",
                value.len()
            ));
        }
        if key.chars().chain(value.chars()).any(char::is_control) {
            return invalid(format!("key {key:?} or its value has unprintable characters"));
        }
    }
    Ok(())
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}
