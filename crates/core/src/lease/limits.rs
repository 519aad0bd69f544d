//! How much one target is asked at once, and when it is left alone.
//!
//! A target that does not answer is asked again by one lease at a time, each time later, until it answers; its other
//! leases wait meanwhile and count no failure.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::clock::{self, Timestamp};

/// Revocations under way at one target.
const PER_TARGET: usize = 8;

/// Revocations that are begun at one target within a second.
const PER_SECOND: usize = 500;

/// The longest that a target is left alone, in seconds.
const LONGEST_PAUSE: u64 = 60;

#[derive(Debug, Default)]
pub(super) struct Limits(Mutex<HashMap<String, Load>>);

#[derive(Debug, Default, Clone, Copy)]
struct Load {
    running: usize,
    second: i64,
    begun: usize,
    /// Calls in a row that it did not answer.
    silent: u32,
    until: Option<Timestamp>,
}

/// How a call at a target went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It answered, if only to refuse.
    Answer,
    /// It did not.
    Silence,
}

/// A place at a target, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    limits: Arc<Limits>,
    target: String,
}

impl Turn {
    /// Gives the place back, and says how it went.
    pub(super) fn end(self, heard: Heard, now: Timestamp) {
        self.limits.hear(&self.target, heard, now);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.limits.leave(&self.target);
    }
}

impl Limits {
    /// How many revocations may be begun at a target now.
    pub(super) fn room(&self, target: &str, now: Timestamp) -> usize {
        let loads = self.loads();
        let Some(load) = loads.get(target) else { return PER_TARGET };
        if load.until.is_some_and(|until| now < until) {
            return 0;
        }
        let at_once = if load.silent > 0 { 1 } else { PER_TARGET };
        let begun = if load.second == now.as_second() { load.begun } else { 0 };
        at_once.saturating_sub(load.running).min(PER_SECOND.saturating_sub(begun))
    }

    /// Whether a target is left alone since it did not answer.
    pub(super) fn is_silent(&self, target: &str, now: Timestamp) -> bool {
        self.loads().get(target).is_some_and(|load| load.until.is_some_and(|until| now < until))
    }

    /// How many revocations are under way at a target.
    pub(super) fn running(&self, target: &str) -> usize {
        self.loads().get(target).map_or(0, |load| load.running)
    }

    /// Takes a place at a target, whether or not there is room: who asks by hand does not wait for a storm.
    pub(super) fn begin(self: &Arc<Self>, target: &str, now: Timestamp) -> Turn {
        let mut loads = self.loads();
        let load = loads.entry(target.to_owned()).or_default();
        load.running += 1;
        load.begun = if load.second == now.as_second() { load.begun + 1 } else { 1 };
        load.second = now.as_second();
        Turn { limits: Arc::clone(self), target: target.to_owned() }
    }

    fn leave(&self, target: &str) {
        if let Some(load) = self.loads().get_mut(target) {
            load.running = load.running.saturating_sub(1);
        }
    }

    fn hear(&self, target: &str, heard: Heard, now: Timestamp) {
        let mut loads = self.loads();
        let Some(load) = loads.get_mut(target) else { return };
        match heard {
            Heard::Answer => (load.silent, load.until) = (0, None),
            // Those that were under way together count as one.
            Heard::Silence if load.until.is_none_or(|until| until <= now) => {
                let pause = 1_u64.checked_shl(load.silent).map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE));
                load.silent = load.silent.saturating_add(1);
                load.until = Some(clock::after(now, pause));
            }
            Heard::Silence => {}
        }
    }

    /// Forgets targets at which nothing happens.
    pub(super) fn tidy(&self, now: Timestamp) {
        self.loads().retain(|_, load| load.running > 0 || load.silent > 0 || load.second == now.as_second());
    }

    fn loads(&self) -> MutexGuard<'_, HashMap<String, Load>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn a_target_is_asked_by_so_many_at_once_and_in_a_second() {
        let limits = Arc::new(Limits::default());
        let mut turns: Vec<Turn> = (0..PER_TARGET).map(|_| limits.begin("a", at(1))).collect();
        assert_eq!((limits.room("a", at(1)), limits.running("a")), (0, PER_TARGET));
        assert_eq!(limits.room("b", at(1)), PER_TARGET, "targets do not share");
        for _ in 0..PER_SECOND {
            turns.remove(0).end(Heard::Answer, at(1));
            turns.push(limits.begin("a", at(1)));
        }
        turns.truncate(PER_TARGET - 1);
        assert_eq!((limits.room("a", at(1)), limits.room("a", at(2))), (0, 1));
    }

    #[test]
    fn a_silent_target_is_asked_by_one_at_growing_intervals() {
        let limits = Arc::new(Limits::default());
        let mut now = 0;
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            let (one, other) = (limits.begin("a", at(now)), limits.begin("a", at(now)));
            one.end(Heard::Silence, at(now));
            other.end(Heard::Silence, at(now));
            assert!(limits.is_silent("a", at(now + pause - 1)) && limits.room("a", at(now + pause - 1)) == 0);
            now += pause;
            assert_eq!((limits.is_silent("a", at(now)), limits.room("a", at(now))), (false, 1));
        }
        limits.begin("a", at(now)).end(Heard::Answer, at(now));
        assert_eq!(limits.room("a", at(now)), PER_TARGET);
    }
}
