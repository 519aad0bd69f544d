//! What a version changed, and taking it back.

use std::collections::BTreeMap;

use super::{Kv, KvError, Payload, Place, Secret, Version, VersionState, json};
use crate::{
    barrier::{Mac, MacPurpose},
    door::Permit,
    keys,
    secret::{SecretBytes, SecretString},
    store::{Seen, Store, StoreError},
};

/// A field that a version changed.
#[derive(Debug, Clone)]
pub struct FieldChange {
    /// Its name.
    pub name: String,
    /// What it became; `None`: it went.
    pub added: Option<FieldValue>,
    /// What it was; `None`: it was not there.
    pub removed: Option<FieldValue>,
}

/// The value of a field in a version.
#[derive(Debug, Clone)]
pub struct FieldValue {
    /// Its JSON text.
    pub json: SecretString,
    /// Whether it is shown to programs alone.
    pub restricted: bool,
}

impl FieldChange {
    fn reversed(self) -> Self {
        Self { added: self.removed, removed: self.added, ..self }
    }
}

fn missing(id: &str) -> KvError {
    KvError::Invalid(format!("there is no version {:?}", id.chars().take(64).collect::<String>()))
}

impl Kv {
    /// What the version of an id changed, by the one before it that can be read.
    ///
    /// # Errors
    /// [`KvError::NotFound`] when there is no such secret or version; [`KvError::Invalid`] when it can be read no longer.
    pub async fn difference(&self, permit: Permit, id: &str) -> Result<(Version, Vec<FieldChange>), KvError> {
        let place = Self::locate(&permit, &["data"])?;
        permit.spend();
        let secret = self.find(&place).await?.ok_or(KvError::NotFound)?.value;
        self.difference_of(&place, &secret, id).await
    }

    /// Writes a version in which all that the version of an id changed is as it was before it; whatever other versions
    /// changed stays. What was restricted then is so again.
    ///
    /// # Errors
    /// As [`Kv::difference`], and as [`Kv::write`].
    pub async fn take_back(
        &self,
        permit: Permit,
        id: &str,
        kept: &[String],
    ) -> Result<(Version, Vec<FieldChange>), KvError> {
        let place = Self::locate(&permit, &["data"])?;
        let _lock = self.store.lock(&place.key()).await;
        let Seen { value: secret, .. } = self.find(&place).await?.ok_or(KvError::NotFound)?;
        let (_, changes) = self.difference_of(&place, &secret, id).await?;
        let changes: Vec<FieldChange> = changes.into_iter().map(FieldChange::reversed).collect();
        if let Some(change) = changes.iter().find(|change| kept.contains(&change.name)) {
            return Err(KvError::Invalid(format!(
                "Secret {} is kept by the rotation of this config, which has its own way back: keyturn rotation rollback",
                change.name
            )));
        }
        let now = self.readable_fields(&place, &secret, secret.current()).await?.ok_or(KvError::NotFound)?;
        let fields = json::replace(now.expose_secret(), &changes)
            .map_err(|error| KvError::Invalid(format!("the current version: {error}")))?;
        let current = secret.current();
        let back = |change: &FieldChange| change.added.as_ref().is_some_and(|value| value.restricted);
        let restricted: Vec<&str> =
            changes.iter().filter(|change| back(change)).map(|change| change.name.as_str()).collect();
        let payload = Payload::Fields(fields);
        let view = self.write_restricting(permit, &place, Some(current), payload, &restricted).await?;
        Ok((view.version, changes))
    }

    async fn difference_of(
        &self,
        place: &Place,
        secret: &Secret,
        id: &str,
    ) -> Result<(Version, Vec<FieldChange>), KvError> {
        if secret.recovery.is_some() {
            return Err(KvError::NotFound);
        }
        let version = secret.by_id(id).filter(|version| !version.unreleased).ok_or(KvError::NotFound)?;
        let after = self.readable_fields(place, secret, version.number).await?.ok_or_else(|| missing(id))?;
        let (mut before, mut before_number) = (None, 0);
        for older in secret.versions.iter().rev().filter(|older| older.number < version.number && !older.unreleased) {
            before = self.readable_fields(place, secret, older.number).await?;
            if before.is_some() {
                before_number = older.number;
                break;
            }
        }
        let before = before.unwrap_or_else(|| SecretBytes::new(b"{}".to_vec()));
        let mut changes = json::difference(before.expose_secret(), after.expose_secret())
            .map_err(|error| KvError::Invalid(error.to_string()))?;
        for FieldChange { name, added, removed } in &mut changes {
            for (value, number) in [(added, version.number), (removed, before_number)] {
                value.iter_mut().for_each(|value| value.restricted = secret.is_restricted(name, number));
            }
        }
        Ok((version.clone(), changes))
    }

    /// A version as the text of a JSON object, if it can be read.
    async fn readable_fields(
        &self,
        place: &Place,
        secret: &Secret,
        number: u64,
    ) -> Result<Option<SecretBytes>, KvError> {
        let now = self.store.now();
        let live =
            secret.version(number).is_some_and(|version| version.state(now) == VersionState::Live && !version.empty);
        if !live {
            return Ok(None);
        }
        Ok(self.payload(place, number).await?.map(Payload::into_json_object))
    }
}

/// The names of a version's fields with fingerprints of their values, by which a change is seen; nothing if it cannot be
/// read.
pub(crate) async fn names_and_values(
    store: &Store,
    mount: &str,
    name: &str,
    number: u64,
) -> Result<BTreeMap<String, Mac>, StoreError> {
    let record = store.barrier.get(&keys::kv_data(mount, name, number)).await?;
    let Some(payload) = record.and_then(|record| Payload::from_stored(record.plaintext)) else {
        return Ok(BTreeMap::new());
    };
    let fields = payload.into_json_object();
    let outline = json::outline(fields.expose_secret(), &|value| store.barrier.mac(MacPurpose::Fingerprint, &[value]));
    Ok(outline.unwrap_or_default())
}

/// The changes from one JSON object to another, by name.
pub(super) fn changes(before: &BTreeMap<&str, &str>, after: &BTreeMap<&str, &str>) -> Vec<FieldChange> {
    let names: std::collections::BTreeSet<&&str> = before.keys().chain(after.keys()).collect();
    let value =
        |text: Option<&&str>| text.map(|text| FieldValue { json: SecretString::from(*text), restricted: false });
    names
        .into_iter()
        .filter(|name| before.get(**name) != after.get(**name))
        .map(|name| FieldChange {
            name: (*name).to_owned(),
            added: value(after.get(*name)),
            removed: value(before.get(*name)),
        })
        .collect()
}
