//! Listings of all secrets of a mount, page by page: by name straight from the store, by a date through an index in
//! memory.
//!
//! An index is made by the first listing that wants it and follows the store's feed of changes from then on, so that a
//! page costs the same wherever it begins. It holds names and dates, no more; one that nobody has used for ten minutes
//! is dropped.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::Bound,
    sync::Arc,
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::TryRecvError;

use super::{Kv, KvError, Place, Secret};
use crate::{
    barrier::{Barrier, Changes, MacPurpose},
    clock::{SignedDuration, Timestamp},
    door::Permit,
    keys,
    mount::Engine,
    storage::Key,
    store::{PAGE, StoreError},
};

/// Records that are read at a time.
const STEP: usize = 128;
/// How long an index that is not used is kept.
const IDLE: SignedDuration = SignedDuration::from_mins(10);
/// Bytes of the keyed hash in a page token.
const MAC_LEN: usize = 32;

/// By what a listing is sorted; names decide between equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// By name.
    Name,
    /// By the time it was made.
    Created,
    /// By the time it last changed.
    Changed,
    /// By the day of its last read.
    Accessed,
}

/// A place in a listing: behind this secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    at: i64,
    name: String,
}

impl Position {
    /// Behind the entry of that number, in a listing that has numbers.
    #[must_use]
    pub fn behind(number: i64) -> Self {
        Self { at: number, name: String::new() }
    }

    /// The number of [`Position::behind`].
    #[must_use]
    pub fn number(&self) -> i64 {
        self.at
    }
}

/// What a listing does with a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Go on.
    On,
    /// It does not fit any more: the page ends before it.
    StopBefore,
}

/// A page that is wanted.
#[derive(Debug)]
pub struct Browse {
    /// By what.
    pub order: Order,
    /// Whether the last comes first.
    pub descending: bool,
    /// Behind what; `None`: from the start.
    pub after: Option<Position>,
    /// How many secrets are looked at, at the most.
    pub looks: usize,
}

/// The indexes that are in use.
pub(super) struct Orders {
    feed: Changes,
    indexes: HashMap<(String, Order), Index>,
}

struct Index {
    sorted: BTreeSet<(i64, Arc<str>)>,
    at: HashMap<Arc<str>, i64>,
    used: Timestamp,
}

impl Index {
    fn set(&mut self, name: &str, at: Option<i64>) {
        let known = self.at.remove_entry(name);
        let name = match known {
            Some((name, before)) => {
                self.sorted.remove(&(before, Arc::clone(&name)));
                name
            }
            None => Arc::from(name),
        };
        if let Some(at) = at {
            self.sorted.insert((at, Arc::clone(&name)));
            self.at.insert(name, at);
        }
    }

    fn names(&self, after: Option<&Position>, descending: bool, limit: usize) -> Vec<Position> {
        let behind = after.map(|position| (position.at, Arc::from(position.name.as_str())));
        let told = |(at, name): &(i64, Arc<str>)| Position { at: *at, name: (**name).to_owned() };
        match (behind, descending) {
            (None, false) => self.sorted.iter().take(limit).map(told).collect(),
            (None, true) => self.sorted.iter().rev().take(limit).map(told).collect(),
            (Some(behind), false) => {
                self.sorted.range((Bound::Excluded(behind), Bound::Unbounded)).take(limit).map(told).collect()
            }
            (Some(behind), true) => self.sorted.range(..behind).rev().take(limit).map(told).collect(),
        }
    }
}

impl Orders {
    pub(super) fn following(barrier: &dyn Barrier) -> Self {
        Self { feed: barrier.changes(), indexes: HashMap::new() }
    }

    /// The secrets that changed since the last call, by mount. Who has fallen behind starts anew.
    fn drain(&mut self) -> HashSet<(String, String)> {
        let mut changed = HashSet::new();
        loop {
            match self.feed.try_recv() {
                Ok(change) => changed.extend(change.keys.iter().filter_map(secret_of)),
                Err(TryRecvError::Lagged(_)) => self.indexes.clear(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return changed,
            }
        }
    }
}

/// The mount and the name of the secret whose record lies under a key, if it is one.
fn secret_of(key: &Key) -> Option<(String, String)> {
    let text = std::str::from_utf8(key).ok()?.strip_prefix("kv/")?;
    let (mount, name) = text.split_once("/meta/")?;
    (!mount.contains('/')).then(|| (mount.to_owned(), name.to_owned()))
}

fn sort_value(order: Order, secret: &Secret) -> i64 {
    let nanos = |time: Timestamp| i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX);
    match order {
        Order::Name => 0,
        Order::Created => nanos(secret.created),
        Order::Changed => nanos(secret.updated),
        Order::Accessed => i64::from(secret.last_accessed_day),
    }
}

impl Kv {
    /// Shows the secrets of a mount to `visit`, one after the other. Returns where to go on, if there may be more.
    ///
    /// # Errors
    /// When the permit is for something else than listing the whole mount, or the store fails.
    pub async fn browse(
        &self,
        permit: Permit,
        ask: Browse,
        mut visit: impl FnMut(&str, Secret) -> Step + Send,
    ) -> Result<Option<Position>, KvError> {
        if permit.mount().engine != Engine::Kv2 || permit.rest() != "metadata/" {
            return Err(KvError::UnsupportedPath);
        }
        let mount = Arc::clone(permit.mount());
        permit.spend();
        let Browse { order, descending, mut after, mut looks } = ask;
        while looks > 0 {
            let wanted = STEP.min(looks);
            let names = self.names_after(&mount.uuid, order, descending, after.as_ref(), wanted).await?;
            let last_page = names.len() < wanted;
            looks -= names.len().min(looks);
            for position in names {
                let place = Place::new(Arc::clone(&mount), position.name.clone());
                // One that went away meanwhile is passed over.
                if let Some((secret, _)) = self.resolve(&place).await?
                    && visit(&position.name, secret) == Step::StopBefore
                {
                    return Ok(after);
                }
                after = Some(position);
            }
            if last_page {
                return Ok(None);
            }
        }
        Ok(after)
    }

    async fn names_after(
        &self,
        mount: &str,
        order: Order,
        descending: bool,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Position>, StoreError> {
        if order == Order::Name && !descending {
            let prefix = keys::kv_metas(mount);
            let behind = after.map(|position| keys::kv_meta(mount, &position.name));
            let keys = self.store.barrier.keys(&prefix, behind.as_deref(), limit).await?;
            let name = |key: &Key| String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
            return Ok(keys.iter().map(|key| Position { at: 0, name: name(key) }).collect());
        }
        let mut orders = self.orders.lock().await;
        self.follow(&mut orders).await?;
        let key = (mount.to_owned(), order);
        if !orders.indexes.contains_key(&key) {
            let index = self.build_index(mount, order).await?;
            orders.indexes.insert(key.clone(), index);
        }
        let Some(index) = orders.indexes.get_mut(&key) else { return Ok(Vec::new()) };
        index.used = self.store.now();
        Ok(index.names(after, descending, limit))
    }

    async fn build_index(&self, mount: &str, order: Order) -> Result<Index, StoreError> {
        let prefix = keys::kv_metas(mount);
        let mut index = Index { sorted: BTreeSet::new(), at: HashMap::new(), used: self.store.now() };
        let mut after: Option<Key> = None;
        loop {
            let page = self.store.barrier.scan(&prefix, after.as_deref(), PAGE).await?;
            for (key, record) in &page {
                let secret: Secret = crate::codec::decode(&record.plaintext)?;
                index.set(&String::from_utf8_lossy(&key[prefix.len()..]), Some(sort_value(order, &secret)));
            }
            if page.len() < PAGE {
                return Ok(index);
            }
            after = page.into_iter().next_back().map(|(key, _)| key);
        }
    }

    /// Brings the indexes up to date with the store.
    async fn follow(&self, orders: &mut Orders) -> Result<(), StoreError> {
        if orders.indexes.is_empty() {
            // An index that is made from here on needs what changes from here on.
            orders.feed = self.store.barrier.changes();
            return Ok(());
        }
        for (mount, name) in orders.drain() {
            let secret = self.store.read::<Secret>(&keys::kv_meta(&mount, &name)).await?;
            for ((_, order), index) in orders.indexes.iter_mut().filter(|((of, _), _)| *of == mount) {
                index.set(&name, secret.as_ref().map(|seen| sort_value(*order, &seen.value)));
            }
        }
        Ok(())
    }

    /// One round of upkeep of the indexes: what nobody uses goes, the rest follows.
    pub(crate) async fn follow_orders(&self) -> Result<(), StoreError> {
        let mut orders = self.orders.lock().await;
        let now = self.store.now();
        orders.indexes.retain(|_, index| now.duration_since(index.used) < IDLE);
        self.follow(&mut orders).await
    }

    /// A position as text that only this store can make, good for `scope` alone.
    #[must_use]
    pub fn seal_position(&self, scope: &[u8], position: &Position) -> String {
        let mut token = crate::codec::encode(position).map(|text| text.expose_secret().to_vec()).unwrap_or_default();
        let mac = self.position_mac(scope, &token);
        token.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// What [`Kv::seal_position`] made of a position; `None`: it did not, or for another scope.
    #[must_use]
    pub fn open_position(&self, scope: &[u8], token: &str) -> Option<Position> {
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (text, mac) = token.split_at_checked(token.len().checked_sub(MAC_LEN)?)?;
        verify_slices_are_equal(mac, &self.position_mac(scope, text)).ok()?;
        crate::codec::decode(&text.to_vec().into()).ok()
    }

    fn position_mac(&self, scope: &[u8], text: &[u8]) -> crate::barrier::Mac {
        let length = (scope.len() as u64).to_be_bytes();
        self.store.barrier.mac(MacPurpose::Page, &[&length, scope, text])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_keeps_one_place_a_name() {
        let mut index = Index { sorted: BTreeSet::new(), at: HashMap::new(), used: Timestamp::UNIX_EPOCH };
        for (name, at) in [("a", 3), ("b", 1), ("c", 2), ("a", 0)] {
            index.set(name, Some(at));
        }
        index.set("c", None);
        let names = |after: Option<&Position>, descending| -> Vec<String> {
            index.names(after, descending, 10).into_iter().map(|position| position.name).collect()
        };
        assert_eq!(names(None, false), ["a", "b"]);
        assert_eq!(names(None, true), ["b", "a"]);
        assert_eq!(names(Some(&Position { at: 0, name: "a".into() }), false), ["b"]);
        assert_eq!(names(Some(&Position { at: 1, name: "b".into() }), true), ["a"]);
    }

    #[test]
    fn a_key_says_whose_record_it_is() {
        let of = |key: &[u8]| secret_of(&key.to_vec());
        assert_eq!(of(b"kv/uuid/meta/a/meta/b"), Some(("uuid".into(), "a/meta/b".into())));
        assert_eq!(of(b"kv/uuid/data/a\0\0\0\0\0\0\0\0\x01"), None);
        assert_eq!(of(b"token/id/x"), None);
    }
}
