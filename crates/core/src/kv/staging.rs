//! Labels and the versions that carry them: each label on one version, whatever happens.

use super::secret::{CURRENT, PREVIOUS, Secret, Version};
use crate::clock::Timestamp;

/// A version to be added to a secret's record.
#[derive(Debug)]
pub(super) struct Added {
    pub(super) id: String,
    pub(super) created: Timestamp,
    pub(super) deletion_time: Option<Timestamp>,
    /// Whether its payload is yet to come.
    pub(super) empty: bool,
}

impl Secret {
    /// The version of that id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }

    /// How many labels there are on all versions.
    #[must_use]
    pub fn count_stages(&self) -> usize {
        self.versions.iter().map(|version| version.stages.len()).sum()
    }

    /// Adds a version and makes it the current one: what was current becomes previous.
    pub(super) fn promote_new(&mut self, id: String, created: Timestamp, deletion_time: Option<Timestamp>) -> u64 {
        self.add(Added { id, created, deletion_time, empty: false }, &[CURRENT.to_owned()])
    }

    /// Adds a version with these labels, which leave the versions that had them.
    pub(super) fn add(&mut self, added: Added, stages: &[String]) -> u64 {
        let Added { id, created, deletion_time, empty } = added;
        self.latest += 1;
        let number = self.latest;
        let version = Version {
            number,
            id,
            created,
            deletion_time,
            destroyed: false,
            stages: Vec::new(),
            unreleased: true,
            empty,
            author: String::new(),
        };
        self.versions.push(version);
        self.updated = created;
        for stage in stages {
            self.put_stage(stage, number);
        }
        number
    }

    /// Says who wrote a version.
    pub(super) fn set_author(&mut self, number: u64, author: String) {
        if let Some(version) = self.version_mut(number) {
            version.author = author;
        }
    }

    /// Gives a version that was kept free its payload's dates and labels.
    pub(super) fn fill(&mut self, number: u64, now: Timestamp, deletion_time: Option<Timestamp>, stages: &[String]) {
        if let Some(version) = self.version_mut(number) {
            version.empty = false;
            version.created = now;
            version.deletion_time = deletion_time;
        }
        for stage in stages {
            self.put_stage(stage, number);
        }
    }

    /// Moves a label to a version. `current` leaves `previous` on the version that it comes from, and a version that it
    /// comes to can be read by everyone from then on.
    pub(super) fn put_stage(&mut self, stage: &str, to: u64) {
        let from = self.staged(stage).map(|version| version.number);
        if from == Some(to) {
            return;
        }
        self.take_stage(stage);
        if let Some(version) = self.version_mut(to) {
            version.stages.push(stage.to_owned());
            version.unreleased &= stage != CURRENT;
        }
        if let (CURRENT, Some(from)) = (stage, from) {
            self.take_stage(PREVIOUS);
            if let Some(version) = self.version_mut(from) {
                version.stages.push(PREVIOUS.to_owned());
            }
        }
    }

    /// Takes a label off the version that has it.
    pub(super) fn take_stage(&mut self, stage: &str) {
        for version in &mut self.versions {
            version.stages.retain(|label| label != stage);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::kv::PENDING;

    const STAGES: [&str; 5] = [CURRENT, PREVIOUS, PENDING, "blue", "green"];

    fn added(id: String) -> Added {
        Added { id, created: Timestamp::UNIX_EPOCH, deletion_time: None, empty: false }
    }

    proptest! {
        /// Whatever is added and moved: no label twice, and what was current before is previous.
        #[test]
        fn a_label_is_on_one_version(steps in prop::collection::vec((any::<bool>(), 0..5_usize, 1..8_u64), 1..40)) {
            let mut secret = Secret::new(Timestamp::UNIX_EPOCH, "abcdef".into());
            secret.promote_new("first".into(), Timestamp::UNIX_EPOCH, None);
            for (index, (add, stage, to)) in steps.into_iter().enumerate() {
                let before = secret.current();
                if add {
                    secret.add(added(format!("id-{index}")), &[STAGES[stage].to_owned()]);
                } else if secret.version(to).is_some() {
                    secret.put_stage(STAGES[stage], to);
                }
                let labels: Vec<&String> = secret.versions.iter().flat_map(|version| &version.stages).collect();
                prop_assert_eq!(labels.iter().collect::<HashSet<_>>().len(), labels.len());
                prop_assert!(secret.current() > 0);
                if secret.current() != before {
                    prop_assert_eq!(secret.staged(PREVIOUS).map(|version| version.number), Some(before));
                }
            }
        }
    }

    #[test]
    fn what_was_never_current_is_not_released() {
        let mut secret = Secret::new(Timestamp::UNIX_EPOCH, "abcdef".into());
        secret.promote_new("one".into(), Timestamp::UNIX_EPOCH, None);
        let two = secret.add(added("two".into()), &[PENDING.to_owned()]);
        assert!(secret.by_id("two").is_some_and(|version| version.unreleased));
        secret.put_stage(CURRENT, two);
        let two = secret.by_id("two").expect("there");
        assert_eq!((two.unreleased, two.stages.as_slice()), (false, &[PENDING.to_owned(), CURRENT.to_owned()][..]));
        assert_eq!(secret.by_id("one").expect("there").stages, [PREVIOUS]);
    }

    #[test]
    fn going_back_swaps_current_and_previous() {
        let mut secret = Secret::new(Timestamp::UNIX_EPOCH, "abcdef".into());
        secret.promote_new("one".into(), Timestamp::UNIX_EPOCH, None);
        secret.promote_new("two".into(), Timestamp::UNIX_EPOCH, None);
        secret.put_stage(CURRENT, 1);
        assert_eq!((secret.current(), secret.staged(PREVIOUS).map(|version| version.number)), (1, Some(2)));
    }
}
