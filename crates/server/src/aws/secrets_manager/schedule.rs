//! When a secret is to be rotated: the two forms of a schedule, `rate(…)` and `cron(…)`.

use keyturn_core::{
    clock::{SignedDuration, Timestamp},
    kv::RotationSettings,
    schedule::Schedule,
};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// What is wrong with a schedule, if something is.
pub(super) fn check(expression: &str) -> Result<(), &'static str> {
    if let Some(fields) = inner(expression, "cron(") {
        check_cron(fields)?;
        return Schedule::parse(expression, "").map(|_| ()).map_err(|_| "no day and hour fit its fields");
    }
    match period(expression) {
        Some(seconds) if (4 * HOUR..=999 * DAY).contains(&seconds) => Ok(()),
        Some(_) => Err("a rate is from 4 hours to 999 days"),
        None => Err("it is rate(N hours), rate(N days) or cron(0 HOUR DAY MONTH WEEKDAY *)"),
    }
}

/// What is wrong with a window of so many hours (`3h`), if something is. It may reach neither into the next one nor into
/// another day.
pub(super) fn check_window(window: &str, schedule: Option<&str>) -> Result<(), &'static str> {
    let hours = window.strip_suffix('h').and_then(|hours| hours.parse::<i64>().ok());
    let hours = hours.filter(|hours| (1..=24).contains(hours)).ok_or("it is from 1h to 24h")?;
    let Some(schedule) = schedule else { return Ok(()) };
    if period(schedule).is_some_and(|every| hours * HOUR > every) {
        return Err("the window reaches into the next one");
    }
    let fields = inner(schedule, "cron(").unwrap_or_default();
    let start = fields.split_ascii_whitespace().nth(1).and_then(|hour| hour.parse::<i64>().ok());
    if start.is_some_and(|start| start + hours > 24) {
        return Err("the window reaches into the next day");
    }
    Ok(())
}

fn inner<'e>(expression: &'e str, kind: &str) -> Option<&'e str> {
    expression.strip_prefix(kind)?.strip_suffix(')')
}

/// Seconds of a rate.
fn period(expression: &str) -> Option<i64> {
    let (count, unit) = inner(expression, "rate(")?.split_once(' ')?;
    let unit = match unit {
        "hour" | "hours" => HOUR,
        "day" | "days" => DAY,
        _ => return None,
    };
    count.parse::<u16>().ok().filter(|count| *count > 0).map(|count| i64::from(count) * unit)
}

fn check_cron(fields: &str) -> Result<(), &'static str> {
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let [minute, _, day, _, weekday, year] = fields[..] else { return Err("a cron has six fields") };
    if minute != "0" {
        return Err("a cron's minutes must be 0");
    }
    if year != "*" {
        return Err("a cron's year must be *");
    }
    if (day == "?") == (weekday == "?") {
        return Err("exactly one of a cron's day of the month and day of the week must be ?");
    }
    Ok(())
}

/// The next time at which a secret is due; `None`: there is no schedule, or no such time any more.
pub(super) fn next(rotation: &RotationSettings, now: Timestamp) -> Option<Timestamp> {
    let from = rotation.last.or(rotation.since)?;
    let every =
        if rotation.after_days > 0 { Some(i64::from(rotation.after_days) * DAY) } else { period(&rotation.schedule) };
    let Some(every) = every else {
        return Schedule::parse(&rotation.schedule, "").ok()?.next_after(from, now);
    };
    let passed = now.duration_since(from).as_secs().max(0) / every;
    from.checked_add(SignedDuration::from_secs(every.checked_mul(passed + 1)?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_rates_and_crons() {
        for expression in
            ["rate(4 hours)", "rate(1 day)", "rate(10 days)", "cron(0 8 1 * ? *)", "cron(0 /4 ? * MON#2 *)"]
        {
            assert_eq!(check(expression), Ok(()), "{expression}");
        }
        for expression in [
            "",
            "daily",
            "rate(3 hours)",
            "rate(0 days)",
            "rate(1 week)",
            "cron(5 8 1 * ? *)",
            "cron(0 8 1 * * *)",
            "cron(0 8 1 * ? 2030)",
            "cron(0 8)",
            "cron(0 25 1 * ? *)",
            "cron(0 8 30 2 ? *)",
            "cron(0 8 ? * 8 *)",
        ] {
            assert!(check(expression).is_err(), "{expression}");
        }
    }

    #[test]
    fn a_window_ends_before_the_next_one_and_the_day() {
        for (window, schedule, fits) in [
            ("1h", None, true),
            ("24h", None, true),
            ("0h", None, false),
            ("25h", None, false),
            ("4h", Some("rate(4 hours)"), true),
            ("5h", Some("rate(4 hours)"), false),
            ("24h", Some("rate(1 day)"), true),
            ("16h", Some("cron(0 8 1 * ? *)"), true),
            ("17h", Some("cron(0 8 1 * ? *)"), false),
        ] {
            assert_eq!(check_window(window, schedule).is_ok(), fits, "{window} {schedule:?}");
        }
    }

    #[test]
    fn the_next_time_is_in_the_future() {
        let at = |seconds| Timestamp::from_second(seconds).expect("a time");
        let daily = RotationSettings { after_days: 1, since: Some(at(0)), ..RotationSettings::default() };
        assert_eq!(next(&daily, at(10)), Some(at(DAY)));
        assert_eq!(next(&daily, at(DAY)), Some(at(2 * DAY)));
        let cron = RotationSettings {
            schedule: "cron(0 8 1 * ? *)".into(),
            since: Some(at(0)),
            ..RotationSettings::default()
        };
        assert_eq!(next(&cron, at(10)), Some(at(8 * HOUR)));
        assert_eq!(next(&cron, at(8 * HOUR)), Some(at(31 * DAY + 8 * HOUR)));
    }
}
