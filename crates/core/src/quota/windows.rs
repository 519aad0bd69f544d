//! Requests of one address in one interval, for as many addresses as there is room for.
//!
//! A window begins with an address's first request and is as long as the limit's interval. All windows lie in one
//! table of bounded size. When a part of it is full, windows that have ended go; if none has, a quarter goes, those
//! with the fewest requests first, so that a flood of addresses with few requests each displaces itself and not the
//! count of somebody who asks too much.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use super::Standing;
use crate::clock::Timestamp;

/// Parts of the table, each with a lock of its own.
const SHARDS: usize = 64;
/// Windows of one part at the most: 131,072 in all, which is about 12 MiB.
const SHARD_CAPACITY: usize = 2048;

/// What a limit allows; times in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) most: u64,
    pub(super) interval: u64,
    pub(super) block_interval: u64,
}

/// Times in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Window {
    start: i64,
    end: i64,
    used: u64,
    blocked_until: i64,
}

impl Window {
    fn new(now: i64, interval: u64) -> Self {
        Self { start: now, end: now.saturating_add(millis(interval)), used: 0, blocked_until: i64::MIN }
    }

    /// A clock that was set back ends a window too: it must not hold for longer than its interval.
    fn has_ended(&self, now: i64) -> bool {
        (now >= self.end || now < self.start) && now >= self.blocked_until
    }
}

type Key = (u64, IpAddr);

/// The windows of all limits.
pub(super) struct Windows {
    shards: [Mutex<HashMap<Key, Window>>; SHARDS],
    capacity: usize,
    hasher: RandomState,
}

impl Default for Windows {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), capacity: SHARD_CAPACITY, hasher: RandomState::new() }
    }
}

impl Windows {
    /// Counts one request from `address` against the limit `number`.
    pub(super) fn take(&self, number: u64, address: IpAddr, now: Timestamp, limits: Limits) -> Standing {
        let (key, now) = ((number, address), now.as_millisecond());
        let mut shard = self.shard(&key).lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= self.capacity && !shard.contains_key(&key) {
            make_room(&mut shard, self.capacity, now);
        }
        let window = shard.entry(key).or_insert_with(|| Window::new(now, limits.interval));
        if window.blocked_until > now {
            return standing(false, limits, window, now, window.blocked_until);
        }
        if window.has_ended(now) {
            *window = Window::new(now, limits.interval);
        }
        if window.used < limits.most {
            window.used += 1;
            return standing(true, limits, window, now, now);
        }
        let mut again = window.end;
        if limits.block_interval > 0 {
            window.blocked_until = now.saturating_add(millis(limits.block_interval));
            again = window.blocked_until;
        }
        standing(false, limits, window, now, again)
    }

    /// Forgets the windows of limits that are not among these.
    pub(super) fn keep(&self, numbers: &[u64]) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|(number, _), _| numbers.contains(number));
        }
    }

    fn shard(&self, key: &Key) -> &Mutex<HashMap<Key, Window>> {
        #[allow(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
        let hash = self.hasher.hash_one(key) as usize;
        &self.shards[hash % SHARDS]
    }
}

fn standing(allowed: bool, limits: Limits, window: &Window, now: i64, again: i64) -> Standing {
    Standing {
        allowed,
        limit: limits.most,
        remaining: limits.most - window.used.min(limits.most),
        reset: seconds_until(now, window.end),
        retry_after: seconds_until(now, again),
        told: false,
        audited: false,
    }
}

fn make_room(shard: &mut HashMap<Key, Window>, capacity: usize, now: i64) {
    shard.retain(|_, window| !window.has_ended(now));
    if shard.len() < capacity {
        return;
    }
    let mut order: Vec<_> =
        shard.iter().map(|(key, window)| (window.blocked_until > now, window.used, window.start, *key)).collect();
    order.sort_unstable();
    for (_, _, _, key) in order.into_iter().take((capacity / 4).max(1)) {
        shard.remove(&key);
    }
}

fn millis(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000)
}

/// Rounded up, so that whoever waits that long has waited long enough.
fn seconds_until(now: i64, then: i64) -> u64 {
    u64::try_from(then.saturating_sub(now)).unwrap_or(0).div_ceil(1000)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const LIMITS: Limits = Limits { most: 2, interval: 10, block_interval: 0 };

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).expect("time")
    }

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[test]
    fn a_window_takes_so_many_and_then_none_until_it_ends() {
        let windows = Windows::default();
        let take = |now| windows.take(1, address(1), at(now), LIMITS);
        let first = take(0);
        assert_eq!((first.allowed, first.limit, first.remaining, first.reset), (true, 2, 1, 10));
        assert!(take(1).allowed);
        let third = take(1);
        assert_eq!((third.allowed, third.remaining, third.retry_after), (false, 0, 10));
        assert_eq!(take(9_999).retry_after, 1);
        assert!(!take(9_999).allowed && take(10_000).allowed);
    }

    #[test]
    fn addresses_and_limits_are_counted_apart() {
        let windows = Windows::default();
        for (number, last) in [(1, 1), (1, 2), (2, 1)] {
            assert!(windows.take(number, address(last), at(0), LIMITS).allowed);
            assert!(windows.take(number, address(last), at(0), LIMITS).allowed);
            assert!(!windows.take(number, address(last), at(0), LIMITS).allowed);
        }
        windows.keep(&[2]);
        assert!(windows.take(1, address(1), at(0), LIMITS).allowed);
        assert!(!windows.take(2, address(1), at(0), LIMITS).allowed);
    }

    #[test]
    fn whoever_is_blocked_waits_the_whole_time() {
        let windows = Windows::default();
        let limits = Limits { block_interval: 60, ..LIMITS };
        let take = |now| windows.take(1, address(1), at(now), limits);
        assert!(take(0).allowed && take(0).allowed);
        assert_eq!((take(5_000).allowed, take(20_000).retry_after), (false, 45));
        assert!(!take(64_999).allowed && take(65_000).allowed);
    }

    #[test]
    fn a_clock_set_back_does_not_lock_out() {
        let windows = Windows::default();
        let take = |now| windows.take(1, address(1), at(now), LIMITS).allowed;
        assert!(take(1_000_000) && take(1_000_000) && !take(1_000_000) && take(0));
    }

    #[test]
    fn a_flood_of_addresses_stays_within_the_bound_and_frees_nobody() {
        let windows = Windows { capacity: 8, ..Windows::default() };
        let limits = Limits { most: 5, ..LIMITS };
        for _ in 0..9 {
            windows.take(1, address(1), at(0), limits);
        }
        for index in 0..20_000_u128 {
            windows.take(1, Ipv6Addr::from(index + (1 << 64)).into(), at(1), limits);
        }
        let held: usize = windows.shards.iter().map(|shard| shard.lock().expect("lock").len()).sum();
        assert!(held <= 8 * SHARDS, "{held}");
        assert!(!windows.take(1, address(1), at(2), limits).allowed);
    }
}
