//! Leases: promises that a credential is good until a time, and that it is taken back then.
//!
//! Two kinds share one tree of ids, in which each lies below the path that issued it:
//!
//! ```text
//! auth/userpass/login/ann / h5d41…          a token that ends: h and its keyed hash, in hex ([`tokens`])
//! database/creds/readonly / kF3aB…          a credential that an engine made: 24 random letters and digits
//! ```
//!
//! A credential lives outside, so each of its steps is written down before it is taken:
//!
//! ```text
//! begin      the intent: a record that will be revoked unless it is confirmed in time ([`issue`])
//!            the engine makes the credential at its target
//! confirm    the outcome; one commit, which fails if the caller's token or the mount is gone. Then it is handed out
//! end        "to be revoked" is written down ([`revoke`])
//!            the engine revokes it at its target
//!            the record is removed
//! ```
//!
//! A crash at any point leaves a record of every credential that may exist, and every record is due at some time. What
//! is due is found by time, target by target, and revoked by workers beside the upkeep (`queue`). A token's leases
//! and those of a mount that is disabled end with it: see `ended`.

mod attempt;
mod census;
mod claims;
mod ended;
mod irrevocable;
mod issue;
mod issuer;
mod ledger;
mod limits;
mod lookup;
mod queue;
mod record;
mod renew;
mod revoke;
mod tokens;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Mutex;

pub use irrevocable::{Irrevocable, IrrevocableCount};
pub use issue::{ACT_SECONDS, NewLease, NotIssued, Pending, Undone};
pub use issuer::{Issuer, IssuerError, Terms};
pub use lookup::Lease;
pub use record::LeaseRecord;
pub use revoke::Forced;

use crate::{
    metrics::{Counter, LeaseStatistics},
    mount::{Engine, Mounts},
    store::{Store, StoreError},
    token::Tokens,
};

/// A lease operation failed.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// No id was given.
    #[error("lease_id must be specified")]
    MissingId,
    /// There is no such lease, or it has ended.
    #[error("invalid lease")]
    Unknown,
    /// There is no such lease to renew.
    #[error("lease not found")]
    NotFound,
    /// It cannot be renewed at all.
    #[error("lease is not renewable")]
    NotRenewable,
    /// It has ended, or is about to.
    #[error("lease expired")]
    Expired,
    /// It has had all the time that it may have.
    #[error("past the max TTL, cannot renew")]
    PastMax,
    /// It is a token's.
    #[error("tokens cannot be renewed through this endpoint")]
    IsToken,
    /// The engine or its target could not renew it; it ends as it would have.
    #[error("failed to renew entry: {0}")]
    NotRenewed(IssuerError),
    /// It is written down to be revoked, and is tried again; its target has not done it yet.
    #[error("failed to revoke {id:?}: {reason}; it is tried again until it succeeds")]
    NotRevoked {
        /// The lease.
        id: String,
        /// Why, without secrets.
        reason: String,
    },
    /// Some of many are still to be revoked.
    #[error(
        "failed to revoke {failed} of the leases under {prefix:?}, first {first}; they are tried again until it succeeds"
    )]
    SomeNotRevoked {
        /// How many.
        failed: usize,
        /// Of which.
        prefix: String,
        /// Why the first one did not.
        first: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is counted of leases, since the store was opened.
#[derive(Debug, Default)]
struct LeaseCounters {
    /// Credentials that were handed out.
    issued: Counter,
    /// Leases that were renewed.
    renewed: Counter,
    /// Credentials that were revoked.
    revoked: Counter,
    /// Attempts to revoke one that failed.
    failures: Counter,
    /// Leases that were dropped by force although their revocation failed.
    forced: Counter,
}

/// All leases.
pub struct Leases {
    store: Arc<Store>,
    tokens: Arc<Tokens>,
    mounts: Arc<Mounts>,
    issuers: RwLock<HashMap<Engine, Arc<dyn Issuer>>>,
    claims: Arc<claims::Claims>,
    limits: Arc<limits::Limits>,
    census: census::Census,
    counters: LeaseCounters,
    /// Paths of mounts that are gone, whose leases are all marked to end.
    left: std::sync::Mutex<HashSet<String>>,
    /// Held by the one who sees to what is due.
    working: Arc<Mutex<()>>,
    /// The store is being sealed: nothing is begun any more.
    closed: AtomicBool,
}

impl Leases {
    /// Opens what is stored. It is counted from then on: what is not counted at once is so in the background.
    pub(crate) async fn open(
        store: Arc<Store>,
        tokens: Arc<Tokens>,
        mounts: Arc<Mounts>,
    ) -> Result<Arc<Self>, StoreError> {
        let leases = Arc::new(Self {
            store,
            tokens,
            mounts,
            issuers: RwLock::default(),
            claims: Arc::default(),
            limits: Arc::default(),
            census: census::Census::default(),
            counters: LeaseCounters::default(),
            left: std::sync::Mutex::default(),
            working: Arc::default(),
            closed: AtomicBool::new(false),
        });
        if !leases.census.count_page(&leases.store).await? {
            leases.count_on();
        }
        Ok(leases)
    }

    /// Names who answers for the credentials of an engine. Until then its leases wait.
    pub fn register(&self, engine: Engine, issuer: Arc<dyn Issuer>) {
        self.issuers.write().unwrap_or_else(PoisonError::into_inner).insert(engine, issuer);
    }

    fn issuer(&self, engine: Engine) -> Option<Arc<dyn Issuer>> {
        self.issuers.read().unwrap_or_else(PoisonError::into_inner).get(&engine).map(Arc::clone)
    }

    /// Ends the work in the background: the store is being sealed. What is under way is finished.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Leases that are to be revoked by now, the seconds for which the oldest has waited, and whether all are counted.
    pub(crate) fn overdue(&self) -> ((u64, u64), bool) {
        self.census.overdue(self.store.now())
    }

    pub(crate) fn statistics(&self) -> LeaseStatistics {
        let (counters, numbers) = (&self.counters, self.census.numbers(self.store.now()));
        let path = |uuid: &str| self.mounts.with_uuid(uuid).map(|mount| mount.path.clone()).unwrap_or_default();
        LeaseStatistics {
            issued: counters.issued.value(),
            renewed: counters.renewed.value(),
            revoked: counters.revoked.value(),
            failures: counters.failures.value(),
            forced: counters.forced.value(),
            active: numbers.active.into_iter().map(|((mount, role), count)| (path(&mount), role, count)).collect(),
            queued: numbers.queued,
            oldest_overdue: numbers.oldest,
            irrevocable: numbers.irrevocable,
        }
    }

    fn count_on(self: &Arc<Self>) {
        let leases = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(leases) = leases.upgrade().filter(|leases| !leases.is_closed()) {
                match leases.census.count_page(&leases.store).await {
                    Ok(false) => tokio::task::yield_now().await,
                    Ok(true) => return,
                    Err(error) => return tracing::warn!(%error, "leases could not be counted; metrics tell too few"),
                }
            }
        });
    }
}
