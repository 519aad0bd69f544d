//! Credentials for the dynamic secrets of configs: leases as any other of their role, which remember what for.

use super::{
    Area, Database, DatabaseError, IssuedCredential,
    creds::{Leased, Wanted},
    is_name,
};
use crate::{config_values::Dynamic, door::Permit, lease::LeaseError, mount::Mount, store::StoreError};

/// A lease of a dynamic secret.
#[derive(Debug, Clone)]
pub struct DynamicLease {
    /// Its id.
    pub id: String,
    /// Whether the caller's own token got it.
    pub own: bool,
}

impl Database {
    /// Whether a mount has such a role.
    pub(crate) async fn has_role(&self, mount: &Mount, name: &str) -> Result<bool, StoreError> {
        if !is_name(name) {
            return Ok(false);
        }
        Ok(self.store.barrier.get(&Area::Role.key(&mount.uuid, name)).await?.is_some())
    }

    /// Makes a credential for a reader of a dynamic secret, which lives for `ttl` seconds, or as long as the role lets it.
    ///
    /// # Errors
    /// As [`Database::issue`].
    pub async fn issue_dynamic(
        &self,
        permit: Permit,
        secret: &Dynamic,
        ttl: u64,
    ) -> Result<IssuedCredential, DatabaseError> {
        if permit.path() != secret.path() {
            return Err(DatabaseError::UnsupportedPath);
        }
        self.issue_as(permit, &Wanted { ttl, via: secret.id() }).await
    }

    /// The lease of a dynamic secret whose id ends in `slug`, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn dynamic_lease(&self, secret: &Dynamic, slug: &str) -> Result<Option<DynamicLease>, StoreError> {
        if slug.is_empty() || slug.contains('/') {
            return Ok(None);
        }
        let id = format!("{}/{slug}", secret.path());
        let Some(record) = self.leases.record(&id).await? else { return Ok(None) };
        let of = serde_json::from_str::<Leased>(&record.data).is_ok_and(|leased| leased.via == secret.id());
        let own = record.token.as_ref() == Some(secret.caller().id());
        Ok(of.then_some(DynamicLease { id, own }))
    }

    /// Revokes a lease of a dynamic secret, and waits for it.
    ///
    /// # Errors
    /// When the credential could not be revoked; that is tried again then.
    pub async fn revoke_dynamic(&self, permit: Permit, lease: &DynamicLease) -> Result<(), LeaseError> {
        if permit.path() != lease.id {
            return Err(LeaseError::Unknown);
        }
        self.leases.revoke(permit, &lease.id, true).await
    }
}
