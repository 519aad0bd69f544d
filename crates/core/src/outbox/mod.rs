//! Messages to other systems that must not be lost: each is put into the store in the commit of what it tells of, and is
//! sent until its receiver takes it, or has refused it for too long.
//!
//! ```text
//! outbox/<due>/<uuid>    Delivery; due: seconds since 1970 as 16 hex digits
//! ```
//!
//! A message may come twice, after a crash between its sending and the note of it; each has an id by which a receiver
//! can tell. What is stored holds no secret: who is to get it, and how that one is sure who sent it, is asked for with
//! each attempt.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::{
    barrier::Batch,
    clock::{self, Timestamp, nanos},
    keys,
    metrics::Counter,
    outbound::{Outbound, Request},
    storage::{BoxFuture, Key},
    store::{Store, StoreError},
};

/// Seconds before each further attempt; after the last of them a message is given up.
const PAUSES: [u64; 5] = [5, 30, 120, 600, 3600];
/// Messages that are sent at once.
const AT_ONCE: usize = 16;

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// What kind of receiver it is for.
    pub(crate) channel: String,
    /// Which of them.
    pub(crate) target: String,
    /// A UUID.
    pub(crate) id: String,
    /// The text of a JSON object; no secret.
    pub(crate) body: String,
    /// Attempts so far.
    pub(crate) attempts: u32,
    #[serde(with = "nanos")]
    pub(crate) created: Timestamp,
}

/// Who knows how to reach receivers.
pub(crate) trait Addresses: Send + Sync {
    /// The request that delivers a message; `None`: nobody wants it any more.
    fn address<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Option<Request>, StoreError>>;

    /// Seconds until the next attempt after so many that failed before this one; `None`: the message is given up.
    fn pause(&self, attempts: u32) -> Option<u64> {
        PAUSES.get(usize::try_from(attempts).ok()?).copied()
    }
}

/// What became of messages since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Their receivers took them.
    pub taken: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Messages that were given up.
    pub given_up: u64,
}

#[derive(Debug, Default)]
struct Counters {
    taken: Counter,
    failures: Counter,
    given_up: Counter,
}

/// The messages.
pub(crate) struct Outbox {
    store: Arc<Store>,
    outbound: Arc<dyn Outbound>,
    /// By the kind of receiver.
    addresses: RwLock<HashMap<&'static str, Arc<dyn Addresses>>>,
    counters: Counters,
    busy: AtomicBool,
}

impl Outbox {
    pub(crate) fn new(store: Arc<Store>, outbound: Arc<dyn Outbound>) -> Self {
        let (addresses, counters) = (RwLock::default(), Counters::default());
        Self { store, outbound, addresses, counters, busy: AtomicBool::new(false) }
    }

    /// Names who knows the receivers of a kind.
    pub(crate) fn register(&self, channel: &'static str, addresses: Arc<dyn Addresses>) {
        self.addresses.write().unwrap_or_else(PoisonError::into_inner).insert(channel, addresses);
    }

    pub(crate) fn delivered(&self) -> Delivered {
        let Counters { taken, failures, given_up } = &self.counters;
        Delivered { taken: taken.value(), failures: failures.value(), given_up: given_up.value() }
    }

    /// Adds a message to a commit.
    pub(crate) fn put(&self, batch: Batch, channel: &str, target: &str, body: String) -> Result<Batch, StoreError> {
        let (now, id) = (self.store.now(), self.store.random.uuid()?.to_string());
        let key = keys::outbox(now, &id);
        let (channel, target) = (channel.to_owned(), target.to_owned());
        let delivery = Delivery { channel, target, id, body, attempts: 0, created: now };
        Ok(batch.put(key, Store::encode(&delivery)?))
    }

    /// Sends what is due, unless that is being done already. Nobody waits for it.
    pub(crate) async fn send_due(self: &Arc<Self>) -> Result<(), StoreError> {
        if self.busy.load(Ordering::Acquire) || self.due().await?.is_empty() || self.busy.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let outbox = Arc::clone(self);
        tokio::spawn(async move {
            outbox.send_all().await;
            outbox.busy.store(false, Ordering::Release);
        });
        Ok(())
    }

    async fn due(&self) -> Result<Vec<Key>, StoreError> {
        let now = keys::outbox(clock::after(self.store.now(), 1), "");
        let first = self.store.barrier.keys(keys::OUTBOX, None, AT_ONCE).await?;
        Ok(first.into_iter().filter(|key| *key < now).collect())
    }

    async fn send_all(self: &Arc<Self>) {
        let Ok(due) = self.due().await else { return };
        let mut under_way = JoinSet::new();
        for key in due {
            let outbox = Arc::clone(self);
            under_way.spawn(async move {
                if let Err(error) = outbox.send(key).await {
                    tracing::warn!(%error, "a message could not be taken from the outbox; it is tried again");
                }
            });
        }
        while under_way.join_next().await.is_some() {}
    }

    async fn send(&self, key: Key) -> Result<(), StoreError> {
        let Some(seen) = self.store.read::<Delivery>(&key).await? else { return Ok(()) };
        let mut delivery = seen.value;
        let known = self.addresses.read().unwrap_or_else(PoisonError::into_inner).get(&*delivery.channel).cloned();
        let Some(addresses) = known else { return self.store.delete(key).await };
        let Some(request) = addresses.address(&delivery).await? else { return self.store.delete(key).await };
        let failure = match self.outbound.send(request).await {
            Ok(reply) if (200..300).contains(&reply.status) => {
                self.counters.taken.count();
                return self.store.delete(key).await;
            }
            Ok(reply) => format!("it answered {}", reply.status),
            Err(error) => error.to_string(),
        };
        self.counters.failures.count();
        let Some(pause) = addresses.pause(delivery.attempts) else {
            self.counters.given_up.count();
            let Delivery { channel, target, id, attempts, .. } = &delivery;
            tracing::warn!(channel, target, id, attempts, failure, "a message was given up");
            return self.store.delete(key).await;
        };
        delivery.attempts += 1;
        let later = keys::outbox(clock::after(self.store.now(), pause), &delivery.id);
        self.store.apply(Batch::new().delete(key).put(later, Store::encode(&delivery)?)).await
    }
}
