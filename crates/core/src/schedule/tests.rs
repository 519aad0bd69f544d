use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// The next times after `after`.
fn times(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(text, zone).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut last = at(after);
    (0..count)
        .map(|_| {
            last = schedule.next(last).expect("another");
            last.to_string()
        })
        .collect()
}

#[test]
fn schedules_are_read_or_refused() {
    for text in [
        "24h",
        "7d",
        "3600",
        "30 3 * * 1",
        "0 0 L * *",
        "0 9 15W * *",
        "0 9 * * 5L",
        "0 9 * * 1#2",
        "*/5 * * * *",
        "rate(10 days)",
        "rate(1 hour)",
        "cron(0 8 1 * ? *)",
        "cron(0 /4 ? * MON#2 *)",
        "cron(0 8 L * ? *)",
        "cron(0 8 ? * 6L *)",
    ] {
        assert!(Schedule::parse(text, "").is_ok(), "{text}");
    }
    for text in [
        "",
        "daily",
        "0s",
        "-1h",
        "9999999d",
        "* * * *",
        "* * * * * *",
        "61 * * * *",
        "0 0 30 2 *",
        "cron(0 8 * *)",
        "rate(10)",
        "rate(1 week)",
        "rate(0 days)",
        "cron(0 8 1 * ? *",
        "24h 3",
        "@daily",
    ] {
        assert!(Schedule::parse(text, "").is_err(), "{text}");
    }
    assert!(Schedule::parse("30 3 * * *", "Mars/Olympus").is_err());
}

#[test]
fn the_time_zone_is_that_of_the_expression() {
    assert_eq!(times("30 3 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", 1), ["2026-01-01T22:00:00Z"]);
    assert_eq!(times("30 3 * * *", "", "2026-01-01T00:00:00Z", 1), ["2026-01-01T03:30:00Z"]);
}

/// Berlin skips 02:00 to 03:00 on 29 March 2026 and repeats it on 25 October.
#[test]
fn a_skipped_hour_is_made_up_for_and_a_repeated_one_counts_once() {
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
        ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
}

#[test]
fn a_leap_day_comes_every_four_years() {
    assert_eq!(times("0 0 29 2 *", "", "2026-01-01T00:00:00Z", 2), ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]);
    assert_eq!(times("0 0 L 2 *", "", "2028-01-01T00:00:00Z", 1), ["2028-02-29T00:00:00Z"]);
}

#[test]
fn what_aws_writes_means_what_aws_means() {
    // Sunday is 1, Monday 2.
    assert_eq!(times("cron(0 8 ? * 2 *)", "", "2026-01-01T00:00:00Z", 1), ["2026-01-05T08:00:00Z"]);
    assert_eq!(times("cron(0 8 ? * SUN#1 *)", "", "2026-01-05T00:00:00Z", 1), ["2026-02-01T08:00:00Z"]);
    assert_eq!(times("cron(0 8 L * ? *)", "", "2026-02-01T00:00:00Z", 1), ["2026-02-28T08:00:00Z"]);
    // 1 August 2026 is a Saturday: the nearest weekday does not leave the month.
    assert_eq!(times("cron(0 8 1W * ? *)", "", "2026-07-15T00:00:00Z", 1), ["2026-08-03T08:00:00Z"]);
    assert_eq!(times("cron(0 8 ? * 6L *)", "", "2026-01-01T00:00:00Z", 1), ["2026-01-30T08:00:00Z"]);
    assert_eq!(
        times("cron(0 /8 * * ? *)", "", "2026-01-01T00:00:00Z", 3),
        ["2026-01-01T08:00:00Z", "2026-01-01T16:00:00Z", "2026-01-02T00:00:00Z"]
    );
    assert_eq!(times("rate(10 days)", "", "2026-01-01T00:00:00Z", 1), ["2026-01-11T00:00:00Z"]);
    let once = Schedule::parse("cron(0 8 1 1 ? 2030)", "").expect("a schedule");
    assert_eq!(once.next(at("2030-01-01T08:00:00Z")), None);
}

#[test]
fn a_clock_set_back_makes_nothing_due_again() {
    let schedule = Schedule::parse("0 3 * * *", "").expect("a schedule");
    let last = at("2026-01-05T03:00:00Z");
    assert_eq!(schedule.next_after(last, at("2026-01-02T00:00:00Z")), Some(at("2026-01-06T03:00:00Z")));
    // Missed for a week: due once, then at its next time.
    assert_eq!(schedule.next_after(last, at("2026-01-12T10:00:00Z")), Some(at("2026-01-13T03:00:00Z")));
}
