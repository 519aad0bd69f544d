//! Logins through a browser that are under way. They are kept in memory: each is good once, for a few minutes, and
//! there are so many at the most.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    barrier::Mac,
    clock::{self, Timestamp},
    secret::SecretString,
};

/// How long somebody may take to log in at the provider, in seconds.
const LIFETIME: u64 = 600;
/// Logins under way at the most; the oldest give way.
const CAPACITY: usize = 8192;

/// One login under way.
#[derive(Debug)]
pub(super) struct Flow {
    /// The mount's uuid.
    pub(super) mount: String,
    pub(super) role: String,
    pub(super) redirect_uri: String,
    /// What the ID token must hold, so that it is the answer to this login.
    pub(super) nonce: SecretString,
    /// What the token endpoint is shown, so that a stolen code is of no use (PKCE, RFC 7636).
    pub(super) verifier: SecretString,
    /// What the client must show again; empty: nothing.
    pub(super) client_nonce: SecretString,
}

struct Kept {
    flow: Flow,
    ends: Timestamp,
    /// Grows with each login.
    number: u64,
}

/// All of them, by the keyed hash of their state.
#[derive(Default)]
pub(super) struct Flows(Mutex<(u64, HashMap<Mac, Kept>)>);

impl Flows {
    pub(super) fn begin(&self, state: Mac, flow: Flow, now: Timestamp) {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, flows) = &mut *guard;
        if flows.len() >= CAPACITY {
            make_room(flows, now);
        }
        *number += 1;
        flows.insert(state, Kept { flow, ends: clock::after(now, LIFETIME), number: *number });
    }

    /// Takes a login out: whatever comes of it, its state is used up.
    pub(super) fn take(&self, state: Mac, now: Timestamp) -> Option<Flow> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&state)?;
        (now < kept.ends).then_some(kept.flow)
    }
}

/// Drops what has ended; if that is not enough, the older half.
fn make_room(flows: &mut HashMap<Mac, Kept>, now: Timestamp) {
    flows.retain(|_, kept| now < kept.ends);
    if flows.len() < CAPACITY {
        return;
    }
    let mut numbers: Vec<u64> = flows.values().map(|kept| kept.number).collect();
    let middle = numbers.len() / 2;
    let (_, oldest_kept, _) = numbers.select_nth_unstable(middle);
    let oldest_kept = *oldest_kept;
    flows.retain(|_, kept| kept.number >= oldest_kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(role: &str) -> Flow {
        Flow {
            mount: "mount".into(),
            role: role.into(),
            redirect_uri: String::new(),
            nonce: SecretString::default(),
            verifier: SecretString::default(),
            client_nonce: SecretString::default(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_state_is_good_once_and_not_for_long() {
        let flows = Flows::default();
        flows.begin([1; 32], flow("a"), at(0));
        flows.begin([2; 32], flow("b"), at(0));
        assert_eq!(flows.take([1; 32], at(599)).expect("a login").role, "a");
        assert!(flows.take([1; 32], at(599)).is_none(), "again");
        assert!(flows.take([2; 32], at(600)).is_none(), "too late");
        assert!(flows.take([3; 32], at(0)).is_none(), "invented");
    }

    #[test]
    fn a_flood_stays_within_the_bound_and_the_newest_are_kept() {
        let flows = Flows::default();
        let state = |number: usize| {
            let mut state = [0; 32];
            state[..8].copy_from_slice(&number.to_be_bytes());
            state
        };
        for number in 0..3 * CAPACITY {
            flows.begin(state(number), flow("a"), at(0));
            assert!(flows.0.lock().expect("a lock").1.len() <= CAPACITY);
        }
        assert!(flows.take(state(3 * CAPACITY - 1), at(0)).is_some());
        assert!(flows.take(state(0), at(0)).is_none());
    }
}
