//! Time comes through one door, so that a test can move it.

use std::sync::{Mutex, PoisonError};

pub use jiff::{SignedDuration, Timestamp};

/// The source of the current time.
pub trait Clock: Send + Sync {
    /// The current time, UTC, to the nanosecond where the system has it.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one home of the wall clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is moved; for tests.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(Mutex::new(start))
    }

    /// Moves the clock forward (or back, with a negative duration). Beyond the representable range it stays.
    pub fn advance(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(later) = now.checked_add(by) {
            *now = later;
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `start` plus `seconds`, held at the end of representable time.
#[must_use]
pub fn after(start: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    start.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// Whole seconds from `now` until `then`, rounded down; zero once it has passed.
#[must_use]
pub fn seconds_until(now: Timestamp, then: Timestamp) -> u64 {
    u64::try_from(then.duration_since(now).as_secs()).unwrap_or(0)
}

/// How records hold times: nanoseconds since 1970 as an `i64`, which reaches to the year 2262; later is held there.
pub(crate) mod nanos {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Timestamp;

    fn to_nanos(time: Timestamp) -> i64 {
        i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
    }

    fn from_nanos(nanos: i64) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        to_nanos(*time).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(from_nanos)
    }

    /// The same for a time that may be absent.
    pub(crate) mod option {
        use super::{Deserialize, Deserializer, Serialize, Serializer, Timestamp, from_nanos, to_nanos};

        #[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
        pub(crate) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
            time.map(to_nanos).serialize(serializer)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
            Ok(Option::<i64>::deserialize(deserializer)?.map(from_nanos))
        }
    }
}
