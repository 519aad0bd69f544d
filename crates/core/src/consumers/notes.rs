//! What was read lately, in memory: mount -> secret -> identity -> the last read. Looking up costs no allocation once a
//! consumer is known.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Consumer, MAX_CONSUMERS, Readers};
use crate::{
    clock::Timestamp,
    door::Caller,
    rotation::{Keeper, Site},
};

/// Locks that the secrets share.
const SHARDS: usize = 16;

#[derive(Debug, Clone)]
struct Last {
    version: u64,
    at: Timestamp,
    address: Option<IpAddr>,
    name: String,
}

/// Kinds of identities, each with its own names.
type OfSecret = HashMap<Kind, HashMap<String, Last>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Entity,
    AccessKey,
    Accessor,
    Batch,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Entity => "entity/",
            Self::AccessKey => "access-key/",
            Self::Accessor => "accessor/",
            Self::Batch => "batch/",
        }
    }
}

/// Of one secret: who has read it, and when somebody did who was not noted.
#[derive(Debug, Default)]
struct Noted {
    keeper: Keeper,
    readers: OfSecret,
    count: usize,
    incomplete: Option<Timestamp>,
}

type Shard = HashMap<String, HashMap<String, Noted>>;

pub(super) struct Notes {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

impl Default for Notes {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl Notes {
    fn shard(&self, name: &str) -> MutexGuard<'_, Shard> {
        #[allow(clippy::cast_possible_truncation, reason = "a hash is cut on purpose")]
        let slot = self.hasher.hash_one(name) as usize % SHARDS;
        self.shards[slot].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(
        &self,
        (keeper, mount, name): (Keeper, &str, &str),
        version: u64,
        caller: &Caller,
        address: Option<IpAddr>,
        now: Timestamp,
    ) {
        let entry = caller.entry();
        let batch;
        let (kind, identity) = if !entry.entity_id.is_empty() {
            (Kind::Entity, entry.entity_id.as_str())
        } else if let Some(key) = &entry.access_key {
            (Kind::AccessKey, key.as_str())
        } else if !entry.accessor.is_empty() {
            (Kind::Accessor, entry.accessor.as_str())
        } else {
            batch = format!("{}/{}", entry.path, entry.display_name);
            (Kind::Batch, batch.as_str())
        };
        let mut shard = self.shard(name);
        let noted = noted(&mut shard, mount, name);
        noted.keeper = keeper;
        if let Some(last) = noted.readers.get_mut(&kind).and_then(|readers| readers.get_mut(identity)) {
            (last.version, last.at, last.address) = (version, now, address);
        } else if noted.count >= MAX_CONSUMERS {
            noted.incomplete = Some(now);
        } else {
            noted.count += 1;
            let last = Last { version, at: now, address, name: entry.display_name.clone() };
            noted.readers.entry(kind).or_default().insert(identity.to_owned(), last);
        }
    }

    /// What is noted of a secret.
    pub(super) fn peek(&self, site: &Site) -> Readers {
        let shard = self.shard(&site.name);
        let Some(noted) = shard.get(&site.mount).and_then(|names| names.get(&site.name)) else {
            return Readers::default();
        };
        let all =
            noted.readers.iter().flat_map(|(kind, readers)| readers.iter().map(move |(id, last)| (kind, id, last)));
        let consumers = all.map(|(kind, id, last)| Consumer {
            identity: format!("{}{id}", kind.prefix()),
            name: last.name.clone(),
            version: last.version,
            at: last.at,
            address: last.address,
        });
        Readers { consumers: consumers.collect(), incomplete: noted.incomplete }
    }

    /// Secrets with notes, some of them.
    pub(super) fn noted(&self, limit: usize) -> Vec<Site> {
        let mut sites = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for (mount, names) in shard.iter() {
                let site = |(name, noted): (&String, &Noted)| Site {
                    keeper: noted.keeper,
                    mount: mount.clone(),
                    name: name.clone(),
                };
                sites.extend(names.iter().map(site));
            }
            if sites.len() >= limit {
                sites.truncate(limit);
                break;
            }
        }
        sites
    }

    /// Forgets what is as it was written down; all of it, if nothing was.
    pub(super) fn forget(&self, site: &Site, written: Option<&Readers>) {
        let mut shard = self.shard(&site.name);
        let Some(names) = shard.get_mut(&site.mount) else { return };
        let Some(noted) = names.get_mut(&site.name) else { return };
        let Some(written) = written else {
            names.remove(&site.name);
            return;
        };
        for (kind, readers) in &mut noted.readers {
            let is_written = |id: &str, last: &Last| {
                written.consumers.iter().any(|one| {
                    one.at == last.at
                        && one.version == last.version
                        && one.identity.strip_prefix(kind.prefix()) == Some(id)
                })
            };
            readers.retain(|id, last| !is_written(id, last));
        }
        noted.count = noted.readers.values().map(HashMap::len).sum();
        if noted.incomplete == written.incomplete {
            noted.incomplete = None;
        }
        if noted.count == 0 && noted.incomplete.is_none() {
            names.remove(&site.name);
        }
    }
}

fn noted<'s>(shard: &'s mut Shard, mount: &str, name: &str) -> &'s mut Noted {
    if !shard.get(mount).is_some_and(|names| names.contains_key(name)) {
        shard.entry(mount.to_owned()).or_default().entry(name.to_owned()).or_default();
    }
    shard.entry(mount.to_owned()).or_default().entry(name.to_owned()).or_default()
}
