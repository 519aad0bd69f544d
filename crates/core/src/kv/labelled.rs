//! Secrets as those see them who know versions by id and label: one is read, written and described through the same
//! records that the numbered reads and writes use.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::{
    CURRENT, Kv, KvError, MountSettings, Payload, Place, Reader, Secret, Version, VersionState, check_size,
    expiry::note_end,
    staging::Added,
    write::{deletion_time, versions_to_keep},
};
use crate::{
    barrier::Batch,
    clock::Timestamp,
    door::Permit,
    secret::SecretBytes,
    storage::Revision,
    store::{Seen, Store, StoreError},
};

/// Labels on all versions of a secret at the most.
pub const MAX_STAGES: usize = 20;

/// Versions that are kept of a secret that is made here.
const KEPT_VERSIONS: u32 = 100;

/// What the caller says of a secret whose record is known, beyond the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Go on.
    Allowed,
    /// A rule of the secret's own forbids it.
    Denied,
    /// It is another secret than the one that is meant.
    Another,
}

/// Asked about a secret before it is read or changed.
pub type Restriction<'a> = &'a (dyn Fn(&Secret) -> Verdict + Send + Sync);

/// An operation on a secret with labels failed.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such secret.
    #[error("there is no such secret")]
    NotFound,
    /// There is one already.
    #[error("the secret exists already")]
    Exists,
    /// It is deleted and waits for its end: it must be restored first.
    #[error("the secret is scheduled for deletion: restore it first")]
    Scheduled,
    /// It has no such version, or none with that label, or the version holds nothing.
    #[error("the secret has no such version")]
    NoVersion,
    /// That version does not carry that label.
    #[error("the label is not on that version")]
    NotLabelled,
    /// The id names a version with another content.
    #[error("the id is in use for a version with another content")]
    IdInUse {
        /// The end of the secret's ARN.
        arn_suffix: String,
    },
    /// The label is on another version than the one that the caller takes it from.
    #[error("the label is on version {holder}")]
    HeldBy {
        /// The id of the version that has it.
        holder: String,
    },
    /// A secret always has a current version.
    #[error("the label `current` can be moved but not removed")]
    NeedsCurrent,
    /// More labels or tags than a secret may have.
    #[error("a secret has at most {limit} {what}")]
    TooMany {
        /// The bound.
        limit: usize,
        /// Of what.
        what: &'static str,
    },
    /// Another rotation is under way.
    #[error("a rotation is under way: version {pending} is pending")]
    Rotating {
        /// The id of the pending version.
        pending: String,
    },
    /// It is a replica: its origin must be changed.
    #[error("the secret is a replica: change its origin")]
    Replica,
    /// It is no replica.
    #[error("the secret is no replica")]
    NoReplica,
    /// The replica in another account is not there, or was not made for this secret.
    #[error("there is no such replica that waits for this secret")]
    NotPending,
    /// It has replicas, which must go first.
    #[error("the secret has replicas: remove them first")]
    HasReplicas,
    /// As with numbered versions.
    #[error(transparent)]
    Kv(#[from] KvError),
}

impl From<StoreError> for SecretError {
    fn from(error: StoreError) -> Self {
        Self::Kv(error.into())
    }
}

/// Which version is wanted. Both given: both must hold. None: the current one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Select<'a> {
    /// Its id.
    pub id: Option<&'a str>,
    /// A label on it.
    pub stage: Option<&'a str>,
}

/// A version to be written.
#[derive(Debug)]
pub struct PutVersion {
    /// Its id.
    pub id: String,
    /// Its content.
    pub payload: Payload,
    /// Its labels; none: it becomes current.
    pub stages: Vec<String>,
}

/// What may change of a secret in one commit; `None` leaves as it is.
#[derive(Debug, Default)]
pub struct SecretChange {
    /// For people.
    pub description: Option<String>,
    /// The client's key.
    pub key_id: Option<String>,
    /// What kind of secret it is.
    pub kind: Option<String>,
    /// Tags to be set, in this order.
    pub tags: Vec<(String, String)>,
    /// A version to be written.
    pub version: Option<PutVersion>,
}

/// What a change led to.
#[derive(Debug)]
pub struct Changed {
    /// The secret after it.
    pub secret: Secret,
    /// The number of the version that was asked for; it may have been there before.
    pub number: Option<u64>,
}

/// A version that has been put into a record, yet to be committed.
struct Put {
    number: u64,
    /// What to write; `None`: the version was there with the same content.
    payload: Option<SecretBytes>,
    pruned: Vec<u64>,
}

impl Kv {
    /// Reads a version: that of an id, of a label, or the current one.
    ///
    /// # Errors
    /// [`SecretError::NotFound`], [`SecretError::Scheduled`], [`SecretError::NoVersion`], [`SecretError::NotLabelled`];
    /// a version that is deleted or destroyed is none.
    pub async fn read_labelled(
        &self,
        permit: Permit,
        select: Select<'_>,
        allowed: Restriction<'_>,
    ) -> Result<(Secret, Version, Payload), SecretError> {
        let place = Self::locate(&permit, &["data"])?;
        let reader = Reader { address: permit.remote(), caller: permit.spend_as_caller() };
        let (secret, held) = self.resolve(&place).await?.ok_or(SecretError::NotFound)?;
        check(&secret, allowed)?;
        if secret.recovery.is_some() {
            return Err(SecretError::Scheduled);
        }
        let now = self.store.now();
        let version = selected(&secret, select)?.clone();
        if version.empty || version.state(now) != VersionState::Live {
            return Err(SecretError::NoVersion);
        }
        self.note_access(&place, secret.last_accessed_day, now);
        let held = held.as_ref().unwrap_or(&place);
        if secret.rotated {
            self.consumers.note(held.uuid(), &held.name, version.number, &reader, now);
        }
        let payload = self.payload(held, version.number).await?.ok_or(SecretError::NoVersion)?;
        Ok((secret, version, payload))
    }

    /// What is known of a secret, without any payload; one that is scheduled for deletion too.
    ///
    /// # Errors
    /// [`SecretError::NotFound`].
    pub async fn describe(&self, permit: Permit, allowed: Restriction<'_>) -> Result<Secret, SecretError> {
        let place = Self::locate(&permit, &["metadata"])?;
        permit.spend();
        let (mut secret, _) = self.resolve(&place).await?.ok_or(SecretError::NotFound)?;
        check(&secret, allowed)?;
        self.see_noted_access(&place, &mut secret);
        Ok(secret)
    }

    /// Makes a secret. The same version again, by its id and content, changes nothing.
    ///
    /// # Errors
    /// [`SecretError::Exists`], [`SecretError::Scheduled`], [`SecretError::IdInUse`].
    pub async fn create(&self, permit: Permit, change: SecretChange) -> Result<Changed, SecretError> {
        let place = Self::locate(&permit, &[area_of(&change)])?;
        let _lock = self.store.lock(&place.key()).await;
        if let Some(seen) = self.find(&place).await? {
            permit.spend();
            return self.created_before(&place, seen.value, change).await;
        }
        if !permit.still_fits(false) {
            return Err(KvError::Denied.into());
        }
        permit.spend();
        let mut secret = Secret::new(self.store.now(), self.arn_suffix()?);
        secret.max_versions = KEPT_VERSIONS;
        self.apply_change(&place, None, secret, change).await
    }

    async fn created_before(
        &self,
        place: &Place,
        secret: Secret,
        change: SecretChange,
    ) -> Result<Changed, SecretError> {
        if secret.recovery.is_some() {
            return Err(SecretError::Scheduled);
        }
        let Some(put) = change.version else { return Err(SecretError::Exists) };
        let Some(version) = secret.by_id(&put.id) else { return Err(SecretError::Exists) };
        let number = version.number;
        if !self.holds(place, number, &put.payload.into_stored()).await? {
            return Err(SecretError::IdInUse { arn_suffix: secret.arn_suffix });
        }
        Ok(Changed { secret, number: Some(number) })
    }

    /// Changes a secret, in one commit.
    ///
    /// # Errors
    /// [`SecretError::NotFound`], [`SecretError::Scheduled`], [`SecretError::Replica`], [`SecretError::IdInUse`],
    /// [`SecretError::TooMany`].
    pub async fn update(
        &self,
        permit: Permit,
        change: SecretChange,
        allowed: Restriction<'_>,
    ) -> Result<Changed, SecretError> {
        let place = Self::locate(&permit, &[area_of(&change)])?;
        let _lock = self.store.lock(&place.key()).await;
        let Seen { revision, value } = self.open_for_change(permit, &place, allowed).await?;
        self.apply_change(&place, Some(revision), value, change).await
    }

    /// Moves a label, or takes it away without `to`. A label that is on a version leaves it only if the caller names
    /// that version in `from`.
    ///
    /// # Errors
    /// [`SecretError::HeldBy`], [`SecretError::NotLabelled`], [`SecretError::NoVersion`], [`SecretError::NeedsCurrent`].
    pub async fn move_stage(
        &self,
        permit: Permit,
        stage: &str,
        from: Option<&str>,
        to: Option<&str>,
        allowed: Restriction<'_>,
    ) -> Result<Secret, SecretError> {
        let place = Self::locate(&permit, &["data"])?;
        let _lock = self.store.lock(&place.key()).await;
        let Seen { revision, value: mut secret } = self.open_for_change(permit, &place, allowed).await?;
        let now = self.store.now();
        move_checked(&mut secret, stage, from, to, now)?;
        secret.updated = now;
        self.commit_secret(&place, Some(revision), &secret, Batch::new()).await?;
        Ok(secret)
    }

    /// The record of a secret that is about to change, under its lock.
    pub(super) async fn open_for_change(
        &self,
        permit: Permit,
        place: &Place,
        allowed: Restriction<'_>,
    ) -> Result<Seen<Secret>, SecretError> {
        let seen = self.find(place).await?.ok_or(SecretError::NotFound)?;
        if !permit.still_fits(true) {
            return Err(KvError::Denied.into());
        }
        permit.spend();
        check(&seen.value, allowed)?;
        if seen.value.origin.is_some() {
            return Err(SecretError::Replica);
        }
        if seen.value.recovery.is_some() {
            return Err(SecretError::Scheduled);
        }
        Ok(seen)
    }

    async fn apply_change(
        &self,
        place: &Place,
        revision: Option<Revision>,
        mut secret: Secret,
        change: SecretChange,
    ) -> Result<Changed, SecretError> {
        let now = self.store.now();
        let before = secret.clone();
        let SecretChange { description, key_id, kind, tags, version } = change;
        secret.description = description.unwrap_or(secret.description);
        secret.key_id = key_id.unwrap_or(secret.key_id);
        secret.kind = kind.unwrap_or(secret.kind);
        secret.set_tags(tags)?;
        let put = match version {
            Some(version) => Some(self.put_version(place, &mut secret, version, now).await?),
            None => None,
        };
        let number = put.as_ref().map(|put| put.number);
        if revision.is_some() && secret == before {
            return Ok(Changed { secret, number });
        }
        secret.updated = now;
        let mut batch = Batch::new();
        if let Some(Put { number, payload, pruned }) = put {
            if let Some(payload) = payload {
                batch = batch.put(place.data_key(number), payload);
            }
            batch = pruned.into_iter().fold(batch, |batch, number| batch.delete(place.data_key(number)));
        }
        self.commit_secret(place, revision, &secret, batch).await?;
        Ok(Changed { secret, number })
    }

    /// Puts a version into the record, or finds that it is there with the same content.
    async fn put_version(
        &self,
        place: &Place,
        secret: &mut Secret,
        put: PutVersion,
        now: Timestamp,
    ) -> Result<Put, SecretError> {
        let PutVersion { id, payload, mut stages } = put;
        let payload = payload.into_stored();
        check_size(payload.expose_secret())?;
        let settings = self.settings_of(&place.mount).await?;
        if settings.cas_required || secret.cas_required {
            return Err(KvError::CasRequired.into());
        }
        if stages.is_empty() || secret.current() == 0 && !stages.iter().any(|stage| stage == CURRENT) {
            stages.push(CURRENT.to_owned());
        }
        let known = secret.by_id(&id).map(|version| (version.number, version.empty));
        let number = match known {
            Some((number, false)) => {
                if !self.holds(place, number, &payload).await? {
                    return Err(SecretError::IdInUse { arn_suffix: secret.arn_suffix.clone() });
                }
                return Ok(Put { number, payload: None, pruned: Vec::new() });
            }
            Some((number, true)) => {
                secret.fill(number, now, deletion_time(secret, &settings, now), &stages);
                number
            }
            None => {
                let deletion_time = deletion_time(secret, &settings, now);
                secret.add(Added { id, created: now, deletion_time, empty: false }, &stages)
            }
        };
        check_stages(secret)?;
        let pruned = prune(secret, &settings);
        Ok(Put { number, payload: Some(payload), pruned })
    }

    /// Whether a version holds exactly this.
    async fn holds(&self, place: &Place, number: u64, stored: &SecretBytes) -> Result<bool, StoreError> {
        let record = self.store.barrier.get(&place.data_key(number)).await?;
        Ok(record.is_some_and(|record| {
            verify_slices_are_equal(record.plaintext.expose_secret(), stored.expose_secret()).is_ok()
        }))
    }

    /// Commits a secret's record and what goes with it.
    pub(super) async fn commit_secret(
        &self,
        place: &Place,
        seen: Option<Revision>,
        secret: &Secret,
        batch: Batch,
    ) -> Result<(), StoreError> {
        let key = place.key();
        let batch = note_end(batch, place.uuid(), &place.name, secret, self.store.now());
        self.store.apply(batch.expect(key.clone(), seen).put(key, Store::encode(secret)?)).await
    }
}

fn area_of(change: &SecretChange) -> &'static str {
    if change.version.is_some() { "data" } else { "metadata" }
}

pub(super) fn check(secret: &Secret, allowed: Restriction<'_>) -> Result<(), SecretError> {
    match allowed(secret) {
        Verdict::Allowed => Ok(()),
        Verdict::Denied => Err(KvError::Denied.into()),
        Verdict::Another => Err(SecretError::NotFound),
    }
}

fn prune(secret: &mut Secret, settings: &MountSettings) -> Vec<u64> {
    let keep = versions_to_keep(secret, settings);
    secret.prune(keep)
}

pub(super) fn check_stages(secret: &Secret) -> Result<(), SecretError> {
    if secret.count_stages() > MAX_STAGES {
        return Err(SecretError::TooMany { limit: MAX_STAGES, what: "staging labels" });
    }
    Ok(())
}

fn selected<'s>(secret: &'s Secret, select: Select<'_>) -> Result<&'s Version, SecretError> {
    match select {
        Select { id: None, stage } => secret.staged(stage.unwrap_or(CURRENT)).ok_or(SecretError::NoVersion),
        Select { id: Some(id), stage } => {
            let version = secret.by_id(id).ok_or(SecretError::NoVersion)?;
            if stage.is_some_and(|stage| !version.has(stage)) {
                return Err(SecretError::NotLabelled);
            }
            Ok(version)
        }
    }
}

fn move_checked(
    secret: &mut Secret,
    stage: &str,
    from: Option<&str>,
    to: Option<&str>,
    now: Timestamp,
) -> Result<(), SecretError> {
    let target = match to {
        None if stage == CURRENT => return Err(SecretError::NeedsCurrent),
        None => None,
        Some(id) => {
            let version = secret.by_id(id).ok_or(SecretError::NoVersion)?;
            if stage == CURRENT && (version.empty || version.state(now) != VersionState::Live) {
                return Err(SecretError::NoVersion);
            }
            Some(version.number)
        }
    };
    if from.is_some_and(|id| secret.by_id(id).is_none()) {
        return Err(SecretError::NoVersion);
    }
    match (secret.staged(stage), from) {
        (Some(holder), from) if Some(holder.number) != target && from != Some(holder.id.as_str()) => {
            return Err(SecretError::HeldBy { holder: holder.id.clone() });
        }
        (None, Some(_)) => return Err(SecretError::NotLabelled),
        _ => {}
    }
    match target {
        Some(number) => secret.put_stage(stage, number),
        None => secret.take_stage(stage),
    }
    check_stages(secret)
}
