//! Writing fields of a config: those that change, over the version that was read.

use std::collections::BTreeMap;

use super::{
    ConfigError, FieldMark,
    content::edited,
    reading::{Reading, config_of},
};
use crate::{
    door::Permit,
    kv::{FieldsCommit, Payload},
    project::ConfigName,
    secret::SecretString,
};

/// Changes of one config.
#[derive(Debug)]
pub struct FieldsWrite {
    /// The permit to write the config, which must have been read: it is the config itself, or its root.
    pub permit: Permit,
    /// Values by name; `None` takes one away.
    pub values: BTreeMap<String, Option<SecretString>>,
    /// What is said from now on; the default takes away what was said.
    pub marks: BTreeMap<String, FieldMark>,
}

/// What a write led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The configs that have a new version.
    pub changed: Vec<ConfigName>,
}

impl Reading<'_> {
    /// Writes to one config or several, in one commit, if none of them has changed since it was read. Where no value
    /// becomes another, there is no new version.
    ///
    /// # Errors
    /// [`ConfigError::Changed`]: read again, and decide anew.
    pub async fn write(&self, writes: Vec<FieldsWrite>) -> Result<Written, ConfigError> {
        let mut commits = Vec::with_capacity(writes.len());
        let mut changed = Vec::new();
        for FieldsWrite { permit, values, marks } in writes {
            let (mount, name) = config_of(&permit)?;
            let place = self.places.get(&name).filter(|_| mount.uuid == self.mount.uuid).ok_or(ConfigError::NoPlace)?;
            let now = place.fields.as_ref().and_then(super::Fields::values);
            let differs = |(field, value): (&String, &Option<SecretString>)| {
                let before = now.and_then(|now| now.get(field));
                match (before, value) {
                    (None, None) => false,
                    (Some(before), Some(value)) => !before.is_same(value),
                    _ => true,
                }
            };
            let payload = values.iter().any(differs).then(|| edited(place.payload.as_ref(), &values));
            let mut all_marks = place.secret.as_ref().map(|seen| seen.value.marks.clone()).unwrap_or_default();
            for (field, mark) in marks {
                if mark == FieldMark::default() {
                    all_marks.remove(&field)
                } else {
                    all_marks.insert(field, mark)
                };
            }
            if payload.is_some() {
                changed.push(name);
            }
            commits.push(FieldsCommit { permit, seen: place.revision(), payload, marks: all_marks });
        }
        if !self.core.kv().commit_fields(commits).await? {
            return Err(ConfigError::Changed);
        }
        Ok(Written { changed })
    }

    /// The payload of the config itself as it was read.
    #[must_use]
    pub fn payload(&self) -> Option<&Payload> {
        self.places.get(&self.target)?.payload.as_ref()
    }
}
