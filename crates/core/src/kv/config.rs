//! A versioned mount's settings.

use serde::{Deserialize, Serialize};

use super::{Kv, KvError};
use crate::{door::Permit, keys, mount::Mount, store::StoreError};

/// What holds for all secrets of a mount unless they say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSettings {
    /// How many versions are kept; 0: 10.
    pub max_versions: u32,
    /// Whether every write must name the version it replaces.
    pub cas_required: bool,
    /// Seconds after which a new version is deleted; 0: never, negative: never, whatever the secret says.
    pub delete_version_after: i64,
}

impl Kv {
    /// The mount's settings (`config`).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn settings(&self, permit: Permit) -> Result<MountSettings, KvError> {
        Ok(self.settings_of(permit.mount()).await?)
    }

    /// Replaces the settings by what `change` makes of them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn change_settings(
        &self,
        permit: Permit,
        change: impl FnOnce(&mut MountSettings),
    ) -> Result<(), KvError> {
        let key = keys::kv_config(&permit.mount().uuid);
        let _lock = self.store.lock(&key).await;
        let mut settings = self.settings_of(permit.mount()).await?;
        change(&mut settings);
        Ok(self.store.write(key, &settings).await?)
    }

    pub(super) async fn settings_of(&self, mount: &Mount) -> Result<MountSettings, StoreError> {
        let stored = self.store.read::<MountSettings>(&keys::kv_config(&mount.uuid)).await?;
        Ok(stored.map(|seen| seen.value).unwrap_or_default())
    }
}
