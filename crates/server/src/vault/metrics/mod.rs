//! What the API counts: requests by operation, mount type and status, how long they took, how many are at work.
//!
//! A request adds to memory that its thread shares with few others, and takes no lock. `family.rs` is the shape in which
//! numbers are told, `text.rs` and `summary.rs` write it down.

mod alerts;
mod family;
mod services;
mod summary;
mod text;

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::StatusCode;
use keyturn_core::{
    metrics::{Counter, STRIPES, stripe},
    mount::Engine,
    policy::Operation,
};

pub(super) use self::{
    alerts::alert_families,
    family::{Family, Histogram, Kind, Sample, Value},
    services::service_families,
    summary::summary,
    text::{Format, text},
};

/// What requests are sorted by; writes count as updates, whatever was there.
const OPERATIONS: [&str; 7] = ["read", "list", "update", "delete", "patch", "help", "invalid"];
const INVALID: usize = OPERATIONS.len() - 1;

/// Statuses that are counted one by one; others count as 0.
const STATUSES: [u16; 15] = [0, 200, 202, 204, 400, 403, 404, 405, 408, 413, 415, 429, 500, 501, 503];

/// Upper bounds of the histogram's buckets, in microseconds; beyond the last one there is one more.
const BUCKETS: [u64; 12] = [25, 50, 100, 250, 500, 1_000, 5_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000];

/// Engines that are told apart at the most; the first stands for no engine.
const ENGINES: usize = 32;

/// The numbers of one operation and one engine, on one stripe.
#[derive(Default)]
struct Cell {
    statuses: [AtomicU64; STATUSES.len()],
    buckets: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
}

type Stripe = [[Cell; ENGINES]; OPERATIONS.len()];

/// The requests since the process began.
pub(super) struct Requests {
    stripes: Vec<Stripe>,
    engines: [OnceLock<&'static str>; ENGINES],
    begun: Counter,
    ended: Counter,
    pub(super) started: Instant,
}

/// A request at work. Dropped without an answer it counts no more, as one whose client went away.
pub(super) struct AtWork<'a> {
    requests: &'a Requests,
    since: Instant,
}

impl Requests {
    pub(super) fn new() -> Self {
        let stripe = || std::array::from_fn(|_| std::array::from_fn(|_| Cell::default()));
        Self {
            stripes: std::iter::repeat_with(stripe).take(STRIPES).collect(),
            engines: std::array::from_fn(|_| OnceLock::new()),
            begun: Counter::default(),
            ended: Counter::default(),
            started: Instant::now(),
        }
    }

    pub(super) fn begin(&self) -> AtWork<'_> {
        self.begun.count();
        AtWork { requests: self, since: Instant::now() }
    }

    /// Requests that were begun and have not ended.
    pub(super) fn in_flight(&self) -> u64 {
        let ended = self.ended.value();
        self.begun.value().saturating_sub(ended)
    }

    fn record(&self, operation: Option<Operation>, engine: Option<Engine>, status: StatusCode, took: Duration) {
        let engine = engine.map_or(0, |engine| {
            let index = (engine as usize + 1).min(ENGINES - 1);
            self.engines[index].get_or_init(|| engine.name());
            index
        });
        let cell = &self.stripes[stripe()][operation.map_or(INVALID, operation_index)][engine];
        let status = STATUSES.iter().position(|known| *known == status.as_u16()).unwrap_or(0);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|bound| micros <= *bound).unwrap_or(BUCKETS.len());
        cell.statuses[status].fetch_add(1, Ordering::Relaxed);
        cell.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        cell.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The sum over the stripes of what `of` takes from a cell.
    fn sum<'a>(&'a self, operation: usize, engines: &[usize], of: impl Fn(&'a Cell) -> &'a AtomicU64) -> u64 {
        let cells = self.stripes.iter().flat_map(|stripe| engines.iter().map(|engine| &stripe[operation][*engine]));
        cells.map(|cell| of(cell).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    /// The engines that were asked, by the names that clients know: both versions of `kv` are one.
    fn named_engines(&self) -> Vec<(&'static str, Vec<usize>)> {
        let mut named: Vec<(&'static str, Vec<usize>)> = vec![("none", vec![0])];
        for (index, name) in self.engines.iter().enumerate().filter_map(|(index, name)| Some((index, *name.get()?))) {
            match named.iter_mut().find(|(known, _)| *known == name) {
                Some((_, indices)) => indices.push(index),
                None => named.push((name, vec![index])),
            }
        }
        named.sort_unstable();
        named
    }

    /// Requests, and how long they took.
    pub(super) fn families(&self) -> [Family; 2] {
        let mut counts = Family::new("keyturn_requests", Kind::Counter, "Requests that were answered.");
        let mut durations = Family::new(
            "keyturn_request_duration_seconds",
            Kind::Histogram,
            "Time from a request's head to its answer, its body included.",
        );
        for (mount_type, engines) in self.named_engines() {
            for (operation, name) in OPERATIONS.iter().enumerate() {
                let labels = vec![("operation", (*name).to_owned()), ("mount_type", mount_type.to_owned())];
                for (index, status) in STATUSES.iter().enumerate() {
                    let count = self.sum(operation, &engines, |cell| &cell.statuses[index]);
                    if count > 0 {
                        let mut labels = labels.clone();
                        labels.push(("status", if *status == 0 { "other".to_owned() } else { status.to_string() }));
                        counts.put(labels, Value::Count(count));
                    }
                }
                let histogram = self.histogram(operation, &engines);
                if histogram.count > 0 {
                    durations.put(labels, Value::Histogram(histogram));
                }
            }
        }
        [counts, durations]
    }

    fn histogram(&self, operation: usize, engines: &[usize]) -> Histogram {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(BUCKETS.len());
        for (index, bound) in BUCKETS.iter().enumerate() {
            count += self.sum(operation, engines, |cell| &cell.buckets[index]);
            buckets.push((seconds(*bound), count));
        }
        count += self.sum(operation, engines, |cell| &cell.buckets[BUCKETS.len()]);
        Histogram { buckets, count, sum: seconds(self.sum(operation, engines, |cell| &cell.micros)) }
    }
}

impl AtWork<'_> {
    /// Counts the answer.
    pub(super) fn answered(self, operation: Option<Operation>, engine: Option<Engine>, status: StatusCode) {
        self.requests.record(operation, engine, status, self.since.elapsed());
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.requests.ended.count();
    }
}

fn operation_index(operation: Operation) -> usize {
    match operation {
        Operation::Read => 0,
        Operation::List => 1,
        Operation::Create | Operation::Update => 2,
        Operation::Delete => 3,
        Operation::Patch => 4,
        Operation::Help => 5,
        _ => INVALID,
    }
}

#[allow(clippy::cast_precision_loss, reason = "exact up to 285 years")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_they_are() {
        let requests = Requests::new();
        let took = Duration::from_micros(60);
        requests.record(Some(Operation::Read), Some(Engine::Kv1), StatusCode::OK, took);
        requests.record(Some(Operation::Read), Some(Engine::Kv2), StatusCode::OK, took);
        requests.record(Some(Operation::Read), Some(Engine::Kv2), StatusCode::IM_A_TEAPOT, Duration::from_secs(20));
        requests.record(None, None, StatusCode::BAD_REQUEST, took);
        let rendered = text(&requests.families(), Format::Prometheus);
        for line in [
            r#"keyturn_requests_total{operation="read",mount_type="kv",status="200"} 2"#,
            r#"keyturn_requests_total{operation="read",mount_type="kv",status="other"} 1"#,
            r#"keyturn_requests_total{operation="invalid",mount_type="none",status="400"} 1"#,
            r#"keyturn_request_duration_seconds_bucket{operation="read",mount_type="kv",le="0.00005"} 0"#,
            r#"keyturn_request_duration_seconds_bucket{operation="read",mount_type="kv",le="0.0001"} 2"#,
            r#"keyturn_request_duration_seconds_bucket{operation="read",mount_type="kv",le="+Inf"} 3"#,
            r#"keyturn_request_duration_seconds_count{operation="read",mount_type="kv"} 3"#,
            r#"keyturn_request_duration_seconds_sum{operation="read",mount_type="kv"} 20.00012"#,
        ] {
            assert!(rendered.lines().any(|found| found == line), "{line}\nis not in\n{rendered}");
        }
    }

    #[test]
    fn requests_at_work_are_those_begun_and_not_ended() {
        let requests = Requests::new();
        let (first, second) = (requests.begin(), requests.begin());
        assert_eq!(requests.in_flight(), 2);
        first.answered(Some(Operation::Read), None, StatusCode::OK);
        drop(second);
        assert_eq!(requests.in_flight(), 0);
    }
}
