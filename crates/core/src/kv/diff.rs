//! What differs between two versions of a secret: which fields came, went and changed, without their values.
//!
//! It tells whether values are equal. Whoever may write a secret and compare its versions could find a value out that
//! they may not read: by writing guesses until one compares equal. So who may write the values must be able to read
//! them too, or gets no answer; a right to compare alone, for those who review changes, tells no more than it should.

use std::collections::BTreeSet;

use super::{
    Fingerprint, Kv, KvError, Place, Secret, Version, VersionState, fingerprint,
    json::{Object, parse},
};
use crate::{
    door::Permit,
    policy::{AclAsk, Decision, Operation},
    secret::SecretBytes,
    store::StoreError,
};

/// What became of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is only in `to`.
    Added,
    /// It is only in `from`.
    Removed,
    /// It has another value.
    Changed,
    /// It has the same value.
    Unchanged,
}

/// One field, in either or both of the versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDiff {
    /// Its name.
    pub name: String,
    /// Its value in the one version, as a fingerprint.
    pub from: Option<Fingerprint>,
    /// Its value in the other.
    pub to: Option<Fingerprint>,
}

impl FieldDiff {
    /// What became of it.
    #[must_use]
    pub fn change(&self) -> Change {
        match (self.from, self.to) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (from, to) if from == to => Change::Unchanged,
            _ => Change::Changed,
        }
    }
}

/// What differs between two versions. Text and bytes are the one field `value`, as readers of fields have them.
#[derive(Debug)]
pub struct VersionDiff {
    /// The one version.
    pub from: Version,
    /// The other.
    pub to: Version,
    /// All fields of both, by name.
    pub fields: Vec<FieldDiff>,
}

/// Versions could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// There is no such version.
    #[error("there is no version {0}: the secret's metadata lists those that there are")]
    NoVersion(u64),
    /// The version cannot be read.
    #[error("version {number} is {state}, so that it cannot be compared")]
    Gone {
        /// Which.
        number: u64,
        /// `deleted` or `destroyed`.
        state: &'static str,
    },
    /// There is only one version that can be read.
    #[error("there is no version before {0} to compare it with: name one in `from`")]
    Alone(u64),
    /// As with any read.
    #[error(transparent)]
    Kv(#[from] KvError),
}

impl From<StoreError> for DiffError {
    fn from(error: StoreError) -> Self {
        Self::Kv(error.into())
    }
}

impl Kv {
    /// Compares two versions: `to` is the current one, and `from` the last readable one before it, unless they are named.
    ///
    /// # Errors
    /// [`KvError::Denied`] for a caller who may write the secret's values but not read them; [`KvError::NotFound`]
    /// without a secret; otherwise when one of the versions cannot be read.
    pub async fn diff(&self, permit: Permit, from: Option<u64>, to: Option<u64>) -> Result<VersionDiff, DiffError> {
        let place = Self::locate(&permit, &["diff"])?;
        if !may_compare(&permit, &place) {
            return Err(KvError::Denied.into());
        }
        permit.spend();
        let (secret, held) = self.resolve(&place).await?.ok_or(KvError::NotFound)?;
        let to = to.or(Some(secret.current()).filter(|current| *current > 0)).ok_or(KvError::NotFound)?;
        let to = self.comparable(&secret, to)?;
        let from = match from {
            Some(number) => self.comparable(&secret, number)?,
            None => self.before(&secret, to.number).ok_or(DiffError::Alone(to.number))?,
        };
        let held = held.as_ref().unwrap_or(&place);
        let (old, new) = (self.fields_of(held, &from).await?, self.fields_of(held, &to).await?);
        let fields = self.compare(&place, old.expose_secret(), new.expose_secret())?;
        Ok(VersionDiff { from, to, fields })
    }

    /// A version that can be read.
    fn comparable(&self, secret: &Secret, number: u64) -> Result<Version, DiffError> {
        let version = secret.version(number).filter(|version| !version.unreleased);
        let version = version.ok_or(DiffError::NoVersion(number))?;
        let state = if secret.recovery.is_some() { VersionState::Deleted } else { version.state(self.store.now()) };
        match state {
            VersionState::Live => Ok(version.clone()),
            VersionState::Deleted => Err(DiffError::Gone { number, state: "deleted" }),
            VersionState::Destroyed => Err(DiffError::Gone { number, state: "destroyed" }),
        }
    }

    fn before(&self, secret: &Secret, number: u64) -> Option<Version> {
        let older = secret.versions.iter().rev().filter(|version| version.number < number);
        older.map(|version| self.comparable(secret, version.number)).find_map(Result::ok)
    }

    async fn fields_of(&self, place: &Place, version: &Version) -> Result<SecretBytes, DiffError> {
        let number = version.number;
        let payload = self.payload(place, number).await?;
        // Destroyed or pruned between the two reads.
        Ok(payload.ok_or(DiffError::Gone { number, state: "destroyed" })?.into_json_object())
    }

    fn compare(&self, place: &Place, old: &[u8], new: &[u8]) -> Result<Vec<FieldDiff>, DiffError> {
        let unreadable = |_| KvError::Invalid("a version holds no fields".to_owned());
        let (old, new) = (parse(old).map_err(unreadable)?, parse(new).map_err(unreadable)?);
        let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let mut fields = Vec::with_capacity(names.len());
        for name in names {
            let print = |object: &Object<'_>| {
                let value = object.get(name).copied();
                value.map(|value| fingerprint::of_field(&*self.store.barrier, place, &name.0, value)).transpose()
            };
            let (from, to) = (print(&old).map_err(unreadable)?, print(&new).map_err(unreadable)?);
            fields.push(FieldDiff { name: name.0.clone().into_owned(), from, to });
        }
        Ok(fields)
    }
}

/// Whether the caller learns no value by comparing: they may read the values, or cannot write them.
fn may_compare(permit: &Permit, place: &Place) -> bool {
    let Some(caller) = permit.caller() else { return false };
    let path = format!("{}data/{}", place.mount.path, place.name);
    let may = |operation| {
        let ask = AclAsk { path: &path, operation, parameters: &|| None, wrap_ttl: None };
        matches!(caller.acl().allows(&ask), Decision::Granted(_))
    };
    may(Operation::Read) || ![Operation::Create, Operation::Update, Operation::Patch].into_iter().any(may)
}
