//! When something that comes again is due next: an interval, a cron expression in a time zone, or either as AWS writes
//! them.
//!
//! ```text
//! 24h, 7d                    so long after the last time
//! 30 3 * * 1                 minute hour day month weekday, on the clocks of a time zone
//! rate(10 days)              an interval
//! cron(0 8 1 * ? *)          minute hour day month weekday year; ? L W # as AWS has them; UTC unless a zone is given
//! ```
//!
//! The next time is always worked out from the last one and now, whichever is later. So what was missed while nobody
//! was there is due once, and a clock that is set back makes nothing due twice.

mod cron;

#[cfg(test)]
mod tests;

use jiff::tz::TimeZone;

use crate::{
    clock::{self, Timestamp},
    duration,
};
use cron::{Dialect, Expression};

/// The shortest interval of a rotation, in seconds. Whoever takes a schedule decides: some are kept to shorter ones.
pub const MIN_INTERVAL: u64 = 60;

/// The longest, in seconds: ten years.
pub const MAX_INTERVAL: u64 = 3650 * 24 * 60 * 60;

/// A text that is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Neither form.
    #[error(
        "{text:?} is not a schedule: write an interval (24h), a cron expression of five fields (30 3 * * 1), \
         rate(10 days) or cron(0 8 1 * ? *)"
    )]
    Form {
        /// The text, cut to 64 characters.
        text: String,
    },
    /// Too short or too long.
    #[error("an interval is from 1 minute to 3650 days")]
    Interval,
    /// No zone of that name.
    #[error("{name:?} is no time zone: write a name of the IANA database, for example Europe/Berlin")]
    Zone {
        /// The name, cut to 64 characters.
        name: String,
    },
}

#[derive(Debug, Clone)]
enum Rule {
    Every(u64),
    Cron(Box<Expression>),
}

/// When something is due.
#[derive(Debug, Clone)]
pub struct Schedule {
    rule: Rule,
    zone: TimeZone,
}

impl Schedule {
    /// Reads a schedule. `zone` is an IANA name; empty: UTC. An interval has no use for it.
    ///
    /// # Errors
    /// When the text is no schedule, or the zone unknown.
    pub fn parse(text: &str, zone: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        let cut = |text: &str| text.chars().take(64).collect::<String>();
        let bad = || ScheduleError::Form { text: cut(text) };
        let zone = match zone {
            "" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| ScheduleError::Zone { name: cut(name) })?,
        };
        let rule = if let Some(fields) = inner(text, "cron(") {
            Rule::Cron(Box::new(Expression::parse(fields, Dialect::Aws).ok_or_else(bad)?))
        } else if text.contains(char::is_whitespace) && inner(text, "rate(").is_none() {
            Rule::Cron(Box::new(Expression::parse(text, Dialect::Unix).ok_or_else(bad)?))
        } else {
            let seconds = match inner(text, "rate(") {
                Some(rate) => rate_seconds(rate),
                None => duration::parse_seconds(text).ok(),
            };
            let seconds = seconds.filter(|_| !text.is_empty()).ok_or_else(bad)?;
            if !(1..=MAX_INTERVAL).contains(&seconds) {
                return Err(ScheduleError::Interval);
            }
            Rule::Every(seconds)
        };
        Ok(Self { rule, zone })
    }

    /// The first time after `after`; `None`: there is none any more, as a year has passed or time ends.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Every(seconds) => Some(clock::after(after, *seconds)).filter(|at| *at < Timestamp::MAX),
            Rule::Cron(expression) => expression.next(after, &self.zone),
        }
    }

    /// When it is due after it was last done (or, never done, set up) at `last`, seen from `now`. A time that was missed
    /// is not made up for here: it was due before `now`, and whoever keeps it finds it so.
    #[must_use]
    pub fn next_after(&self, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        self.next(last.max(now))
    }

    /// Seconds of an interval; `None`: a cron expression.
    #[must_use]
    pub fn interval(&self) -> Option<u64> {
        match self.rule {
            Rule::Every(seconds) => Some(seconds),
            Rule::Cron(_) => None,
        }
    }
}

fn inner<'t>(text: &'t str, kind: &str) -> Option<&'t str> {
    text.strip_prefix(kind)?.strip_suffix(')')
}

/// `10 days`.
fn rate_seconds(rate: &str) -> Option<u64> {
    let (count, unit) = rate.split_once(' ')?;
    let unit: u64 = match unit {
        "minute" | "minutes" => 60,
        "hour" | "hours" => 60 * 60,
        "day" | "days" => 24 * 60 * 60,
        _ => return None,
    };
    count.parse::<u64>().ok()?.checked_mul(unit)
}
