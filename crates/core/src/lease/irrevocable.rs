//! Leases that could not be revoked: they are listed and counted until somebody sees to them.

use std::collections::BTreeMap;

use super::{LeaseError, Leases};
use crate::{door::Permit, keys, store::StoreError};

/// A lease that could not be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Irrevocable {
    /// Its id.
    pub id: String,
    /// The accessor of its mount; empty: the mount is gone.
    pub mount: String,
    /// Why the last attempt failed.
    pub error: String,
}

/// How many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IrrevocableCount {
    /// In all.
    pub total: usize,
    /// By the accessor of the mount.
    pub by_mount: BTreeMap<String, usize>,
}

impl Leases {
    /// The leases that could not be revoked, `limit` at the most.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn irrevocable(&self, permit: Permit, limit: usize) -> Result<Vec<Irrevocable>, LeaseError> {
        permit.spend();
        let mut found = Vec::new();
        for id in self.irrevocable_ids().await?.into_iter().take(limit) {
            if let Some(seen) = self.find(&id).await?.filter(|seen| seen.value.is_irrevocable()) {
                found.push(Irrevocable { mount: self.accessor_of(&id), error: seen.value.error, id });
            }
        }
        Ok(found)
    }

    /// How many leases could not be revoked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count_irrevocable(&self, permit: Permit) -> Result<IrrevocableCount, LeaseError> {
        permit.spend();
        let mut count = IrrevocableCount::default();
        for id in self.irrevocable_ids().await? {
            count.total += 1;
            *count.by_mount.entry(self.accessor_of(&id)).or_default() += 1;
        }
        Ok(count)
    }

    pub(super) async fn irrevocable_ids(&self) -> Result<Vec<String>, StoreError> {
        self.store.names(keys::LEASES_IRREVOCABLE).await
    }

    fn accessor_of(&self, id: &str) -> String {
        self.mounts.route(id).map(|routed| routed.mount.accessor.clone()).unwrap_or_default()
    }
}
