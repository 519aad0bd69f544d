//! Links: a secret that follows one of another owner's, under a name, an ARN, tags and an access policy of its own.
//! Both sides agree: a follower is made for one secret and holds nothing until whoever owns that secret links it; each
//! side ends the link by itself.
//!
//! ```text
//! follower  origin: the mount of the secret that it follows; link: Link { name, arn_suffix, state }
//!           pending -> linked: reads the other's versions -> detached: keeps what it read last
//!           promoted, from any state: a secret of its own
//! followed  follower: Follower { mount, name, role, detached }
//! ```
//!
//! As a replica's, a follower's record holds no versions while it is linked, so that it cannot fall behind.

use serde::{Deserialize, Serialize};

use super::{
    Kv, KvError, Place, Secret, SecretChange, SecretError, Version, check_name,
    labelled::{Restriction, check},
};
use crate::{
    barrier::Batch,
    door::Permit,
    store::{Seen, Store, StoreError},
};

/// Whether a follower follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkState {
    /// The other side has yet to link it.
    Pending,
    /// It reads the other's versions.
    Linked,
    /// The other side ended it: it keeps the versions of that moment.
    Detached,
}

/// What a follower follows. The mount is its record's `origin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The name of the secret.
    pub name: String,
    /// The end of its ARN: one that is made anew under the same name is not followed.
    pub arn_suffix: String,
    /// Whether it does.
    pub state: LinkState,
}

/// The secret that follows, as the record of the one it follows has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follower {
    /// The uuid of its mount.
    pub mount: String,
    /// Its name.
    pub name: String,
    /// The end of its ARN.
    pub arn_suffix: String,
    /// The role that the client wants to be used for it; kept for the client.
    pub role: String,
    /// It follows no longer, by its owner's doing.
    pub detached: bool,
}

/// A secret to follow.
#[derive(Debug)]
pub struct Followed {
    /// The uuid of its mount.
    pub mount: String,
    /// Its name.
    pub name: String,
    /// The end of its ARN.
    pub arn_suffix: String,
}

impl Secret {
    /// Whether it reads the versions of another, under a link.
    fn linked(&self) -> Option<&Link> {
        self.link.as_ref().filter(|link| link.state == LinkState::Linked)
    }

    /// Whether another secret reads this one's versions, in other mounts or under a link.
    pub(super) fn is_followed(&self) -> bool {
        !self.replicas.is_empty() || self.follower.as_ref().is_some_and(|follower| !follower.detached)
    }

    fn follows(&self, place: &Place, followed: &Secret) -> bool {
        self.origin.as_deref() == Some(place.uuid())
            && self.link.as_ref().is_some_and(|link| {
                link.name == place.name && link.arn_suffix == followed.arn_suffix && link.state != LinkState::Detached
            })
    }
}

impl Kv {
    /// A follower as it reads, and where its payloads lie if not with its record. A linked one whose secret is gone is
    /// nothing, as a replica without its origin.
    pub(super) async fn resolve_link(
        &self,
        place: &Place,
        own: Secret,
    ) -> Result<Option<(Secret, Option<Place>)>, StoreError> {
        let Some(held) = followed_place(place, &own) else { return Ok(Some((own, None))) };
        let Some(Seen { value: followed, .. }) = self.find(&held).await? else { return Ok(None) };
        if !own.follows(&held, &followed) {
            return Ok(None);
        }
        let seen = Secret {
            versions: followed.versions,
            latest: followed.latest,
            updated: followed.updated,
            description: followed.description,
            kind: followed.kind,
            custom_metadata: followed.custom_metadata,
            recovery: followed.recovery,
            ..own
        };
        Ok(Some((seen, Some(held))))
    }

    /// Makes a secret that is to follow another. It holds nothing yet.
    ///
    /// # Errors
    /// [`SecretError::Exists`], [`SecretError::Scheduled`].
    pub async fn create_follower(
        &self,
        permit: Permit,
        followed: Followed,
        change: SecretChange,
    ) -> Result<Secret, SecretError> {
        let place = Self::locate(&permit, &["metadata"])?;
        check_name(&followed.name)?;
        let _lock = self.store.lock(&place.key()).await;
        let found = self.find(&place).await?;
        let fits = permit.still_fits(found.is_some());
        permit.spend();
        if let Some(seen) = found {
            return Err(if seen.value.recovery.is_some() { SecretError::Scheduled } else { SecretError::Exists });
        }
        if !fits {
            return Err(KvError::Denied.into());
        }
        let Followed { mount, name, arn_suffix } = followed;
        let mut secret = Secret::new(self.store.now(), self.arn_suffix()?);
        secret.origin = Some(mount);
        secret.link = Some(Link { name, arn_suffix, state: LinkState::Pending });
        secret.key_id = change.key_id.unwrap_or_default();
        secret.set_tags(change.tags)?;
        self.commit_secret(&place, None, &secret, Batch::new()).await?;
        Ok(secret)
    }

    /// Links a follower that waits for it; again, changes nothing but the role. `there`: the permit to change the
    /// follower, and what its own record says to that.
    ///
    /// # Errors
    /// [`SecretError::TooMany`] when another follows already; [`SecretError::NotPending`] when the follower is not
    /// there or was made for another secret; otherwise as [`Kv::update`].
    pub async fn link(
        &self,
        permit: Permit,
        there: (Permit, Restriction<'_>),
        role: String,
        allowed: Restriction<'_>,
    ) -> Result<(Secret, Secret), SecretError> {
        let place = Self::locate(&permit, &["metadata"])?;
        let _lock = self.store.lock(&place.key()).await;
        let Seen { revision, value: mut secret } = self.open_for_change(permit, &place, allowed).await?;
        let (permit, allowed) = there;
        let place_there = Self::locate(&permit, &["metadata"])?;
        let found = self.find(&place_there).await?;
        let fits = permit.still_fits(found.is_some());
        permit.spend();
        let Seen { revision: revision_there, value: mut follower } = found.ok_or(SecretError::NotPending)?;
        if !fits {
            return Err(KvError::Denied.into());
        }
        check(&follower, allowed).map_err(|error| match error {
            SecretError::NotFound => SecretError::NotPending,
            other => other,
        })?;
        let mut entry = Follower {
            mount: place_there.uuid().to_owned(),
            name: place_there.name.clone(),
            arn_suffix: follower.arn_suffix.clone(),
            role,
            detached: false,
        };
        let same = |known: &Follower| known.mount == entry.mount && known.name == entry.name;
        if secret.follower.as_ref().is_some_and(|known| !known.detached && !same(known)) {
            return Err(SecretError::TooMany { limit: 1, what: "replicas in other accounts" });
        }
        if !follower.follows(&place, &secret) {
            return Err(SecretError::NotPending);
        }
        if let Some(link) = &mut follower.link {
            link.state = LinkState::Linked;
        }
        if entry.role.is_empty() {
            entry.role = secret.follower.take().map(|known| known.role).unwrap_or_default();
        }
        secret.follower = Some(entry);
        secret.updated = self.store.now();
        let key = place_there.key();
        let batch = Batch::new().expect(key.clone(), Some(revision_there)).put(key, Store::encode(&follower)?);
        self.commit_secret(&place, Some(revision), &secret, batch).await?;
        Ok((secret, follower))
    }

    /// Ends the link to a follower, which keeps the versions of this moment. The follower agreed to follow, so that it
    /// needs no permit of its own.
    ///
    /// # Errors
    /// [`SecretError::NoReplica`] when that secret does not follow this one; otherwise as [`Kv::update`].
    pub async fn unlink(
        &self,
        permit: Permit,
        (mount, name): (&str, &str),
        allowed: Restriction<'_>,
    ) -> Result<(Secret, Follower), SecretError> {
        let place = Self::locate(&permit, &["metadata"])?;
        let _lock = self.store.lock(&place.key()).await;
        let Seen { revision, value: mut secret } = self.open_for_change(permit, &place, allowed).await?;
        let entry = secret.follower.take().filter(|entry| entry.mount == mount && entry.name == name);
        let entry = entry.ok_or(SecretError::NoReplica)?;
        let there = place.elsewhere(mount, name);
        let mut batch = Batch::new();
        let followers = |seen: &Seen<Secret>| seen.value.linked().is_some() && seen.value.follows(&place, &secret);
        if let Some(Seen { revision, value: mut follower }) = self.find(&there).await?.filter(followers) {
            batch = self.copy_versions(batch, &secret.versions, (&place, &there)).await?;
            follower.versions.clone_from(&secret.versions);
            follower.latest = secret.latest;
            follower.description.clone_from(&secret.description);
            follower.kind.clone_from(&secret.kind);
            follower.updated = self.store.now();
            if let Some(link) = &mut follower.link {
                link.state = LinkState::Detached;
            }
            batch = batch.expect(there.key(), Some(revision)).put(there.key(), Store::encode(&follower)?);
        }
        secret.updated = self.store.now();
        self.commit_secret(&place, Some(revision), &secret, batch).await?;
        Ok((secret, entry))
    }

    /// Makes a follower a secret of its own, with what it reads now. `own`: its record, as it was seen.
    pub(super) async fn promote_follower(
        &self,
        place: &Place,
        own: &Secret,
        allowed: Restriction<'_>,
    ) -> Result<Secret, SecretError> {
        let lock_of = followed_place(place, own);
        let _lock = self.store.lock(&lock_of.as_ref().unwrap_or(place).key()).await;
        let Seen { revision, value: own } = self.find(place).await?.ok_or(SecretError::NotFound)?;
        check(&own, allowed)?;
        if own.link.is_none() || followed_place(place, &own).map(|held| held.key()) != lock_of.map(|held| held.key()) {
            return Err(SecretError::NoReplica);
        }
        let now = self.store.now();
        let mut batch = Batch::new();
        let mut secret = Secret { origin: None, link: None, updated: now, ..own.clone() };
        if let Some(held) = followed_place(place, &own)
            && let Some(seen) = self.find(&held).await?.filter(|seen| own.follows(&held, &seen.value))
        {
            let mut followed = seen.value;
            batch = self.copy_versions(batch, &followed.versions, (&held, place)).await?;
            secret.versions.clone_from(&followed.versions);
            secret.latest = followed.latest;
            secret.description.clone_from(&followed.description);
            secret.kind.clone_from(&followed.kind);
            if let Some(entry) = &mut followed.follower {
                entry.detached = true;
            }
            batch = batch.expect(held.key(), Some(seen.revision)).put(held.key(), Store::encode(&followed)?);
        }
        self.commit_secret(place, Some(revision), &secret, batch).await?;
        Ok(secret)
    }

    /// Adds the payloads of these versions to what is written, sealed anew for their new place.
    pub(super) async fn copy_versions(
        &self,
        mut batch: Batch,
        versions: &[Version],
        (from, to): (&Place, &Place),
    ) -> Result<Batch, StoreError> {
        for version in versions {
            if let Some(record) = self.store.barrier.get(&from.data_key(version.number)).await? {
                batch = batch.put(to.data_key(version.number), record.plaintext);
            }
        }
        Ok(batch)
    }
}

/// Where the versions of a linked follower lie.
fn followed_place(place: &Place, own: &Secret) -> Option<Place> {
    Some(place.elsewhere(own.origin.as_deref()?, &own.linked()?.name))
}
