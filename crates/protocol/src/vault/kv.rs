//! The key-value engine, versions 1 and 2.
//! Source: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>.

use std::collections::BTreeMap;

use keyturn_core::clock::Timestamp;
use serde::Deserialize;

use super::SecretJson;

/// A secret's fields by name.
pub type Fields = BTreeMap<String, SecretJson>;

/// The `data` of `GET <mount>/data/<name>`.
#[derive(Debug, Deserialize)]
pub struct Versioned {
    /// The fields; `null` once the version is deleted or destroyed.
    pub data: Option<Fields>,
    /// Which version this is.
    pub metadata: VersionMetadata,
}

/// What is known of one version besides its payload.
#[derive(Debug, Clone, Deserialize)]
pub struct VersionMetadata {
    /// Its number, from 1; absent where the versions are keyed by number.
    #[serde(default)]
    pub version: u64,
    /// When it was written, RFC 3339.
    #[serde(default)]
    pub created_time: String,
    /// When it was or will be deleted, RFC 3339; empty if never.
    #[serde(default)]
    pub deletion_time: String,
    /// Whether the payload is gone for good.
    #[serde(default)]
    pub destroyed: bool,
}

impl VersionMetadata {
    /// What the version still offers at `now`. A deletion time that lies ahead deletes nothing yet; one that cannot be
    /// read counts as past.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> VersionState {
        let deleted =
            || !self.deletion_time.is_empty() && self.deletion_time.parse().map_or(true, |at: Timestamp| at <= now);
        if self.destroyed {
            VersionState::Destroyed
        } else if deleted() {
            VersionState::Deleted
        } else {
            VersionState::Live
        }
    }
}

/// What a version still offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionState {
    /// It can be read, though it may have a deletion time ahead.
    Live,
    /// It can be undeleted.
    Deleted,
    /// Its payload is gone for good.
    Destroyed,
}

impl VersionState {
    /// The word for people and for JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Deleted => "deleted",
            Self::Destroyed => "destroyed",
        }
    }
}

/// The `data` of `GET <mount>/metadata/<name>`.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The versions that are kept, by number.
    pub versions: BTreeMap<u64, VersionMetadata>,
    /// The number that was written last; 0 if none was.
    pub current_version: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::Envelope;

    #[test]
    fn a_deleted_version_has_metadata_only() {
        let body = br#"{"data":{"data":null,"metadata":{"created_time":"2026-01-01T00:00:00Z","custom_metadata":null,
            "deletion_time":"2026-01-02T00:00:00Z","destroyed":false,"version":3}},"auth":null,"warnings":null}"#;
        let versioned = serde_json::from_slice::<Envelope<Versioned>>(body).unwrap().data.unwrap();
        assert!(versioned.data.is_none());
        assert_eq!(versioned.metadata.version, 3);
    }

    #[test]
    fn a_version_is_live_until_its_deletion_time() {
        let version = |deletion_time: &str, destroyed| VersionMetadata {
            version: 1,
            created_time: String::new(),
            deletion_time: deletion_time.to_owned(),
            destroyed,
        };
        let now = "2026-01-02T00:00:00Z".parse().unwrap();
        assert_eq!(version("", false).state(now), VersionState::Live);
        assert_eq!(version("2026-01-02T00:00:01Z", false).state(now), VersionState::Live);
        assert_eq!(version("2026-01-02T00:00:00Z", false).state(now), VersionState::Deleted);
        assert_eq!(version("2026-01-02T00:00:00Z", true).state(now), VersionState::Destroyed);
    }

    #[test]
    fn versions_are_keyed_by_number() {
        let body = br#"{"versions":{"10":{"created_time":"c","deletion_time":"","destroyed":false},
            "9":{"created_time":"b","deletion_time":"","destroyed":true}},"current_version":10,"oldest_version":9}"#;
        let metadata: Metadata = serde_json::from_slice(body).unwrap();
        assert_eq!(metadata.versions.keys().copied().collect::<Vec<_>>(), [9, 10]);
        assert!(metadata.versions[&9].destroyed);
    }
}
