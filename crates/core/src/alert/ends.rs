//! What ends soon, found in the indexes of ends without reading everything in them.
//!
//! ```text
//! token/expiry/<seconds>/…    lease/due/<target>/<seconds>/…    kv/<uuid>/expiry/<seconds>/…    kv/<uuid>/purge/<seconds>/…
//!
//!      now                        now + within
//!       |  looked at before         |  ahead
//!  -----|---------------------------|------------------> end
//! ```
//!
//! A rule passes over what was made for less than `min_life`, and `min_life` is at least `within`. So what it tells of
//! was in the index before it came within reach: each round reads only what has come within reach since the last one.
//! Of a million tokens that live for an hour none is ever read for a rule of one day. What was found is looked at again
//! in each round, as it may have been renewed or revoked.

use std::collections::{BTreeMap, HashMap};

use super::{
    evaluate::End,
    rules::{Condition, Rule},
};
use crate::{
    clock::Timestamp,
    keys,
    kv::{CURRENT, Secret},
    lease::LeaseRecord,
    mount::{Engine, Mounts},
    storage::Key,
    store::{PAGE, Store, StoreError},
    token::Entry,
};

/// What one look may read, in records.
pub(super) const ROUND: usize = 4096;

/// What is kept in mind for one rule and one index, at the most.
const MAX_WATCHED: usize = 1000;

/// What is known of the ends that rules tell of.
#[derive(Debug, Default)]
pub(super) struct Ends {
    sweeps: HashMap<(String, Key), Sweep>,
}

/// What one rule has seen of one index.
#[derive(Debug, Default)]
struct Sweep {
    /// Everything up to this key has been read.
    upto: Key,
    /// What was found, by its key in the index.
    watched: BTreeMap<Key, End>,
    /// Whether more was found than is kept.
    more: bool,
}

/// An index of ends: a prefix, behind which each key has a second and a name.
struct Index {
    prefix: Key,
    kind: Kind,
}

enum Kind {
    Tokens,
    Leases,
    /// Versions that will be deleted: the mount's uuid and path.
    Versions(String, String),
    /// Secrets that will be gone.
    Secrets(String, String),
}

impl Ends {
    /// Goes on by a round, over at most `budget` records for each rule and index. `partial` learns of conditions of which
    /// not everything is known.
    pub(super) async fn look(
        &mut self,
        store: &Store,
        mounts: &Mounts,
        rules: &[Rule],
        budget: usize,
        mut partial: impl FnMut(Condition),
    ) -> Result<Vec<End>, StoreError> {
        let now = store.now();
        let mut found: BTreeMap<(Condition, Key), End> = BTreeMap::new();
        let mut sweeps = HashMap::new();
        for rule in rules.iter().filter(|rule| rule.condition.has_min_life()) {
            for index in indexes(store, mounts, rule.condition).await? {
                let place = (rule.name.clone(), index.prefix.clone());
                let mut sweep = self.sweeps.remove(&place).unwrap_or_default();
                let is_whole = sweep.go_on(store, rule, &index, now, budget).await?;
                if !is_whole || sweep.more {
                    partial(rule.condition);
                }
                found.extend(sweep.watched.iter().map(|(key, end)| ((rule.condition, key.clone()), end.clone())));
                sweeps.insert(place, sweep);
            }
        }
        self.sweeps = sweeps;
        Ok(found.into_values().collect())
    }
}

impl Sweep {
    /// Whether everything within reach has been read.
    async fn go_on(
        &mut self,
        store: &Store,
        rule: &Rule,
        index: &Index,
        now: Timestamp,
        budget: usize,
    ) -> Result<bool, StoreError> {
        self.look_again(store, rule, index, now).await?;
        let past = at_second(&index.prefix, now.as_second());
        if self.upto < past {
            self.upto = past;
        }
        let reach = i64::try_from(rule.within).unwrap_or(i64::MAX);
        let last = at_second(&index.prefix, now.as_second().saturating_add(reach).saturating_add(1));
        let mut read = 0;
        while self.upto < last {
            let page = store.barrier.keys(&index.prefix, Some(&self.upto), PAGE).await?;
            let is_last = page.len() < PAGE;
            for key in page {
                if key >= last {
                    self.upto = last;
                    return Ok(true);
                }
                if read >= budget {
                    return Ok(false);
                }
                read += 1;
                let end = index.end(store, &key, now).await?;
                if let Some(end) = end.filter(|end| is_long_lived(rule, end)) {
                    if self.watched.len() < MAX_WATCHED {
                        self.watched.insert(key.clone(), end);
                    } else {
                        self.more = true;
                    }
                }
                self.upto = key;
            }
            if is_last {
                self.upto.clone_from(&last);
            }
        }
        Ok(true)
    }

    /// Forgets what has ended, was renewed, or was revoked.
    async fn look_again(
        &mut self,
        store: &Store,
        rule: &Rule,
        index: &Index,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let keys: Vec<Key> = self.watched.keys().cloned().collect();
        for key in keys {
            match index.end(store, &key, now).await?.filter(|end| is_long_lived(rule, end)) {
                Some(end) => _ = self.watched.insert(key, end),
                None => _ = self.watched.remove(&key),
            }
        }
        if self.more && self.watched.len() <= MAX_WATCHED / 2 {
            // What there was no room for is found by looking at everything once more.
            self.more = false;
            self.upto.clear();
        }
        Ok(())
    }
}

fn is_long_lived(rule: &Rule, end: &End) -> bool {
    crate::clock::seconds_until(end.begins, end.ends) >= rule.min_life
}

/// The first key of that second.
fn at_second(prefix: &[u8], second: i64) -> Key {
    [prefix, format!("{:016x}", second.max(0)).as_bytes()].concat()
}

async fn indexes(store: &Store, mounts: &Mounts, condition: Condition) -> Result<Vec<Index>, StoreError> {
    Ok(match condition {
        Condition::TokenExpiring => vec![Index { prefix: keys::TOKEN_EXPIRY.to_vec(), kind: Kind::Tokens }],
        Condition::LeaseExpiring => {
            let targets = store.children(keys::LEASES_DUE).await?;
            let prefix = |target: &String| [keys::LEASES_DUE, target.as_bytes()].concat();
            targets.iter().map(|target| Index { prefix: prefix(target), kind: Kind::Leases }).collect()
        }
        Condition::SecretExpiring => {
            let all = mounts.all();
            let versioned = all.iter().filter(|mount| mount.engine == Engine::Kv2);
            versioned
                .flat_map(|mount| {
                    let (uuid, path) = (mount.uuid.clone(), mount.path.clone());
                    let versions = Kind::Versions(uuid.clone(), path.clone());
                    [
                        Index { prefix: keys::kv_expiries(&uuid), kind: versions },
                        Index { prefix: keys::kv_purges(&uuid), kind: Kind::Secrets(uuid, path) },
                    ]
                })
                .collect()
        }
        _ => Vec::new(),
    })
}

impl Index {
    /// What the note at `key` stands for, if it still does.
    async fn end(&self, store: &Store, key: &[u8], now: Timestamp) -> Result<Option<End>, StoreError> {
        let rest = key.get(self.prefix.len()..).and_then(|rest| std::str::from_utf8(rest).ok());
        let Some((second, name)) = rest.and_then(|rest| rest.split_once('/')) else { return Ok(None) };
        let Ok(second) = i64::from_str_radix(second, 16) else { return Ok(None) };
        let end = match &self.kind {
            Kind::Tokens => of_token(store, name).await?,
            Kind::Leases => of_lease(store, name).await?,
            Kind::Versions(uuid, path) => of_secret(store, uuid, path, name).await?.and_then(|(version, _)| version),
            Kind::Secrets(uuid, path) => of_secret(store, uuid, path, name).await?.and_then(|(_, secret)| secret),
        };
        // The index of leases rounds up.
        Ok(end.filter(|end| end.ends > now && (second - 1..=second).contains(&end.ends.as_second())))
    }
}

async fn of_token(store: &Store, id: &str) -> Result<Option<End>, StoreError> {
    let Some(entry) = store.read::<Entry>(&keys::token(id)).await?.map(|seen| seen.value) else { return Ok(None) };
    let Some(ends) = entry.expires.filter(|_| entry.uses >= 0) else { return Ok(None) };
    Ok(Some(End {
        condition: Condition::TokenExpiring,
        subject: format!("{}/h{id}", entry.path),
        detail: entry.display_name,
        begins: entry.last_renewal.unwrap_or(entry.created),
        ends,
    }))
}

async fn of_lease(store: &Store, id: &str) -> Result<Option<End>, StoreError> {
    let Some(lease) = store.read::<LeaseRecord>(&keys::lease(id)).await?.map(|seen| seen.value) else {
        return Ok(None);
    };
    Ok(lease.is_active().then(|| End {
        condition: Condition::LeaseExpiring,
        subject: lease.id.clone(),
        detail: String::new(),
        begins: lease.last_renewal.unwrap_or(lease.issued),
        ends: lease.expires,
    }))
}

/// The end of the version that readers get, and that of the secret as a whole.
async fn of_secret(
    store: &Store,
    uuid: &str,
    path: &str,
    name: &str,
) -> Result<Option<(Option<End>, Option<End>)>, StoreError> {
    let Some(secret) = store.read::<Secret>(&keys::kv_meta(uuid, name)).await?.map(|seen| seen.value) else {
        return Ok(None);
    };
    let end = |detail: String, begins, ends| End {
        condition: Condition::SecretExpiring,
        subject: format!("{path}{name}"),
        detail,
        begins,
        ends,
    };
    let current = secret.staged(CURRENT).filter(|version| !version.destroyed && secret.recovery.is_none());
    let version = current.and_then(|version| {
        let ends = version.deletion_time?;
        Some(end(format!("version {} is deleted then", version.number), version.created, ends))
    });
    let whole = secret.recovery.as_ref();
    let whole = whole.map(|at| end("it is deleted and can be restored until then".to_owned(), at.deleted, at.until));
    Ok(Some((version, whole)))
}
