//! One attempt to revoke one credential, and what is written down of it.

use std::time::Duration;

use super::{
    ACT_SECONDS, IssuerError, Leases,
    limits::{Heard, Turn},
    record::{Change, LeaseRecord, Phase, second_of},
};
use crate::{
    barrier::Batch,
    clock::{self, Timestamp},
    keys,
    storage::{Commit, Key},
    store::{Seen, StoreError},
};

/// Attempts after which a lease is irrevocable, as with Vault.
pub(super) const MAX_ATTEMPTS: u32 = 6;

/// Seconds before the second attempt; each later one waits twice as long.
const FIRST_PAUSE: u64 = 10;

/// The longest that an attempt waits for the next, in seconds.
const LONGEST_PAUSE: u64 = 3600;

/// Seconds between the attempts on an irrevocable lease.
const SELDOM: u64 = 86_400;

/// Why a revocation is attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It is due.
    Due,
    /// Somebody asked for it and waits.
    Asked,
    /// The same, and the lease is to go even if its credential stays.
    Forced,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Came {
    /// There is nothing to do: no such lease, or it is not due.
    Nothing,
    /// The credential is revoked.
    Revoked,
    /// It is not, for this reason; it is tried again.
    Failed(String),
    /// It may not be, but the lease is gone, as was asked.
    Dropped(String),
}

impl Leases {
    /// Revokes a credential at its target, if that is still to be done. The caller has the claim on the lease.
    pub(super) async fn attempt(&self, id: &str, why: Why, turn: Option<Turn>) -> Result<Came, StoreError> {
        let Some(lease) = self.to_be_revoked(id, why).await? else { return Ok(Came::Nothing) };
        let now = self.store.now();
        if why != Why::Due && self.limits.is_silent(&lease.target, now) {
            let reason = "its target did not answer a moment ago".to_owned();
            return if why == Why::Forced { self.drop_lease(id, reason).await } else { Ok(Came::Failed(reason)) };
        }
        let turn = turn.unwrap_or_else(|| self.limits.begin(&lease.target, now));
        let revoked = self.ask_issuer(&lease).await;
        match &revoked {
            Err(IssuerError::Unreachable(_)) => turn.end(Heard::Silence, self.store.now()),
            // The engine may not have come as far as to ask.
            Err(IssuerError::Hopeless(_)) => drop(turn),
            Ok(()) | Err(IssuerError::Failed(_)) => turn.end(Heard::Answer, self.store.now()),
        }
        match revoked {
            Ok(()) => self.note_revoked(id).await,
            Err(error) => {
                self.counters.failures.count();
                if why == Why::Forced {
                    return self.drop_lease(id, error.to_string()).await;
                }
                self.note_failure(id, &error).await?;
                Ok(Came::Failed(error.to_string()))
            }
        }
    }

    /// Removes an index record that leads to no lease that is due then, provided that the lease stays as it was seen:
    /// one that is asked for again at this moment may be due at the same second.
    pub(super) async fn drop_stale(&self, key: Key, id: &str) -> Result<(), StoreError> {
        let seen = self.find(id).await?;
        let due = seen.as_ref().map(|seen| keys::lease_due(&seen.value.target, seen.value.due, id));
        if due.as_ref() == Some(&key) {
            return Ok(());
        }
        let batch = Batch::new().expect(keys::lease(id), seen.map(|seen| seen.revision)).delete(key);
        // Otherwise the next round looks again.
        self.store.commit(batch).await.map(|_| ())
    }

    /// The lease, if it is still to be revoked. An intent that nobody confirmed is ended for good first: who confirms it
    /// now must not succeed.
    async fn to_be_revoked(&self, id: &str, why: Why) -> Result<Option<LeaseRecord>, StoreError> {
        let Some(Seen { value: lease, .. }) = self.find(id).await? else { return Ok(None) };
        let now = self.store.now();
        if why == Why::Due && lease.due > now.as_second() {
            return Ok(None);
        }
        if lease.phase != Phase::Pending {
            return Ok(Some(lease));
        }
        self.change(id, |lease| lease.ended(now, false)).await?;
        Ok(self.find(id).await?.map(|seen| seen.value))
    }

    async fn ask_issuer(&self, lease: &LeaseRecord) -> Result<(), IssuerError> {
        let Some(issuer) = self.issuer(lease.engine) else {
            return Err(IssuerError::Failed(format!("this server has no {} engine", lease.engine.name())));
        };
        let limit = Duration::from_secs(ACT_SECONDS);
        let silent = |_| Err(IssuerError::Unreachable(format!("it did not answer within {ACT_SECONDS} seconds")));
        tokio::time::timeout(limit, issuer.revoke(lease)).await.unwrap_or_else(silent)
    }

    /// Removes the lease of a credential that is revoked. One that was given up while it was made is kept until nobody
    /// can be making it any more, and revoked once more then.
    async fn note_revoked(&self, id: &str) -> Result<Came, StoreError> {
        loop {
            let Some(seen) = self.find(id).await? else { break };
            let (now, settles) = (self.store.now().as_second(), seen.value.settles);
            let change = if seen.value.unsettled && now < settles {
                let waiting = LeaseRecord {
                    phase: Phase::Ending,
                    due: settles,
                    since: settles,
                    attempts: 0,
                    error: String::new(),
                    ..seen.value.clone()
                };
                Change::update(seen, waiting)
            } else {
                Change::remove(seen)
            };
            if let Commit::Committed(_) = self.commit(&[change], Batch::new()).await? {
                break;
            }
        }
        self.counters.revoked.count();
        Ok(Came::Revoked)
    }

    async fn note_failure(&self, id: &str, error: &IssuerError) -> Result<(), StoreError> {
        let draw = u64::from(u32::from_be_bytes(self.store.random.bytes()?));
        let now = self.store.now();
        let noted = self.change(id, |lease| Some(failed(lease, error, now, draw))).await?;
        if let Some(lease) = noted.filter(|lease| lease.is_irrevocable()) {
            tracing::error!(lease = lease.id, attempts = lease.attempts, reason = %error, "a lease is irrevocable");
        }
        Ok(())
    }

    async fn drop_lease(&self, id: &str, reason: String) -> Result<Came, StoreError> {
        while let Some(seen) = self.find(id).await? {
            if let Commit::Committed(_) = self.commit(&[Change::remove(seen)], Batch::new()).await? {
                tracing::warn!(lease = id, reason, "a lease was dropped by force; its credential may still be good");
                self.counters.forced.count();
                break;
            }
        }
        Ok(Came::Dropped(reason))
    }
}

/// The record of a lease whose revocation failed, with the time of the next attempt. `draw` spreads those that failed
/// together.
fn failed(lease: &LeaseRecord, error: &IssuerError, now: Timestamp, draw: u64) -> LeaseRecord {
    let attempts = lease.attempts.saturating_add(1);
    let hopeless = matches!(error, IssuerError::Hopeless(_)) || attempts >= MAX_ATTEMPTS;
    let pause = if hopeless || lease.is_irrevocable() {
        SELDOM
    } else {
        FIRST_PAUSE.checked_shl(attempts - 1).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
    };
    LeaseRecord {
        phase: if hopeless || lease.is_irrevocable() { Phase::Irrevocable } else { Phase::Ending },
        due: second_of(clock::after(now, pause + draw % (pause / 2))),
        attempts,
        error: error.to_string(),
        ..lease.clone()
    }
}
