//! How long a token lives: what was asked, within what the mount, the role and the token itself allow.

use crate::{
    clock::{self, Timestamp},
    duration::format_go,
};

/// The bounds of a token's life, in seconds; 0 means "not set".
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bounds {
    /// What it gets if nothing was asked.
    pub(crate) default: u64,
    /// Its longest life, from its creation.
    pub(crate) max: u64,
    /// What each renewal gives a periodic token; `max` then bounds the period, not the life.
    pub(crate) period: u64,
    /// Its longest life, even if it is periodic.
    pub(crate) explicit_max: u64,
}

/// The token has reached its maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PastMax;

/// A granted TTL and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) ttl: u64,
    pub(crate) warning: Option<String>,
}

impl Bounds {
    /// Grants `asked` seconds (0: the default) from `now` to a token that was created at `created`.
    pub(crate) fn grant(&self, asked: u64, created: Timestamp, now: Timestamp) -> Result<Granted, PastMax> {
        let wanted = match (self.period, asked) {
            (0, 0) => self.default,
            (0, asked) => asked,
            (period, _) => period,
        };
        let life = |seconds: u64| clock::seconds_until(now, clock::after(created, seconds));
        let mut cap = if self.period == 0 { life(self.max) } else { self.max };
        if self.explicit_max > 0 {
            cap = cap.min(life(self.explicit_max));
        }
        if cap == 0 {
            return Err(PastMax);
        }
        let ttl = wanted.min(cap);
        let warning = (wanted > cap).then(|| {
            format!(
                "TTL of {:?} exceeded the effective max_ttl of {:?}; TTL value is capped accordingly",
                format_go(wanted),
                format_go(cap)
            )
        });
        Ok(Granted { ttl, warning })
    }
}

/// The smaller of two limits, where 0 means "none".
pub(crate) fn tighter(a: u64, b: u64) -> u64 {
    match (a, b) {
        (0, limit) | (limit, 0) => limit,
        (a, b) => a.min(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BORN: Timestamp = Timestamp::UNIX_EPOCH;

    fn ttl(bounds: Bounds, asked: u64, age: u64) -> Result<u64, PastMax> {
        bounds.grant(asked, BORN, clock::after(BORN, age)).map(|granted| granted.ttl)
    }

    #[test]
    fn asked_within_the_maximum() {
        let bounds = Bounds { default: 60, max: 100, ..Bounds::default() };
        assert_eq!(ttl(bounds, 0, 0), Ok(60));
        assert_eq!(ttl(bounds, 30, 0), Ok(30));
        assert_eq!(ttl(bounds, 300, 0), Ok(100));
        assert_eq!(ttl(bounds, 60, 70), Ok(30));
        assert_eq!(ttl(bounds, 60, 100), Err(PastMax));
    }

    #[test]
    fn a_period_renews_for_ever_unless_an_explicit_maximum_ends_it() {
        let periodic = Bounds { default: 60, max: 100, period: 50, explicit_max: 0 };
        assert_eq!(ttl(periodic, 10, 1_000_000), Ok(50));
        let bounded = Bounds { explicit_max: 70, ..periodic };
        assert_eq!(ttl(bounded, 0, 30), Ok(40));
        assert_eq!(ttl(bounded, 0, 70), Err(PastMax));
    }

    #[test]
    fn the_tighter_limit_ignores_what_is_not_set() {
        assert_eq!((tighter(0, 5), tighter(5, 0), tighter(3, 5), tighter(0, 0)), (5, 5, 3, 0));
    }
}
