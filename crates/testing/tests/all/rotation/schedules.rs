//! Schedules as the machine keeps them, on a clock that is moved by hand: each time fires once, whatever the clocks of a
//! time zone, the calendar or the machine do.

use keyturn_core::{
    clock::{SignedDuration, Timestamp},
    rotation::{Phase, Settings, Strategy},
};

use super::world::{World, settings};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A secret that is rotated as `change` says, set up at `start`.
async fn since(start: &str, change: impl FnOnce(&mut Settings)) -> World {
    let world = World::new().await;
    let start: Timestamp = start.parse().expect("a time");
    world.clock.advance(start.duration_since(now(&world)));
    let mut settings = settings(Strategy::Generated);
    change(&mut settings);
    world.configure(settings).await.expect("set up");
    world.finish().await;
    assert_eq!(world.view().await.rotation.count, 1, "the first value");
    world
}

fn now(world: &World) -> Timestamp {
    keyturn_core::clock::Clock::now(&*world.clock)
}

/// Lets time pass in steps, and notes when a rotation was seen to have come about. More than one at once is an error.
async fn fired(world: &World, step: i64, until: &str) -> Vec<String> {
    let until: Timestamp = until.parse().expect("a time");
    let (mut seen, mut count) = (Vec::new(), world.view().await.rotation.count);
    while now(world) < until {
        world.pass(step).await;
        let rotation = world.view().await.rotation;
        assert_eq!(rotation.phase, Phase::Idle, "{rotation:?}");
        assert!(rotation.count <= count + 1, "twice at {}", now(world));
        if rotation.count > count {
            seen.push(now(world).to_string());
        }
        count = rotation.count;
    }
    assert_eq!(world.secret().await.versions.last().map(|version| version.number), Some(count));
    seen
}

fn nightly(settings: &mut Settings) {
    (settings.schedule, settings.zone) = ("30 2 * * *".to_owned(), "Europe/Berlin".to_owned());
}

/// Berlin skips 02:00 to 03:00 on 29 March 2026.
#[tokio::test]
async fn an_hour_that_clocks_skip_fires_once_right_after_it() {
    let world = since("2026-03-28T00:00:00Z", nightly).await;
    assert_eq!(
        fired(&world, 15 * MINUTE, "2026-03-31T00:00:00Z").await,
        ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
}

/// Berlin repeats 02:00 to 03:00 on 25 October 2026.
#[tokio::test]
async fn an_hour_that_clocks_repeat_fires_once() {
    let world = since("2026-10-24T12:00:00Z", nightly).await;
    assert_eq!(
        fired(&world, 15 * MINUTE, "2026-10-27T00:00:00Z").await,
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
}

/// The server's clock is set back into an hour that the clocks on the wall repeat as well.
#[tokio::test]
async fn a_clock_set_back_in_a_repeated_hour_fires_nothing_again() {
    let world = since("2026-10-24T12:00:00Z", nightly).await;
    assert_eq!(fired(&world, 15 * MINUTE, "2026-10-25T00:45:00Z").await, ["2026-10-25T00:30:00Z"]);
    world.clock.advance(SignedDuration::from_hours(-1));
    assert_eq!(fired(&world, 5 * MINUTE, "2026-10-26T02:00:00Z").await, ["2026-10-26T01:30:00Z"]);
}

#[tokio::test]
async fn a_leap_day_fires_in_leap_years() {
    let world = since("2027-01-01T00:00:00Z", |settings| settings.schedule = "0 12 29 2 *".to_owned()).await;
    assert_eq!(fired(&world, DAY / 2, "2032-03-01T00:00:00Z").await, ["2028-02-29T12:00:00Z", "2032-02-29T12:00:00Z"]);
}

#[tokio::test]
async fn the_last_day_of_a_month_fires_on_each_of_them() {
    let world = since("2028-01-15T00:00:00Z", |settings| settings.schedule = "cron(0 12 L * ? *)".to_owned()).await;
    assert_eq!(
        fired(&world, DAY / 2, "2028-05-01T00:00:00Z").await,
        ["2028-01-31T12:00:00Z", "2028-02-29T12:00:00Z", "2028-03-31T12:00:00Z", "2028-04-30T12:00:00Z"]
    );
}

#[tokio::test]
async fn an_interval_counts_from_the_last_rotation_and_what_was_missed_fires_once() {
    let mut world = since("2026-01-01T00:00:00Z", |settings| settings.schedule = "rate(2 days)".to_owned()).await;
    // Nobody is there for nine days.
    world.clock.advance(SignedDuration::from_hours(9 * 24));
    world.restart().await;
    assert_eq!(
        fired(&world, 6 * HOUR, "2026-01-15T00:00:00Z").await,
        ["2026-01-10T06:00:00Z", "2026-01-12T06:00:00Z", "2026-01-14T06:00:00Z"]
    );
}

#[tokio::test]
async fn windows_that_pass_while_nobody_is_there_are_not_made_up_for() {
    let change = |settings: &mut Settings| {
        (settings.schedule, settings.window) = ("cron(0 8 * * ? *)".to_owned(), 2 * 60 * 60);
    };
    let mut world = since("2026-01-01T00:00:00Z", change).await;
    // Three windows pass, and of the fourth the first hour.
    world.clock.advance(SignedDuration::from_hours(3 * 24 + 9));
    world.restart().await;
    world.finish().await;
    assert_eq!(world.view().await.rotation.count, 2, "the fourth is open still");
    assert_eq!(fired(&world, 30 * MINUTE, "2026-01-06T00:00:00Z").await, ["2026-01-05T08:00:00Z"]);
    // Three days later, between two windows.
    world.clock.advance(SignedDuration::from_hours(3 * 24));
    world.restart().await;
    assert_eq!(fired(&world, 30 * MINUTE, "2026-01-10T00:00:00Z").await, ["2026-01-09T08:00:00Z"]);
}

#[tokio::test]
async fn jitter_moves_a_time_within_its_bound_and_fires_once_each() {
    let change = |settings: &mut Settings| {
        nightly(settings);
        (settings.jitter, settings.window) = (30 * 60, 60 * 60);
    };
    let world = since("2026-03-28T00:00:00Z", change).await;
    let seen = fired(&world, MINUTE, "2026-03-30T02:00:00Z").await;
    let due = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
    assert_eq!(seen.len(), due.len(), "{seen:?}");
    for (seen, due) in seen.iter().zip(due) {
        let [seen, due] = [seen.as_str(), due].map(|text| text.parse::<Timestamp>().expect("a time"));
        assert!((0..=31 * MINUTE).contains(&seen.duration_since(due).as_secs()), "{seen} {due}");
    }
}

/// The clock runs ahead by a day while a rotation is due, and is set right again afterwards.
#[tokio::test]
async fn a_clock_that_ran_ahead_costs_no_rotation_and_adds_none() {
    let world = since("2026-01-01T00:00:00Z", |settings| settings.schedule = "0 3 * * *".to_owned()).await;
    assert_eq!(fired(&world, HOUR, "2026-01-02T00:00:00Z").await.len(), 1);
    world.pass(30 * HOUR).await;
    assert_eq!(world.view().await.rotation.count, 3, "what is due by that clock");
    world.clock.advance(SignedDuration::from_hours(-30));
    // 2 January, 03:00 was made up for in advance, and so was nothing else.
    assert_eq!(fired(&world, HOUR, "2026-01-05T00:00:00Z").await, ["2026-01-04T03:00:00Z"]);
}

/// Two nodes whose clocks are one, at the very second.
#[tokio::test]
async fn two_nodes_fire_once() {
    let world = since("2026-01-01T00:00:00Z", |settings| settings.schedule = "0 3 * * *".to_owned()).await;
    let other = world.another_node().await;
    for day in 1..=3 {
        world.clock.advance(SignedDuration::from_secs(if day == 1 { 3 * HOUR } else { DAY }));
        for _ in 0..4 {
            tokio::join!(world.tend(), other.tend());
        }
        assert_eq!(world.view().await.rotation.count, 1 + day);
    }
    assert_eq!(world.secret().await.versions.len(), 4);
}
