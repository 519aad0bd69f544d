//! Consumers: who has read a secret that has a rotation, and which version they read last.
//!
//! A read of such a secret notes it in memory, under one of a few locks that nobody holds for long; secrets without a
//! rotation cost nothing. The upkeep writes what is new down, a record a secret:
//!
//! ```text
//! kv/<uuid>/readers/<name>          Readers, in MessagePack
//! database/<uuid>/readers/<name>    the same, of a static role whose strategy overlaps
//! ```
//!
//! What was noted in the second before a crash is lost. A lost read of the new version only makes a consumer look as if
//! it were behind; one of the version before is covered by the least overlap.
//!
//! A consumer is known by the entity that its token stands for; without one, by its access key, or its token's
//! accessor. Batch tokens without an entity have neither: they count by who issued them.

mod notes;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    barrier::Batch,
    clock::{Timestamp, nanos},
    door::Caller,
    rotation::{Keeper, Site},
    store::{Seen, Store, StoreError},
};
use notes::Notes;

/// Consumers that are remembered of one secret.
pub const MAX_CONSUMERS: usize = 4096;

/// Secrets whose notes one round of upkeep writes down.
const PER_ROUND: usize = 128;

/// One who has read a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// `entity/<id>`, `access-key/<id>`, `accessor/<accessor>` or `batch/<path>/<name>`.
    pub identity: String,
    /// For people.
    pub name: String,
    /// The version that was read last.
    pub version: u64,
    /// When.
    #[serde(with = "nanos")]
    pub at: Timestamp,
    /// From where.
    pub address: Option<IpAddr>,
}

/// Those who have read a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readers {
    /// By identity.
    pub consumers: Vec<Consumer>,
    /// When somebody read it last who is not remembered.
    #[serde(with = "nanos::option")]
    pub incomplete: Option<Timestamp>,
}

impl Readers {
    /// Adds what was noted later.
    fn merge(&mut self, noted: Self) {
        let mut known: BTreeMap<String, Consumer> =
            std::mem::take(&mut self.consumers).into_iter().map(|one| (one.identity.clone(), one)).collect();
        self.incomplete = self.incomplete.max(noted.incomplete);
        for one in noted.consumers {
            match known.get_mut(&one.identity) {
                Some(before) if before.at > one.at => {}
                Some(before) => *before = one,
                None => drop(known.insert(one.identity.clone(), one)),
            }
        }
        self.consumers = known.into_values().collect();
        while self.consumers.len() > MAX_CONSUMERS {
            let oldest = (0..self.consumers.len()).min_by_key(|index| self.consumers[*index].at).unwrap_or(0);
            let gone = self.consumers.swap_remove(oldest);
            self.incomplete = self.incomplete.max(Some(gone.at));
        }
        self.consumers.sort_by(|a, b| a.identity.cmp(&b.identity));
    }
}

/// Who reads, as the door has found out.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) caller: Option<Arc<Caller>>,
    pub(crate) address: Option<IpAddr>,
}

/// All consumers.
pub struct Consumers {
    store: Arc<Store>,
    notes: Notes,
}

impl Consumers {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, notes: Notes::default() }
    }

    /// Notes a read.
    pub(crate) fn note(&self, mount: &str, name: &str, version: u64, reader: &Reader, now: Timestamp) {
        if let Some(caller) = &reader.caller {
            self.notes.add((Keeper::Secret, mount, name), version, caller, reader.address, now);
        }
    }

    /// Notes that the credential of a static role was read.
    pub(crate) fn note_role(&self, site: &Site, version: u64, reader: &Reader, now: Timestamp) {
        if let Some(caller) = &reader.caller {
            self.notes.add((site.keeper, &site.mount, &site.name), version, caller, reader.address, now);
        }
    }

    /// Those who have read a secret, what is not written down yet included.
    pub(crate) async fn of(&self, site: &Site) -> Result<Readers, StoreError> {
        let stored = self.store.read::<Readers>(&site.readers_key()).await?;
        let mut readers = stored.map(|seen| seen.value).unwrap_or_default();
        readers.merge(self.notes.peek(site));
        Ok(readers)
    }

    /// Writes notes down, of some secrets.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        for site in self.notes.noted(PER_ROUND) {
            let key = site.readers_key();
            let _lock = self.store.lock(&key).await;
            // Taken before the write: what comes meanwhile is noted anew. Until it is written, it is kept here too.
            let noted = self.notes.peek(&site);
            let seen = self.store.read::<Readers>(&key).await?;
            let (revision, mut readers) = match seen {
                Some(Seen { revision, value }) => (Some(revision), value),
                None => (None, Readers::default()),
            };
            readers.merge(noted.clone());
            let rotation = site.rotation_key();
            // The rotation may be gone meanwhile, and nothing of it is to come back.
            let Some(seen) = self.store.barrier.get(&rotation).await? else {
                self.notes.forget(&site, None);
                continue;
            };
            let batch = Batch::new()
                .expect(key.clone(), revision)
                .expect(rotation, Some(seen.revision))
                .put(key, Store::encode(&readers)?);
            if matches!(self.store.commit(batch).await?, crate::storage::Commit::Committed(_)) {
                self.notes.forget(&site, Some(&noted));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(identity: &str, version: u64, at: i64) -> Consumer {
        Consumer {
            identity: identity.to_owned(),
            name: String::new(),
            version,
            at: Timestamp::from_second(at).expect("a time"),
            address: None,
        }
    }

    #[test]
    fn the_later_read_counts() {
        let mut readers = Readers { consumers: vec![one("a", 1, 10), one("b", 1, 10)], incomplete: None };
        readers.merge(Readers { consumers: vec![one("a", 2, 11), one("b", 2, 9), one("c", 1, 1)], incomplete: None });
        assert_eq!(readers.consumers, [one("a", 2, 11), one("b", 1, 10), one("c", 1, 1)]);
    }

    #[test]
    fn who_is_forgotten_is_not_taken_for_nobody() {
        let mut readers = Readers::default();
        let count = i64::try_from(MAX_CONSUMERS).expect("small");
        let consumers = (0..=count).map(|number| one(&format!("{number:05}"), 1, number)).collect();
        readers.merge(Readers { consumers, incomplete: None });
        assert_eq!(readers.consumers.len(), MAX_CONSUMERS);
        assert_eq!(readers.incomplete, Some(Timestamp::UNIX_EPOCH));
    }
}
