//! Replicas: a secret that can be read in other mounts as well. A replica's record names its origin and holds nothing
//! else, so that it is never behind; it is changed through its origin alone.

use serde::{Deserialize, Serialize};

use super::{
    Kv, KvError, Place, Secret, SecretError,
    labelled::{Restriction, check},
};
use crate::{
    barrier::Batch,
    door::Permit,
    store::{Seen, Store, StoreError},
};

/// A mount in which a secret can be read as well, as its origin's record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// The mount's uuid.
    pub mount: String,
    /// The client's key there.
    pub key_id: String,
    /// Why there is none; empty: there is one.
    pub failure: String,
}

/// A replica to be made.
#[derive(Debug)]
pub struct NewReplica {
    /// The permit to write the secret of that name in the other mount.
    pub permit: Permit,
    /// The client's key there.
    pub key_id: String,
    /// Whether a secret that is there already goes.
    pub overwrite: bool,
}

impl Kv {
    /// A secret as it reads, and where its payloads lie if not with its record: for a replica, with its origin.
    pub(super) async fn resolve(&self, place: &Place) -> Result<Option<(Secret, Option<Place>)>, StoreError> {
        let Some(Seen { value: own, .. }) = self.find(place).await? else { return Ok(None) };
        let Some(uuid) = own.origin.clone() else { return Ok(Some((own, None))) };
        if own.link.is_some() {
            return self.resolve_link(place, own).await;
        }
        let held = place.held_by(&uuid);
        let Some(Seen { value: origin, .. }) = self.find(&held).await? else { return Ok(None) };
        let seen =
            Secret { origin: own.origin, key_id: own.key_id, last_accessed_day: own.last_accessed_day, ..origin };
        Ok(Some((seen, Some(held))))
    }

    /// Makes replicas; where a secret of that name is in the way, none is made and the record says so.
    ///
    /// # Errors
    /// [`SecretError::NotFound`], [`SecretError::Scheduled`], [`SecretError::Replica`] when the secret is one itself.
    pub async fn replicate(
        &self,
        permit: Permit,
        replicas: Vec<NewReplica>,
        allowed: Restriction<'_>,
    ) -> Result<Secret, SecretError> {
        let place = Self::locate(&permit, &["metadata"])?;
        let _lock = self.store.lock(&place.key()).await;
        let Seen { revision, value: mut secret } = self.open_for_change(permit, &place, allowed).await?;
        let now = self.store.now();
        let mut batch = Batch::new();
        for NewReplica { permit, key_id, overwrite } in replicas {
            let there = Self::locate(&permit, &["data"])?;
            if there.name != place.name || there.mount.uuid == place.mount.uuid {
                return Err(KvError::UnsupportedPath.into());
            }
            let found = self.find(&there).await?;
            let fits = permit.still_fits(found.is_some());
            permit.spend();
            let failure = match &found {
                _ if !fits => "not permitted to write there",
                Some(seen) if seen.value.is_replica_of(&place) => "",
                Some(_) if !overwrite => "a secret of this name is there already",
                Some(seen) if seen.value.origin.is_some() => "a replica of another secret is there",
                Some(seen) if !seen.value.access_policy.is_empty() => {
                    "a secret of this name is there and has an access policy"
                }
                Some(seen) if seen.value.is_followed() => "a secret of this name is there and has replicas",
                _ => "",
            };
            if failure.is_empty() {
                let key = there.key();
                batch = batch.expect(key.clone(), found.as_ref().map(|seen| seen.revision));
                for version in found.iter().flat_map(|seen| &seen.value.versions) {
                    batch = batch.delete(there.data_key(version.number));
                }
                let mut link = Secret::new(now, secret.arn_suffix.clone());
                link.origin = Some(place.mount.uuid.clone());
                link.key_id.clone_from(&key_id);
                batch = batch.put(key, Store::encode(&link)?);
            }
            secret.replicas.retain(|replica| replica.mount != there.mount.uuid);
            secret.replicas.push(Replica { mount: there.mount.uuid.clone(), key_id, failure: failure.to_owned() });
        }
        secret.updated = now;
        self.commit_secret(&place, Some(revision), &secret, batch).await?;
        Ok(secret)
    }

    /// Removes replicas, each with the permit to delete it.
    ///
    /// # Errors
    /// As [`Kv::replicate`]; [`SecretError::NoReplica`] when there is none in one of the mounts.
    pub async fn remove_replicas(
        &self,
        permit: Permit,
        replicas: Vec<Permit>,
        allowed: Restriction<'_>,
    ) -> Result<Secret, SecretError> {
        let place = Self::locate(&permit, &["metadata"])?;
        let _lock = self.store.lock(&place.key()).await;
        let Seen { revision, value: mut secret } = self.open_for_change(permit, &place, allowed).await?;
        let mut batch = Batch::new();
        for permit in replicas {
            let there = Self::locate(&permit, &["metadata"])?;
            permit.spend();
            if there.name != place.name {
                return Err(KvError::UnsupportedPath.into());
            }
            let known = secret.replicas.len();
            secret.replicas.retain(|replica| replica.mount != there.mount.uuid);
            if secret.replicas.len() == known {
                return Err(SecretError::NoReplica);
            }
            let ours = |seen: &Seen<Secret>| seen.value.is_replica_of(&place);
            if let Some(seen) = self.find(&there).await?.filter(ours) {
                batch = batch.expect(there.key(), Some(seen.revision)).delete(there.key());
            }
        }
        secret.updated = self.store.now();
        self.commit_secret(&place, Some(revision), &secret, batch).await?;
        Ok(secret)
    }

    /// Makes a replica a secret of its own, with all that its origin holds now.
    ///
    /// # Errors
    /// [`SecretError::NotFound`]; [`SecretError::NoReplica`] when it is none.
    pub async fn stop_replication(&self, permit: Permit, allowed: Restriction<'_>) -> Result<Secret, SecretError> {
        let place = Self::locate(&permit, &["metadata"])?;
        let still_fits = permit.still_fits(true);
        permit.spend();
        let own = self.find(&place).await?.ok_or(SecretError::NotFound)?;
        if own.value.link.is_some() {
            return if still_fits {
                self.promote_follower(&place, &own.value, allowed).await
            } else {
                Err(KvError::Denied.into())
            };
        }
        let uuid = own.value.origin.ok_or(SecretError::NoReplica)?;
        let origin_place = place.held_by(&uuid);
        let _lock = self.store.lock(&origin_place.key()).await;
        let own = self.find(&place).await?.ok_or(SecretError::NotFound)?;
        let origin = self.find(&origin_place).await?.ok_or(SecretError::NotFound)?;
        check(&origin.value, allowed)?;
        if !still_fits || own.value.origin.as_deref() != Some(uuid.as_str()) {
            return Err(SecretError::NoReplica);
        }
        let batch = self.copy_versions(Batch::new(), &origin.value.versions, (&origin_place, &place)).await?;
        let now = self.store.now();
        let secret = Secret {
            origin: None,
            replicas: Vec::new(),
            follower: None,
            key_id: own.value.key_id,
            last_accessed_day: own.value.last_accessed_day,
            updated: now,
            ..origin.value.clone()
        };
        let mut left = origin.value;
        left.replicas.retain(|replica| replica.mount != place.mount.uuid);
        let key = origin_place.key();
        let batch = batch.expect(key.clone(), Some(origin.revision)).put(key, Store::encode(&left)?);
        self.commit_secret(&place, Some(own.revision), &secret, batch).await?;
        Ok(secret)
    }
}

impl Secret {
    fn is_replica_of(&self, place: &Place) -> bool {
        self.origin.as_deref() == Some(place.mount.uuid.as_str()) && self.link.is_none()
    }
}

impl Place {
    /// The same name in the mount with that uuid.
    fn held_by(&self, uuid: &str) -> Self {
        self.elsewhere(uuid, &self.name)
    }

    /// Another name in the mount with that uuid.
    pub(super) fn elsewhere(&self, uuid: &str, name: &str) -> Self {
        let held_by = (uuid != self.mount.uuid).then(|| uuid.to_owned());
        Self { mount: std::sync::Arc::clone(&self.mount), name: name.to_owned(), held_by }
    }
}
