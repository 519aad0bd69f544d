//! What holds for all of a mount's logins.

use serde::{Deserialize, Serialize};

use super::{Cert, CertError, mount_of};
use crate::{
    door::Permit,
    keys,
    mount::Mount,
    store::{Store, StoreError},
};

/// A mount's configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertConfig {
    /// Renew tokens without looking at the client's certificate again.
    pub disable_binding: bool,
    /// Keep the certificate's names with the alias.
    pub enable_identity_alias_metadata: bool,
}

impl Cert {
    /// Reads the configuration, or what holds without one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read_config(&self, permit: Permit) -> Result<CertConfig, CertError> {
        let mount = mount_of(&permit)?;
        permit.spend();
        Ok(config_of(&self.store, &mount).await?)
    }

    /// Changes the configuration.
    ///
    /// # Errors
    /// When `change` or the store fails.
    pub async fn write_config<E: From<CertError>>(
        &self,
        permit: Permit,
        change: impl FnOnce(&mut CertConfig) -> Result<(), E>,
    ) -> Result<(), E> {
        let mount = mount_of(&permit)?;
        permit.spend();
        let key = keys::login_config(&mount.uuid);
        let new = CertConfig::default;
        super::super::record::rewrite(&self.store, key, new, change, |_| Ok::<_, CertError>(())).await?;
        Ok(())
    }
}

pub(super) async fn config_of(store: &Store, mount: &Mount) -> Result<CertConfig, StoreError> {
    Ok(store.read(&keys::login_config(&mount.uuid)).await?.map(|seen| seen.value).unwrap_or_default())
}
