//! Cron expressions: the `croner` library's search, on this workspace's time types.

use std::cmp::Ordering;

use croner::{
    CivilDate, CivilDateTime, CivilTime, Cron, CronDateTime, Resolution, Weekday,
    errors::CronError,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    SignedDuration, Timestamp, ZonedDateTime, civil,
    tz::{AmbiguousOffset, TimeZone},
};

/// The two dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Five fields; Sunday is 0 or 7.
    Unix,
    /// AWS's six fields, the year being the last; Sunday is 1, `?` is for what the other field says, `/4` starts at the
    /// field's first value.
    Aws,
}

/// A parsed expression.
#[derive(Debug, Clone)]
pub(super) struct Expression(Cron);

impl Expression {
    /// `None`: it is none, or there is no such day in any year.
    pub(super) fn parse(text: &str, dialect: Dialect) -> Option<Self> {
        let fields = text.split_ascii_whitespace().count();
        let cron = match dialect {
            Dialect::Unix if fields == 5 => {
                CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build().parse(text)
            }
            Dialect::Aws if fields == 6 => CronParser::builder()
                .seconds(Seconds::Required)
                .year(Year::Required)
                .alternative_weekdays(true)
                .sloppy_ranges(true)
                .build()
                .parse(&format!("0 {text}")),
            Dialect::Unix | Dialect::Aws => return None,
        };
        let expression = Self(cron.ok()?);
        expression.next(Timestamp::UNIX_EPOCH, &TimeZone::UTC).is_some().then_some(expression)
    }

    /// The first time after `after`, on the clocks of `zone`. An hour that they skip is made up for right after it, one
    /// that they repeat counts once.
    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let from = Local(after.to_zoned_datetime(zone.clone()));
        self.0.find_next_occurrence(&from, false).ok().map(|found| found.0.timestamp())
    }
}

/// A moment in a time zone, as the search wants it.
#[derive(Clone)]
struct Local(ZonedDateTime);

impl CronDateTime for Local {
    fn to_civil(&self) -> CivilDateTime {
        let at = self.0.datetime();
        let field = |value: i8| u32::from(value.unsigned_abs());
        // The parts are those of a moment that exists.
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(i32::from(at.year()), field(at.month()), field(at.day())),
            CivilTime::from_parts_unchecked(field(at.hour()), field(at.minute()), field(at.second())),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(u32::from(self.0.weekday().to_sunday_zero_offset().unsigned_abs()))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let invalid = |_| CronError::InvalidTime;
        let ambiguous = self.0.time_zone().to_ambiguous_zoned_datetime(to_jiff(civil).ok_or(CronError::InvalidTime)?);
        Ok(match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => Resolution::Single(Self(ambiguous.unambiguous().map_err(invalid)?)),
            AmbiguousOffset::Fold { .. } => Resolution::Ambiguous(
                Self(ambiguous.clone().earlier().map_err(invalid)?),
                Self(ambiguous.later().map_err(invalid)?),
            ),
            AmbiguousOffset::Gap { .. } => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.timestamp().cmp(&other.0.timestamp())
    }
}

fn to_jiff(civil: CivilDateTime) -> Option<civil::DateTime> {
    let field = |value: u32| i8::try_from(value).ok();
    civil::DateTime::new(
        i16::try_from(civil.year()).ok()?,
        field(civil.month())?,
        field(civil.day())?,
        field(civil.hour())?,
        field(civil.minute())?,
        field(civil.second())?,
        0,
    )
    .ok()
}
