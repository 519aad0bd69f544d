//! Reading a version.

use std::collections::BTreeMap;

use super::{Kv, KvError, Payload, Place, Reader, Version, VersionState, json};
use crate::{door::Permit, secret::SecretBytes, store::StoreError};

/// What is told of a version beside its payload.
#[derive(Debug, Clone)]
pub struct VersionView {
    /// What is known of the version.
    pub version: Version,
    /// Said of the secret by Vault's clients.
    pub custom_metadata: BTreeMap<String, String>,
}

/// What a read finds.
#[derive(Debug)]
pub enum Reading {
    /// No such secret, or no such version.
    Nothing,
    /// The version is deleted or destroyed: only what is said about it.
    Gone(VersionView),
    /// The version and its payload.
    Live(VersionView, Payload),
}

impl Kv {
    /// Reads a version: that of a number, or the current one.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn read(&self, permit: Permit, number: Option<u64>) -> Result<Reading, KvError> {
        let place = Self::locate(&permit, &["data", "subkeys"])?;
        let reader = Reader { address: permit.remote(), caller: permit.spend_as_caller() };
        Ok(self.load(&place, number, Some(&reader)).await?)
    }

    /// The names in a version's fields without their values, down to `depth` levels (0: all).
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn subkeys(
        &self,
        permit: Permit,
        number: Option<u64>,
        depth: usize,
    ) -> Result<(Reading, Option<String>), KvError> {
        match self.read(permit, number).await? {
            Reading::Live(view, payload) => {
                let names = json::subkeys(payload.into_json_object().expose_secret(), depth)
                    .map_err(|_| KvError::Invalid("the version holds no fields".to_owned()))?;
                Ok((Reading::Gone(view), Some(names)))
            }
            other => Ok((other, None)),
        }
    }

    pub(super) async fn load(
        &self,
        place: &Place,
        number: Option<u64>,
        reader: Option<&Reader>,
    ) -> Result<Reading, StoreError> {
        let Some((mut secret, held)) = self.resolve(place).await? else { return Ok(Reading::Nothing) };
        let number = number.filter(|number| *number > 0).unwrap_or_else(|| secret.current());
        let visible = |version: &Version| version.number == number && !version.unreleased;
        let Some(index) = secret.versions.iter().position(visible) else {
            return Ok(Reading::Nothing);
        };
        let now = self.store.now();
        let mut version = secret.versions.swap_remove(index);
        if let Some(recovery) = &secret.recovery {
            version.deletion_time = Some(recovery.deleted);
        }
        let state = version.state(now);
        let view = VersionView { version, custom_metadata: secret.custom_metadata };
        if state != VersionState::Live {
            return Ok(Reading::Gone(view));
        }
        self.note_access(place, secret.last_accessed_day, now);
        if let Some(reader) = reader.filter(|_| secret.rotated) {
            let held = held.as_ref().unwrap_or(place);
            self.consumers.note(held.uuid(), &held.name, number, reader, now);
        }
        match self.payload(held.as_ref().unwrap_or(place), number).await? {
            Some(payload) => Ok(Reading::Live(view, payload)),
            // The version was destroyed or pruned between the two reads.
            None => Ok(Reading::Gone(VersionView { version: Version { destroyed: true, ..view.version }, ..view })),
        }
    }

    pub(super) async fn payload(&self, place: &Place, number: u64) -> Result<Option<Payload>, StoreError> {
        let record = self.store.barrier.get(&place.data_key(number)).await?;
        let opened = record.map(|record| Payload::from_stored(record.plaintext).ok_or(UNREADABLE));
        Ok(opened.transpose()?)
    }

    /// The current payload's fields, for a change that builds on them.
    pub(super) async fn current_fields(&self, place: &Place) -> Result<Option<(u64, SecretBytes)>, StoreError> {
        match self.load(place, None, None).await? {
            Reading::Live(view, payload) => Ok(Some((view.version.number, payload.into_json_object()))),
            Reading::Gone(_) | Reading::Nothing => Ok(None),
        }
    }
}

const UNREADABLE: crate::codec::CodecError = crate::codec::CodecError::Decode("kv::Payload");
