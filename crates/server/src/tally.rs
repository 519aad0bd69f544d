//! Requests of services whose operations are a closed list: counted by operation and class of status, with how long
//! they took. What a client sends adds no series.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use hyper::StatusCode;
use keyturn_core::metrics::{Counter, STRIPES, stripe};

/// Classes of status, by their first digit; the first stands for all others.
pub(crate) const CLASSES: [&str; 4] = ["other", "2xx", "4xx", "5xx"];

/// Upper bounds of the histogram's buckets, in microseconds; beyond the last one there is one more.
pub(crate) const BUCKETS: [u64; 12] =
    [25, 50, 100, 250, 500, 1_000, 5_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000];

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The service.
    pub(crate) service: &'static str,
    /// Its operation.
    pub(crate) operation: &'static str,
}

/// The numbers of one operation on one stripe.
#[derive(Default)]
struct Cell {
    classes: [AtomicU64; CLASSES.len()],
    buckets: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
}

/// The sum of an operation's cells.
pub(crate) struct Row {
    pub(crate) counted: Counted,
    /// As [`CLASSES`].
    pub(crate) classes: [u64; CLASSES.len()],
    /// As [`BUCKETS`], each with what is not above it and above the one before; the last: above all.
    pub(crate) buckets: [u64; BUCKETS.len() + 1],
    pub(crate) micros: u64,
}

/// The requests since the process began.
pub(crate) struct Tally {
    operations: Vec<Counted>,
    stripes: Vec<Vec<Cell>>,
    begun: Counter,
    ended: Counter,
}

/// A request at work. Dropped without an answer it counts no more, as one whose client went away.
pub(crate) struct AtWork<'a> {
    tally: &'a Tally,
    since: Instant,
}

impl Tally {
    /// Counts these operations. Of operations that are not among them there is the first.
    pub(crate) fn new(operations: Vec<Counted>) -> Self {
        let stripe = || operations.iter().map(|_| Cell::default()).collect();
        let stripes = std::iter::repeat_with(stripe).take(STRIPES).collect();
        Self { operations, stripes, begun: Counter::default(), ended: Counter::default() }
    }

    pub(crate) fn begin(&self) -> AtWork<'_> {
        self.begun.count();
        AtWork { tally: self, since: Instant::now() }
    }

    /// Requests that were begun and have not ended.
    pub(crate) fn in_flight(&self) -> u64 {
        let ended = self.ended.value();
        self.begun.value().saturating_sub(ended)
    }

    fn record(&self, operation: usize, status: StatusCode, took: Duration) {
        let Some(cell) = self.stripes[stripe()].get(operation) else { return };
        let class = match status.as_u16() / 100 {
            2 => 1,
            4 => 2,
            5 => 3,
            _ => 0,
        };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|bound| micros <= *bound).unwrap_or(BUCKETS.len());
        cell.classes[class].fetch_add(1, Ordering::Relaxed);
        cell.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        cell.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// All operations that were asked for.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let rows = self.operations.iter().enumerate().map(|(index, counted)| {
            let sum = |of: &dyn Fn(&Cell) -> &AtomicU64| {
                self.stripes.iter().map(|stripe| of(&stripe[index]).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
            };
            Row {
                counted: *counted,
                classes: std::array::from_fn(|class| sum(&|cell| &cell.classes[class])),
                buckets: std::array::from_fn(|bucket| sum(&|cell| &cell.buckets[bucket])),
                micros: sum(&|cell| &cell.micros),
            }
        });
        rows.filter(|row| row.buckets.iter().any(|count| *count > 0)).collect()
    }
}

impl AtWork<'_> {
    /// Counts the answer to the operation of that index.
    pub(crate) fn answered(self, operation: usize, status: StatusCode) {
        self.tally.record(operation, status, self.since.elapsed());
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.tally.ended.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_operation_and_class() {
        let counted = |operation| Counted { service: "s", operation };
        let tally = Tally::new(vec![counted("unknown"), counted("Get"), counted("Put")]);
        for (operation, status, micros) in [(1, 200, 60), (1, 400, 10), (1, 302, 60), (0, 503, 20_000_000), (9, 200, 1)]
        {
            tally.record(operation, StatusCode::from_u16(status).expect("a status"), Duration::from_micros(micros));
        }
        let rows = tally.rows();
        assert_eq!(rows.iter().map(|row| row.counted.operation).collect::<Vec<_>>(), ["unknown", "Get"]);
        assert_eq!((rows[1].classes, rows[1].micros), ([1, 1, 1, 0], 130));
        assert_eq!((rows[1].buckets[0], rows[1].buckets[2]), (1, 2));
        assert_eq!((rows[0].classes, rows[0].buckets[BUCKETS.len()]), ([0, 0, 0, 1], 1));
    }

    #[test]
    fn requests_at_work_are_those_begun_and_not_ended() {
        let tally = Tally::new(Vec::new());
        let (first, second) = (tally.begin(), tally.begin());
        assert_eq!(tally.in_flight(), 2);
        first.answered(0, StatusCode::OK);
        drop(second);
        assert_eq!(tally.in_flight(), 0);
    }
}
