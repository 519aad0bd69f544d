//! A lease's record and the index records that go with it.
//!
//! ```text
//! begin -> Pending --confirm-> Active --its end, or revoked-> Ending --done-> removed
//!             |                                                  |  fails too often
//!             +--given up, or nobody confirms it in time---------+--> Irrevocable
//! ```
//!
//! In every phase the record stands once in the index of what is due, under its target: when its intent lapses, when it
//! ends, when it is tried next. All changes write the record and its index records in one commit, under the revision
//! at which the record was read.

use serde::{Deserialize, Serialize};

use crate::{
    barrier::Batch,
    clock::{Timestamp, nanos},
    keys,
    mount::Engine,
    storage::Key,
    store::{Seen, Store, StoreError},
    token::TokenId,
};

/// Where a lease is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// The credential is being made; nobody has it yet.
    Pending,
    /// The credential was handed out.
    Active,
    /// It is to be revoked, as soon as that succeeds.
    Ending,
    /// Its revocation failed too often; it is tried again seldom.
    Irrevocable,
}

/// What is stored of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// The path that issued it, a slash, and 24 letters and digits.
    pub id: String,
    /// What serves the mount.
    pub engine: Engine,
    /// The uuid of the mount that issued it.
    pub mount: String,
    /// What its engine counts it under; for metrics.
    pub role: String,
    /// What the engine wrote down when the lease began: enough to end it, and nothing secret.
    pub data: String,
    /// When it began.
    #[serde(with = "nanos")]
    pub issued: Timestamp,
    /// When it ends.
    #[serde(with = "nanos")]
    pub expires: Timestamp,
    /// The end of the batch token that it was issued to: no renewal goes beyond.
    #[serde(with = "nanos::option")]
    pub(crate) latest: Option<Timestamp>,
    /// When it was last renewed.
    #[serde(with = "nanos::option")]
    pub last_renewal: Option<Timestamp>,
    /// Whether it may be renewed.
    pub renewable: bool,
    /// A keyed hash of the target's name, by which revocations there are ordered and bounded.
    pub(crate) target: String,
    /// The token that it ends with.
    pub(crate) token: Option<TokenId>,
    /// Where it is in its life.
    pub(crate) phase: Phase,
    /// The second, since 1970, in which something is to be done about it.
    pub(crate) due: i64,
    /// The second in which it was first to be revoked, or will be.
    pub(crate) since: i64,
    /// The second by which what was asked of the target at first has been done or never will be.
    pub(crate) settles: i64,
    /// Whether it was given up while the target was still being asked: then a revocation before `settles` is not the last.
    pub(crate) unsettled: bool,
    /// Revocations that failed.
    pub(crate) attempts: u32,
    /// Why the last one did; empty: none.
    pub(crate) error: String,
}

impl LeaseRecord {
    /// The path that issued it.
    #[must_use]
    pub fn path(&self) -> &str {
        self.id.rsplit_once('/').map_or("", |(path, _)| path)
    }

    /// The record as it is once the lease is to end. `None`: it is on its way. `asked`: somebody waits for it, so that
    /// what was put off is tried at once.
    pub(super) fn ended(&self, now: Timestamp, asked: bool) -> Option<Self> {
        let put_off = asked && !self.unsettled && self.due > now.as_second();
        let now = now.as_second();
        let ending = Self { phase: Phase::Ending, due: now, ..self.clone() };
        match self.phase {
            Phase::Pending => Some(Self { unsettled: true, since: now, ..ending }),
            Phase::Active => Some(Self { since: now.min(self.since), ..ending }),
            Phase::Irrevocable if asked => Some(Self { attempts: 0, ..ending }),
            Phase::Ending if put_off => Some(ending),
            Phase::Ending | Phase::Irrevocable => None,
        }
    }

    fn due_key(&self) -> Key {
        keys::lease_due(&self.target, self.due, &self.id)
    }

    /// Whether the credential was handed out and is not to be revoked yet.
    pub(crate) fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    /// Since when it was to be revoked, and why it is not.
    pub(crate) fn trouble(&self) -> (Timestamp, &str) {
        (Timestamp::from_second(self.since).unwrap_or(self.expires), &self.error)
    }

    pub(super) fn is_irrevocable(&self) -> bool {
        self.phase == Phase::Irrevocable
    }
}

/// The first second that has begun no earlier than `time`: nothing is due before its time.
pub(super) fn second_of(time: Timestamp) -> i64 {
    time.as_second().saturating_add(i64::from(time.subsec_nanosecond() > 0))
}

/// What one commit makes of a lease.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) before: Option<Seen<LeaseRecord>>,
    pub(super) after: Option<LeaseRecord>,
}

impl Change {
    pub(super) fn create(after: LeaseRecord) -> Self {
        Self { before: None, after: Some(after) }
    }

    pub(super) fn update(before: Seen<LeaseRecord>, after: LeaseRecord) -> Self {
        Self { before: Some(before), after: Some(after) }
    }

    pub(super) fn remove(before: Seen<LeaseRecord>) -> Self {
        Self { before: Some(before), after: None }
    }

    /// Adds the change to a batch, provided that the record is as it was seen.
    pub(super) fn add_to(&self, mut batch: Batch) -> Result<Batch, StoreError> {
        let before = self.before.as_ref();
        let (was, is) = (before.map(|seen| &seen.value), self.after.as_ref());
        let Some(either) = is.or(was) else { return Ok(batch) };
        let (key, id) = (keys::lease(&either.id), &either.id);
        batch = batch.expect(key.clone(), before.map(|seen| seen.revision));
        if let Some(was) = was.filter(|was| is.is_none_or(|is| is.due_key() != was.due_key())) {
            batch = batch.delete(was.due_key());
        }
        batch = match is {
            Some(is) => batch.put(key, Store::encode(is)?).put(is.due_key(), Store::encode(&())?),
            None => batch.delete(key),
        };
        if let Some(token) = &either.token {
            let index = keys::lease_of_token(&token.0, id);
            match (was, is) {
                (None, Some(_)) => batch = batch.put(index, Store::encode(&())?),
                (_, None) => batch = batch.delete(index),
                _ => {}
            }
        }
        match (was.is_some_and(LeaseRecord::is_irrevocable), is.is_some_and(LeaseRecord::is_irrevocable)) {
            (false, true) => batch = batch.put(keys::lease_irrevocable(id), Store::encode(&())?),
            (true, false) => batch = batch.delete(keys::lease_irrevocable(id)),
            _ => {}
        }
        Ok(batch)
    }
}
