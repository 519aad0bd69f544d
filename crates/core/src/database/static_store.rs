//! The credentials in the record of a static role, as its rotation changes them ([`crate::rotation`]): one that is
//! current, the one before while both are good, and one that is yet to become current.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Area, StaticRole};
use crate::{
    barrier::Batch,
    clock::{Timestamp, nanos},
    kv::{Payload, RotatingError},
    login::kept,
    rotation::Site,
    secret::SecretString,
    storage::{Commit, Revision},
    store::{Seen, Store, StoreError},
};

/// The fields under which a rotation finds name and password.
const FIELDS: (&str, &str) = ("username", "password");

/// A user and its password.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Its number, from 1.
    pub(super) version: u64,
    /// The id of the run that made it.
    pub(super) id: String,
    pub(super) username: String,
    #[serde(with = "kept")]
    pub(super) password: SecretString,
    /// When it became current.
    #[serde(with = "nanos::option")]
    pub(super) since: Option<Timestamp>,
}

/// All that a static role keeps.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Credentials {
    /// The highest number that was given.
    pub(super) last: u64,
    pub(super) current: Option<Kept>,
    /// The one before, if the strategy keeps it good.
    pub(super) previous: Option<Kept>,
    pub(super) pending: Option<Kept>,
}

impl Credentials {
    fn version(&self, number: u64) -> Option<&Kept> {
        [&self.current, &self.previous, &self.pending].into_iter().flatten().find(|kept| kept.version == number)
    }
}

/// The records of static roles.
pub(crate) struct RoleStore {
    store: Arc<Store>,
}

impl RoleStore {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// The number of the current credential; 0: none is known yet.
    pub(crate) async fn current(&self, site: &Site) -> Result<u64, RotatingError> {
        Ok(self.read(site).await?.value.credentials.current.map_or(0, |kept| kept.version))
    }

    /// A credential, as fields.
    pub(crate) async fn payload(&self, site: &Site, version: u64) -> Result<Payload, RotatingError> {
        let role = self.read(site).await?.value;
        let kept = role.credentials.version(version).ok_or(RotatingError::Empty(version))?;
        let username = SecretString::new(kept.username.clone());
        Payload::with_fields(None, &[(FIELDS.0, &username), (FIELDS.1, &kept.password)])
    }

    /// Keeps a pending credential, or finds the one of that id.
    pub(crate) async fn stage_pending(
        &self,
        site: &Site,
        id: &str,
        payload: Option<Payload>,
        base: u64,
        record: impl FnOnce(u64) -> Result<Batch, StoreError> + Send,
    ) -> Result<Revision, RotatingError> {
        let mut seen = self.read(site).await?;
        let credentials = &mut seen.value.credentials;
        if credentials.current.as_ref().map_or(0, |kept| kept.version) != base {
            return Err(RotatingError::Changed);
        }
        let version = match credentials.pending.as_ref().filter(|kept| kept.id == id) {
            Some(kept) => kept.version,
            None => {
                let field = |name| payload.as_ref().and_then(|payload| payload.secret_field(name));
                let (Some(username), Some(password)) = (field(FIELDS.0), field(FIELDS.1)) else {
                    return Err(RotatingError::NoFields);
                };
                credentials.last += 1;
                let (version, username) = (credentials.last, username.expose_secret().to_owned());
                credentials.pending = Some(Kept { version, id: id.to_owned(), username, password, since: None });
                version
            }
        };
        self.commit(site, seen, record(version)?).await
    }

    /// Makes a credential current in the place of `base`.
    pub(crate) async fn promote(
        &self,
        site: &Site,
        number: u64,
        base: u64,
        record: Batch,
    ) -> Result<Revision, RotatingError> {
        let mut seen = self.read(site).await?;
        let (now, overlaps) = (self.store.now(), seen.value.strategy.overlaps());
        let credentials = &mut seen.value.credentials;
        let current = credentials.current.as_ref().map_or(0, |kept| kept.version);
        if current != number {
            if current != base {
                return Err(RotatingError::Changed);
            }
            let slots = [&mut credentials.pending, &mut credentials.previous];
            let slot = slots.into_iter().find(|slot| slot.as_ref().is_some_and(|kept| kept.version == number));
            let mut next = slot.and_then(Option::take).ok_or(RotatingError::Empty(number))?;
            next.since = Some(now);
            credentials.previous = credentials.current.replace(next).filter(|_| overlaps);
        }
        self.commit(site, seen, record).await
    }

    /// Takes the pending credential away.
    pub(crate) async fn drop_pending(&self, site: &Site, id: &str, record: Batch) -> Result<Revision, RotatingError> {
        let mut seen = self.read(site).await?;
        let pending = &mut seen.value.credentials.pending;
        if pending.as_ref().is_some_and(|kept| kept.id == id) {
            *pending = None;
        }
        self.commit(site, seen, record).await
    }

    async fn read(&self, site: &Site) -> Result<Seen<StaticRole>, RotatingError> {
        let seen = self.store.read(&Area::StaticRole.key(&site.mount, &site.name)).await?;
        seen.ok_or(RotatingError::Gone)
    }

    async fn commit(&self, site: &Site, seen: Seen<StaticRole>, record: Batch) -> Result<Revision, RotatingError> {
        let key = Area::StaticRole.key(&site.mount, &site.name);
        let batch = record.expect(key.clone(), Some(seen.revision)).put(key.clone(), Store::encode(&seen.value)?);
        match self.store.commit(batch).await? {
            Commit::Committed(revision) => Ok(revision),
            Commit::Conflict(conflict) if conflict == key => Err(StoreError::Contended.into()),
            Commit::Conflict(_) => Err(RotatingError::Lost),
        }
    }
}
