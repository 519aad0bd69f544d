//! Lockout: whoever fails to log in too often in a row is refused for a while, even with the right secret.
//!
//! Kept in memory, as a restart takes longer than it saves an attacker. Names that do not exist are counted like
//! those that do: otherwise a lockout would tell which is which.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    clock::{self, Clock, Timestamp},
    mount::{LockoutConfig, Mount},
};

/// Names whose failures are remembered at the most, per auth method.
const CAPACITY: usize = 65_536;

/// Failed logins in a row.
struct Failures {
    count: u32,
    last: Timestamp,
    /// From when on they say nothing any more.
    stale: Timestamp,
}

/// The failed logins of one auth method, by mount accessor and name.
pub(super) struct Lockouts {
    clock: Arc<dyn Clock>,
    capacity: usize,
    failures: Mutex<HashMap<(String, String), Failures>>,
}

impl Lockouts {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, capacity: CAPACITY, failures: Mutex::default() }
    }

    /// Whether `name` is refused now, whatever it presents.
    pub(super) fn is_locked(&self, mount: &Mount, name: &str) -> bool {
        let Some(config) = config_of(mount) else { return false };
        let failures = self.failures();
        failures.get(&key(mount, name)).is_some_and(|failures| {
            failures.count >= config.threshold && self.clock.now() < clock::after(failures.last, config.duration)
        })
    }

    /// Counts a failed login. A count that rested long enough starts anew.
    pub(super) fn record_failure(&self, mount: &Mount, name: &str) {
        let Some(config) = config_of(mount) else { return };
        let now = self.clock.now();
        let stale = clock::after(now, config.duration.max(config.counter_reset));
        let mut failures = self.failures();
        let key = key(mount, name);
        if let Some(known) = failures.get_mut(&key) {
            let rested = now > clock::after(known.last, config.counter_reset);
            let count = if rested { 1 } else { known.count.saturating_add(1) };
            *known = Failures { count, last: now, stale };
            return;
        }
        if failures.len() >= self.capacity {
            make_room(&mut failures, self.capacity, now);
        }
        failures.insert(key, Failures { count: 1, last: now, stale });
    }

    /// Forgets the failures of `name`, after it logged in.
    pub(super) fn forget(&self, mount: &Mount, name: &str) {
        self.failures().remove(&key(mount, name));
    }

    /// Who is refused now, with the mount's accessor; sorted.
    pub(super) fn locked(&self, mounts: &[Arc<Mount>]) -> Vec<(String, String)> {
        let configs: HashMap<&str, LockoutConfig> =
            mounts.iter().filter_map(|mount| Some((mount.accessor.as_str(), config_of(mount)?))).collect();
        let now = self.clock.now();
        let is_locked = |accessor: &str, failures: &Failures| {
            configs.get(accessor).is_some_and(|config| {
                failures.count >= config.threshold && now < clock::after(failures.last, config.duration)
            })
        };
        let failures = self.failures();
        let mut locked: Vec<_> =
            failures.iter().filter(|(key, known)| is_locked(&key.0, known)).map(|(key, _)| key.clone()).collect();
        locked.sort_unstable();
        locked
    }

    /// Forgets the failures of a name, by the mount's accessor.
    pub(super) fn unlock(&self, accessor: &str, name: &str) {
        self.failures().remove(&(accessor.to_owned(), name.to_owned()));
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<(String, String), Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops what is stale. If that is not enough, drops a quarter: the fewest failures first, then the oldest. A flood
/// of invented names, each with few failures, thus displaces itself and not a name under attack.
fn make_room(failures: &mut HashMap<(String, String), Failures>, capacity: usize, now: Timestamp) {
    failures.retain(|_, known| now < known.stale);
    if failures.len() < capacity {
        return;
    }
    let mut order: Vec<_> = failures.iter().map(|(key, known)| (known.count, known.last, key.clone())).collect();
    let quarter = (capacity / 4).max(1);
    order.sort_unstable();
    for (_, _, key) in order.into_iter().take(quarter) {
        failures.remove(&key);
    }
}

fn key(mount: &Mount, name: &str) -> (String, String) {
    (mount.accessor.clone(), name.to_owned())
}

/// What holds for a mount; `None`: nobody is locked out. A 0 stands for Vault's default.
fn config_of(mount: &Mount) -> Option<LockoutConfig> {
    let given = mount.config.user_lockout.unwrap_or_default();
    let default = LockoutConfig::default();
    (!given.disabled).then_some(LockoutConfig {
        threshold: if given.threshold == 0 { default.threshold } else { given.threshold },
        duration: if given.duration == 0 { default.duration } else { given.duration },
        counter_reset: if given.counter_reset == 0 { default.counter_reset } else { given.counter_reset },
        disabled: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{ManualClock, SignedDuration},
        login::issue::tests::mount,
    };

    fn lockouts() -> (Lockouts, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        (Lockouts::new(clock.clone()), clock)
    }

    fn fail(lockouts: &Lockouts, mount: &Mount, name: &str, times: u32) {
        for _ in 0..times {
            lockouts.record_failure(mount, name);
        }
    }

    #[test]
    fn the_fifth_failure_locks_for_a_quarter_of_an_hour() {
        let (lockouts, clock) = lockouts();
        let mount = mount();
        fail(&lockouts, &mount, "ann", 4);
        assert!(!lockouts.is_locked(&mount, "ann"));
        fail(&lockouts, &mount, "ann", 1);
        assert!(lockouts.is_locked(&mount, "ann"));
        assert!(!lockouts.is_locked(&mount, "bob"));
        clock.advance(SignedDuration::from_secs(899));
        assert!(lockouts.is_locked(&mount, "ann"));
        clock.advance(SignedDuration::from_secs(1));
        assert!(!lockouts.is_locked(&mount, "ann"));
    }

    #[test]
    fn those_locked_are_listed_until_they_are_unlocked() {
        let (lockouts, clock) = lockouts();
        let (mount, known) = (mount(), [Arc::new(mount())]);
        fail(&lockouts, &mount, "bob", 5);
        fail(&lockouts, &mount, "ann", 5);
        fail(&lockouts, &mount, "eve", 4);
        let locked = |name: &str| (mount.accessor.clone(), name.to_owned());
        assert_eq!(lockouts.locked(&known), [locked("ann"), locked("bob")]);
        lockouts.unlock(&mount.accessor, "ann");
        assert_eq!(lockouts.locked(&known), [locked("bob")]);
        assert!(!lockouts.is_locked(&mount, "ann"));
        assert!(lockouts.locked(&[]).is_empty());
        clock.advance(SignedDuration::from_secs(900));
        assert!(lockouts.locked(&known).is_empty());
    }

    #[test]
    fn a_login_forgets_and_so_does_a_rest() {
        let (lockouts, clock) = lockouts();
        let mount = mount();
        fail(&lockouts, &mount, "ann", 4);
        lockouts.forget(&mount, "ann");
        fail(&lockouts, &mount, "ann", 4);
        clock.advance(SignedDuration::from_secs(901));
        fail(&lockouts, &mount, "ann", 4);
        assert!(!lockouts.is_locked(&mount, "ann"));
        fail(&lockouts, &mount, "ann", 1);
        assert!(lockouts.is_locked(&mount, "ann"));
    }

    #[test]
    fn a_mount_sets_its_own_bounds_and_is_apart_from_others() {
        let (lockouts, clock) = lockouts();
        let (mut strict, mut other) = (mount(), mount());
        strict.config.user_lockout = Some(LockoutConfig { threshold: 2, duration: 10, ..LockoutConfig::default() });
        other.accessor = "auth_userpass_2".into();
        fail(&lockouts, &strict, "ann", 2);
        assert!(lockouts.is_locked(&strict, "ann") && !lockouts.is_locked(&other, "ann"));
        clock.advance(SignedDuration::from_secs(10));
        assert!(!lockouts.is_locked(&strict, "ann"));
        strict.config.user_lockout = Some(LockoutConfig { disabled: true, ..LockoutConfig::default() });
        fail(&lockouts, &strict, "ann", 9);
        assert!(!lockouts.is_locked(&strict, "ann"));
    }

    #[test]
    fn a_flood_of_names_stays_within_the_bound_and_unlocks_nobody() {
        let (mut lockouts, _) = lockouts();
        lockouts.capacity = 8;
        let mount = mount();
        fail(&lockouts, &mount, "ann", 5);
        for index in 0..100 {
            fail(&lockouts, &mount, &format!("invented-{index}"), 1);
        }
        assert!(lockouts.failures().len() <= 8);
        assert!(lockouts.is_locked(&mount, "ann"));
    }
}
