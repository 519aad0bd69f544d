//! Login with a role id and a secret id.
//!
//! Whatever is wrong, the answer is the same and takes the same steps: the role is looked for, then the secret id, both
//! by keyed hash. A role that is not there is stood in for by one that has no secret ids.

use std::{net::IpAddr, sync::Arc};

use super::{AppRole, AppRoleError, MAX_ID_LEN, Role, SecretId, cidr::check_source, mount_of};
use crate::{
    barrier::Batch,
    door::Permit,
    keys,
    login::issue::{LoginIdentity, Proven},
    mount::Mount,
    secret::SecretString,
    storage::Commit,
    store::{Store, StoreError},
    token::Issued,
};

/// The entry of a token's metadata that names its role.
pub(super) const ROLE_NAME: &str = "role_name";

impl AppRole {
    /// Logs in. A secret id that counts its uses loses one; with the last it is gone.
    ///
    /// # Errors
    /// [`AppRoleError::InvalidLogin`] when the ids do not fit, [`AppRoleError::Source`] when they do but come from
    /// the wrong place, [`AppRoleError::Locked`] after too many failures.
    pub async fn login(&self, permit: Permit, role_id: &str, secret_id: &SecretString) -> Result<Issued, AppRoleError> {
        let mount = mount_of(&permit)?;
        let (path, from) = (permit.path().to_owned(), permit.remote());
        permit.spend();
        let role_id = role_id.trim();
        if role_id.is_empty() {
            return Err(AppRoleError::MissingRoleId);
        }
        if role_id.len() > MAX_ID_LEN || secret_id.len() > MAX_ID_LEN {
            return Err(AppRoleError::InvalidLogin);
        }
        if self.lockouts.is_locked(&mount, role_id) {
            return Err(AppRoleError::Locked);
        }
        match self.prove(&mount, role_id, secret_id, from).await {
            Ok((role, proof)) => {
                self.lockouts.forget(&mount, role_id);
                self.issue(&mount, path, &role, proof).await
            }
            Err(AppRoleError::InvalidLogin) => {
                self.lockouts.record_failure(&mount, role_id);
                Err(AppRoleError::InvalidLogin)
            }
            Err(error) => Err(error),
        }
    }

    /// Finds the role, and the secret id if the role wants one.
    async fn prove(
        &self,
        mount: &Arc<Mount>,
        role_id: &str,
        secret_id: &SecretString,
        from: Option<IpAddr>,
    ) -> Result<(Role, Option<SecretId>), AppRoleError> {
        let role = self.role_with_id(mount, role_id).await?;
        if !role.bind_secret_id {
            check_source(&role.secret_id_bound_cidrs, from, "role")?;
            return Ok((role, None));
        }
        let secret_id = secret_id.expose_secret().trim();
        if secret_id.is_empty() {
            return Err(AppRoleError::MissingSecretId);
        }
        let entry = self.redeem(mount, &role, secret_id, from).await?;
        Ok((role, Some(entry)))
    }

    /// The role with this id, or a stand-in that nobody can log in with.
    async fn role_with_id(&self, mount: &Mount, role_id: &str) -> Result<Role, StoreError> {
        let index = self.store.read::<String>(&self.role_id_key(mount, role_id)).await?;
        // The empty name is no role's: reading it takes the step that a known id takes.
        let name = index.map(|seen| seen.value).unwrap_or_default();
        let found = self.store.read::<Role>(&keys::approle_role(&mount.uuid, &name)).await?;
        // Between the two steps the role may have been given another id.
        let found = found.map(|seen| seen.value).filter(|role| role.role_id == role_id);
        Ok(found.unwrap_or_else(|| Role::new("", String::new(), String::new())))
    }

    /// The name of the role with this id, if there is one; for limits on logins, before anything is proven.
    pub(crate) async fn role_name(&self, mount: &Mount, role_id: &str) -> Result<Option<String>, StoreError> {
        if role_id.is_empty() || role_id.len() > MAX_ID_LEN {
            return Ok(None);
        }
        Ok(Some(self.role_with_id(mount, role_id).await?.name).filter(|name| !name.is_empty()))
    }

    /// Takes one use off a secret id. Of concurrent logins with its last use, one succeeds.
    async fn redeem(
        &self,
        mount: &Mount,
        role: &Role,
        secret_id: &str,
        from: Option<IpAddr>,
    ) -> Result<SecretId, AppRoleError> {
        let spot = self.spot(mount, role, secret_id);
        let key = spot.key();
        let _lock = self.store.lock(&key).await;
        loop {
            let seen = self.store.read::<SecretId>(&key).await?.ok_or(AppRoleError::InvalidLogin)?;
            let mut entry = seen.value;
            let now = self.store.now();
            if entry.has_ended(now) {
                // If it changed meanwhile, the upkeep removes it.
                _ = self.store.commit(self.removal(&spot, &entry, seen.revision)).await?;
                return Err(AppRoleError::InvalidLogin);
            }
            check_source(&entry.cidr_list, from, "secret ID")?;
            check_source(&role.secret_id_bound_cidrs, from, "role")?;
            let batch = match entry.num_uses {
                0 => return Ok(entry),
                1 => self.removal(&spot, &entry, seen.revision),
                uses => {
                    (entry.num_uses, entry.updated) = (uses - 1, now);
                    Batch::new().expect(key.clone(), Some(seen.revision)).put(key.clone(), Store::encode(&entry)?)
                }
            };
            if let Commit::Committed(_) = self.store.commit(batch).await? {
                return Ok(entry);
            }
        }
    }

    async fn issue(
        &self,
        mount: &Mount,
        path: String,
        role: &Role,
        proof: Option<SecretId>,
    ) -> Result<Issued, AppRoleError> {
        let (mut meta, mut bound_cidrs) =
            proof.map(|entry| (entry.metadata, entry.token_bound_cidrs)).unwrap_or_default();
        // Last, so that no secret id's metadata can claim another role.
        meta.insert(ROLE_NAME.to_owned(), role.name.clone());
        if bound_cidrs.is_empty() {
            bound_cidrs.clone_from(&role.token.bound_cidrs);
        }
        let identity = LoginIdentity { alias: role.role_id.clone(), metadata: meta.clone(), groups: Vec::new() };
        let proven = Proven { mount, identity, path, name: "", meta, settings: &role.token, bound_cidrs };
        Ok(self.issuer.issue(proven).await?)
    }
}
