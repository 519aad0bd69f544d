//! Counters that many threads count on at once, and what the store counts.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::{alert::AlertStatistics, core::Core, door::Permit};

/// Parts of a counter. Threads that share one merely wait for each other's cache line.
pub const STRIPES: usize = 8;

/// The part that the calling thread counts on, below [`STRIPES`].
#[must_use]
pub fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static STRIPE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
    STRIPE.with(|stripe| *stripe)
}

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Part(AtomicU64);

/// A number that only grows. Counting is one addition to memory that seldom anybody else touches.
#[derive(Debug, Default)]
pub struct Counter([Part; STRIPES]);

impl Counter {
    /// Counts one.
    pub fn count(&self) {
        self.add(1);
    }

    /// Counts `number`.
    pub fn add(&self, number: u64) {
        self.0[stripe()].0.fetch_add(number, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.iter().fold(0, |sum, part| sum.wrapping_add(part.0.load(Ordering::Relaxed)))
    }
}

/// What the services of core count, since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) service_tokens: Counter,
    pub(crate) batch_tokens: Counter,
    pub(crate) removed_tokens: Counter,
    pub(crate) rate_limited: Counter,
}

/// What the barrier and the storage below it count, since the process opened them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BarrierStatistics {
    /// Transactions that were applied.
    pub commits: u64,
    /// Transactions that were not, since others had changed what they expected.
    pub conflicts: u64,
    /// Transactions that failed.
    pub failures: u64,
    /// Reads of a record that the cache served.
    pub cache_hits: u64,
    /// Reads of a record that went to storage.
    pub cache_misses: u64,
    /// Sealed bytes in the cache.
    pub cache_bytes: u64,
}

/// What is counted of the leases of credentials. Tokens' leases are counted as tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseStatistics {
    /// Credentials that were handed out.
    pub issued: u64,
    /// Leases that were renewed.
    pub renewed: u64,
    /// Credentials that were revoked.
    pub revoked: u64,
    /// Attempts to revoke one that failed.
    pub failures: u64,
    /// Leases that were dropped by force although their revocation failed.
    pub forced: u64,
    /// Leases in force, by the path of the mount and the role; the largest first. After a start they are counted in the
    /// background.
    pub active: Vec<(String, String, u64)>,
    /// Leases that are to be revoked by now, those that wait for another attempt among them.
    pub queued: u64,
    /// Seconds since the oldest of them was to be revoked.
    pub oldest_overdue: u64,
    /// Leases that could not be revoked.
    pub irrevocable: u64,
}

/// What the store has counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Service tokens that were issued.
    pub service_tokens: u64,
    /// Batch tokens that were issued.
    pub batch_tokens: u64,
    /// Tokens that were revoked or have ended.
    pub removed_tokens: u64,
    /// Requests that a rate limit refused.
    pub rate_limited: u64,
    /// Entries that no audit device took.
    pub audit_failures: u64,
    /// The leases'.
    pub leases: LeaseStatistics,
    /// The alerts', and the rotations'.
    pub alerts: AlertStatistics,
    /// The barrier's.
    pub barrier: BarrierStatistics,
}

impl Core {
    /// What the store has counted.
    #[must_use]
    pub fn statistics(&self, permit: Permit) -> Statistics {
        permit.spend();
        let counters = self.counters();
        Statistics {
            service_tokens: counters.service_tokens.value(),
            batch_tokens: counters.batch_tokens.value(),
            removed_tokens: counters.removed_tokens.value(),
            rate_limited: counters.rate_limited.value(),
            audit_failures: self.audit().failures(),
            leases: self.leases().statistics(),
            alerts: self.alerts().statistics(),
            barrier: self.barrier_statistics(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_together() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..STRIPES * 2 {
                scope.spawn(|| (0..1000).for_each(|_| counter.count()));
            }
        });
        assert_eq!(counter.value(), STRIPES as u64 * 2000);
    }
}
