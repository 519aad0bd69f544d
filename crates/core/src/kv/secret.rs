//! The record of a secret: its versions, their stages, and what is said about it. The payloads lie beside it, one
//! record a version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    link::{Follower, Link},
    replica::Replica,
    rotation::RotationSettings,
};
use crate::{
    clock::{Timestamp, nanos},
    config_values::{FieldMark, Visibility},
};

/// The stage that readers see by default.
pub const CURRENT: &str = "current";
/// The stage of the version that was current before.
pub const PREVIOUS: &str = "previous";
/// The stage of a version that a rotation prepares; no reader sees it by default.
pub const PENDING: &str = "pending";

/// Versions that are kept if neither the mount nor the secret says how many.
pub const DEFAULT_MAX_VERSIONS: u32 = 10;

/// Whether a version can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionState {
    /// Readable.
    Live,
    /// Deleted, but its payload is kept and can be had back.
    Deleted,
    /// Its payload is gone.
    Destroyed,
}

/// What is known of one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// 1 for the first.
    pub number: u64,
    /// A UUID-like token; AWS's clients choose it (`ClientRequestToken`).
    pub id: String,
    /// When it was written.
    #[serde(with = "nanos")]
    pub created: Timestamp,
    /// When it was or will be deleted.
    #[serde(with = "nanos::option")]
    pub deletion_time: Option<Timestamp>,
    /// Whether its payload is gone.
    pub destroyed: bool,
    /// Its labels. A label is on at most one version of a secret.
    pub stages: Vec<String>,
    /// It was never current: readers who know versions by their number do not see it.
    #[serde(default)]
    pub unreleased: bool,
    /// A rotation keeps the place for a payload that is yet to come.
    #[serde(default)]
    pub empty: bool,
    /// The display name of the token that wrote it, if it is known.
    #[serde(default)]
    pub author: String,
}

impl Version {
    /// Whether it can be read at `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> VersionState {
        if self.destroyed {
            VersionState::Destroyed
        } else if self.deletion_time.is_some_and(|at| at <= now) {
            VersionState::Deleted
        } else {
            VersionState::Live
        }
    }

    /// Whether it carries a label.
    #[must_use]
    pub fn has(&self, stage: &str) -> bool {
        self.stages.iter().any(|label| label == stage)
    }
}

/// A secret that is deleted as a whole, and until when it can be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// When it was deleted.
    #[serde(with = "nanos")]
    pub deleted: Timestamp,
    /// When it is gone for good.
    #[serde(with = "nanos")]
    pub until: Timestamp,
}

/// A secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// When the first version or the metadata was written.
    #[serde(with = "nanos")]
    pub created: Timestamp,
    /// When it last changed.
    #[serde(with = "nanos")]
    pub updated: Timestamp,
    /// Ascending by number.
    pub versions: Vec<Version>,
    /// The highest number ever given; numbers are not given twice.
    pub latest: u64,
    /// How many versions are kept; 0: as the mount says.
    pub max_versions: u32,
    /// Whether a write must name the version it replaces.
    pub cas_required: bool,
    /// Seconds after which a new version is deleted; 0: as the mount says, negative: never.
    pub delete_version_after: i64,
    /// Said by Vault's clients.
    pub custom_metadata: BTreeMap<String, String>,
    /// Said by AWS's clients.
    pub tags: BTreeMap<String, String>,
    /// For people.
    pub description: String,
    /// The six characters that end the secret's ARN, so that a secret of the same name made later is another.
    pub arn_suffix: String,
    /// Set while the secret is deleted as a whole and can still be restored.
    pub recovery: Option<Recovery>,
    /// The day of the last read, in days since 1970; 0: never.
    pub last_accessed_day: u32,
    /// The tags' names in the order in which they came; `None`: it never had any.
    #[serde(default)]
    pub tag_order: Option<Vec<String>>,
    /// The name of a key of the client's, kept for the client; the barrier seals with its own.
    #[serde(default)]
    pub key_id: String,
    /// What kind of secret its maker says it is.
    #[serde(default)]
    pub kind: String,
    /// The text of an access policy that restricts further what the callers' policies allow.
    #[serde(default)]
    pub access_policy: String,
    /// When and by what its value is to be replaced.
    #[serde(default)]
    pub rotation: Option<RotationSettings>,
    /// The mounts in which this secret can be read as well.
    #[serde(default)]
    pub replicas: Vec<Replica>,
    /// The uuid of the mount that has the secret of this name of which this one is a replica.
    #[serde(default)]
    pub origin: Option<String>,
    /// Beside `origin`: which secret there it follows, if not the one of its own name.
    #[serde(default)]
    pub link: Option<Link>,
    /// The secret that follows this one under a name of its own.
    #[serde(default)]
    pub follower: Option<Follower>,
    /// What is said about its fields, by their names, at the Doppler API.
    #[serde(default)]
    pub marks: BTreeMap<String, FieldMark>,
    /// The last version in which a field was restricted that is so no longer.
    #[serde(default)]
    pub restricted_until: BTreeMap<String, u64>,
    /// Whether it has a rotation of this server's own, for which it is noted who reads what.
    #[serde(default)]
    pub rotated: bool,
}

impl Secret {
    /// A secret without a version.
    #[must_use]
    pub fn new(now: Timestamp, arn_suffix: String) -> Self {
        Self {
            created: now,
            updated: now,
            versions: Vec::new(),
            latest: 0,
            max_versions: 0,
            cas_required: false,
            delete_version_after: 0,
            custom_metadata: BTreeMap::new(),
            tags: BTreeMap::new(),
            description: String::new(),
            arn_suffix,
            recovery: None,
            last_accessed_day: 0,
            tag_order: None,
            key_id: String::new(),
            kind: String::new(),
            access_policy: String::new(),
            rotation: None,
            replicas: Vec::new(),
            origin: None,
            link: None,
            follower: None,
            marks: BTreeMap::new(),
            restricted_until: BTreeMap::new(),
            rotated: false,
        }
    }

    /// The version that carries a stage.
    #[must_use]
    pub fn staged(&self, stage: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.has(stage))
    }

    /// The version of that number.
    #[must_use]
    pub fn version(&self, number: u64) -> Option<&Version> {
        self.versions.binary_search_by_key(&number, |version| version.number).ok().map(|index| &self.versions[index])
    }

    pub(super) fn version_mut(&mut self, number: u64) -> Option<&mut Version> {
        self.versions
            .binary_search_by_key(&number, |version| version.number)
            .ok()
            .map(|index| &mut self.versions[index])
    }

    /// As [`Secret::version_mut`], for those who know versions by their number: what was never current is not there.
    pub(super) fn released_mut(&mut self, number: u64) -> Option<&mut Version> {
        self.version_mut(number).filter(|version| !version.unreleased)
    }

    /// The number of the current version; 0: there is none.
    #[must_use]
    pub fn current(&self) -> u64 {
        self.staged(CURRENT).map_or(0, |version| version.number)
    }

    /// Whether a field's value in a version is shown to programs alone: the field is restricted, or was so then.
    #[must_use]
    pub fn is_restricted(&self, field: &str, number: u64) -> bool {
        let now = self.marks.get(field).is_some_and(|mark| mark.visibility == Visibility::Restricted);
        now || self.restricted_until.get(field).is_some_and(|last| number <= *last)
    }

    /// Says something else about its fields from the next version on. What was restricted stays so in the versions that
    /// there are.
    pub(super) fn set_marks(&mut self, marks: BTreeMap<String, FieldMark>) {
        let before = std::mem::replace(&mut self.marks, marks);
        let restricted = |mark: Option<&FieldMark>| mark.is_some_and(|mark| mark.visibility == Visibility::Restricted);
        for (field, mark) in before {
            if restricted(Some(&mark)) && !restricted(self.marks.get(&field)) {
                self.restricted_until.insert(field, self.latest);
            }
        }
        let oldest = self.versions.first().map_or(u64::MAX, |version| version.number);
        self.restricted_until.retain(|_, last| *last >= oldest);
    }

    /// The number of the oldest version that is still known; 0: none was pruned yet, as Vault counts.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.versions.first().map(|version| version.number).filter(|number| *number > 1).unwrap_or(0)
    }

    /// Forgets the oldest versions beyond `keep`, and says which. What carries a label stays, but for `previous`.
    pub(super) fn prune(&mut self, keep: u32) -> Vec<u64> {
        let excess = self.versions.len().saturating_sub(keep as usize);
        let gone: Vec<u64> = self
            .versions
            .iter()
            .take(excess)
            .filter(|version| version.stages.iter().all(|stage| stage == PREVIOUS))
            .map(|version| version.number)
            .collect();
        self.versions.retain(|version| !gone.contains(&version.number));
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_versions(count: u64) -> Secret {
        let mut secret = Secret::new(Timestamp::UNIX_EPOCH, "abcdef".into());
        for number in 1..=count {
            assert_eq!(secret.promote_new(format!("id-{number}"), Timestamp::UNIX_EPOCH, None), number);
        }
        secret
    }

    #[test]
    fn a_stage_is_on_one_version() {
        let secret = with_versions(4);
        let labelled: Vec<(u64, &[String])> =
            secret.versions.iter().filter(|v| !v.stages.is_empty()).map(|v| (v.number, v.stages.as_slice())).collect();
        assert_eq!(labelled, [(3, &[PREVIOUS.to_owned()][..]), (4, &[CURRENT.to_owned()][..])]);
    }

    #[test]
    fn pruning_spares_what_is_in_use() {
        let mut secret = with_versions(3);
        secret.versions[0].stages.push(PENDING.into());
        assert_eq!(secret.prune(1), [2]);
        assert_eq!(secret.versions.iter().map(|v| v.number).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn a_field_stays_restricted_in_the_versions_in_which_it_was() {
        let marked = |visibility| BTreeMap::from([("A".to_owned(), FieldMark { visibility, ..FieldMark::default() })]);
        let mut secret = with_versions(2);
        secret.set_marks(marked(Visibility::Restricted));
        assert!([1, 2, 3].iter().all(|number| secret.is_restricted("A", *number)) && !secret.is_restricted("B", 1));
        secret.set_marks(marked(Visibility::Masked));
        secret.promote_new("id-3".into(), Timestamp::UNIX_EPOCH, None);
        assert_eq!([1, 2, 3].map(|number| secret.is_restricted("A", number)), [true, true, false]);
        secret.set_marks(BTreeMap::new());
        assert!(secret.is_restricted("A", 2), "a change of something else forgets nothing");
        secret.prune(1);
        secret.set_marks(marked(Visibility::Masked));
        assert!(secret.restricted_until.is_empty(), "the versions are gone");
    }
}
