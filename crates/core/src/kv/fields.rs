//! Secrets as those see them who know one as a set of named values: its head, and changes of several at once.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Kv, KvError, Payload, Place, Secret, Version, VersionState, check_changeable, check_size,
    expiry::note_end,
    write::{deletion_time, versions_to_keep},
};
use crate::{
    barrier::Batch,
    config_values::FieldMark,
    door::Permit,
    mount::Mount,
    storage::{Commit, Key, MAX_KEY_LEN, Revision},
    store::{Seen, Store, StoreError},
};

/// A change of one secret, decided on the version that was current at `seen`.
#[derive(Debug)]
pub(crate) struct FieldsCommit {
    pub(crate) permit: Permit,
    /// The revision of its record; `None`: there was none.
    pub(crate) seen: Option<Revision>,
    /// A new version; `None`: only what is said about it changes.
    pub(crate) payload: Option<Payload>,
    /// All that is said about its fields.
    pub(crate) marks: BTreeMap<String, FieldMark>,
}

/// A secret as it is now.
pub(crate) struct Head {
    pub(crate) secret: Seen<Secret>,
    /// The current version, if it can be read.
    pub(crate) version: Option<Version>,
    /// Where its records lie, if not with its name: it follows another secret.
    pub(crate) held: Option<Held>,
}

/// Where the records of a secret lie that follows another.
pub(crate) struct Held(Place);

impl Held {
    /// The key of the record of the secret that is followed.
    pub(crate) fn key(&self) -> Key {
        self.0.key()
    }
}

impl Kv {
    /// A secret's record, its current version if that can be read, and where its records lie if not with its name.
    pub(crate) async fn head(&self, mount: &Arc<Mount>, name: &str) -> Result<Option<Head>, StoreError> {
        let place = Place::new(Arc::clone(mount), name.to_owned());
        if place.key().len() > MAX_KEY_LEN {
            return Ok(None);
        }
        let Some(own) = self.find(&place).await? else { return Ok(None) };
        let (secret, held) = if own.value.origin.is_some() {
            let Some((value, held)) = self.resolve(&place).await? else { return Ok(None) };
            (Seen { revision: own.revision, value }, held)
        } else {
            (own, None)
        };
        if secret.value.recovery.is_some() {
            return Ok(None);
        }
        let now = self.store.now();
        let current = secret.value.staged(super::CURRENT);
        let readable = |version: &&Version| !version.empty && version.state(now) == VersionState::Live;
        let version = current.filter(readable).cloned();
        Ok(Some(Head { secret, version, held: held.map(Held) }))
    }

    /// The payload of a version whose record was read by [`Kv::head`].
    pub(crate) async fn payload_of_head(
        &self,
        mount: &Arc<Mount>,
        name: &str,
        held: Option<&Held>,
        number: u64,
    ) -> Result<Option<Payload>, StoreError> {
        match held {
            Some(Held(place)) => self.payload(place, number).await,
            None => self.payload(&Place::new(Arc::clone(mount), name.to_owned()), number).await,
        }
    }

    /// Notes that a secret was read.
    pub(crate) fn note_read(&self, mount: &Arc<Mount>, name: String, last_day: u32) {
        self.note_access(&Place::new(Arc::clone(mount), name), last_day, self.store.now());
    }

    /// Writes to all of these secrets or to none. `false`: one of them is not as it was seen.
    pub(crate) async fn commit_fields(&self, commits: Vec<FieldsCommit>) -> Result<bool, KvError> {
        let places: Vec<Place> =
            commits.iter().map(|commit| Self::locate(&commit.permit, &["data"])).collect::<Result<_, _>>()?;
        let keys: Vec<_> = places.iter().map(Place::key).collect();
        let _locks = self.store.lock_all(&keys).await;
        let mut batch = Batch::new();
        let mut changes = false;
        for (place, commit) in places.iter().zip(commits) {
            let found = self.find(place).await?;
            if found.as_ref().map(|seen| seen.revision) != commit.seen {
                return Ok(false);
            }
            if found.is_none() && commit.payload.is_none() && commit.marks.is_empty() {
                commit.permit.spend();
                continue;
            }
            let before = found.as_ref().map(|seen| seen.value.clone());
            let (written, next) = self.prepare_fields(place, found.map(|seen| seen.value), commit, batch).await?;
            batch = next;
            changes |= before.as_ref() != Some(&written.secret);
            let key = place.key();
            batch = batch.expect(key.clone(), written.seen).put(key, Store::encode(&written.secret)?);
        }
        if !changes {
            return Ok(true);
        }
        Ok(matches!(self.store.commit(batch).await?, Commit::Committed(_)))
    }

    /// Adds to a commit of another kind what makes new secrets; each permit is for one, and none may be there yet. Whoever
    /// commits it holds the locks.
    pub(crate) async fn making_fields(&self, commits: Vec<FieldsCommit>, mut batch: Batch) -> Result<Batch, KvError> {
        for commit in commits {
            let place = Self::locate(&commit.permit, &["data"])?;
            let (written, next) = self.prepare_fields(&place, None, commit, batch).await?;
            let key = place.key();
            batch = next.expect(key.clone(), None).put(key, Store::encode(&written.secret)?);
        }
        Ok(batch)
    }

    async fn prepare_fields(
        &self,
        place: &Place,
        found: Option<Secret>,
        commit: FieldsCommit,
        mut batch: Batch,
    ) -> Result<(Prepared, Batch), KvError> {
        let FieldsCommit { permit, seen, payload, marks } = commit;
        if !permit.still_fits(found.is_some()) {
            return Err(KvError::Denied);
        }
        let author = permit.caller().map_or_else(String::new, |caller| caller.entry().display_name.clone());
        permit.spend();
        let now = self.store.now();
        if let Some(secret) = &found {
            check_changeable(secret)?;
        }
        let mut secret = match found {
            Some(secret) => secret,
            None => Secret::new(now, self.arn_suffix()?),
        };
        if secret.marks != marks {
            secret.set_marks(marks);
            secret.updated = now;
        }
        if let Some(payload) = payload {
            let payload = payload.into_stored();
            check_size(payload.expose_secret())?;
            let settings = self.settings_of(&place.mount).await?;
            let id = self.store.random.uuid().map_err(StoreError::from)?.to_string();
            let number = secret.promote_new(id, now, deletion_time(&secret, &settings, now));
            secret.set_author(number, author);
            batch = batch.put(place.data_key(number), payload);
            for pruned in secret.prune(versions_to_keep(&secret, &settings)) {
                batch = batch.delete(place.data_key(pruned));
            }
            batch = note_end(batch, place.uuid(), &place.name, &secret, now);
        }
        Ok((Prepared { secret, seen }, batch))
    }
}

/// A record that is yet to be committed.
struct Prepared {
    secret: Secret,
    seen: Option<Revision>,
}
