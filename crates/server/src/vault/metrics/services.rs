//! The numbers of the protocols that have services with operations in the place of mounts.

use super::{Family, Histogram, Kind, Value, seconds};
use crate::tally::{BUCKETS, CLASSES, Row, Tally};

/// Requests by service, operation and class of status, and how long they took.
pub(in super::super) fn service_families(tally: &Tally) -> [Family; 2] {
    let mut counts =
        Family::new("keyturn_service_requests", Kind::Counter, "Requests of the AWS APIs that were answered.");
    let mut durations = Family::new(
        "keyturn_service_request_duration_seconds",
        Kind::Histogram,
        "Time from the head of a request of the AWS APIs to its answer, its body included.",
    );
    for row in tally.rows() {
        let labels = vec![("service", row.counted.service.to_owned()), ("operation", row.counted.operation.to_owned())];
        for (class, count) in CLASSES.iter().zip(row.classes).filter(|(_, count)| *count > 0) {
            let mut labels = labels.clone();
            labels.push(("status", (*class).to_owned()));
            counts.put(labels, Value::Count(count));
        }
        durations.put(labels, Value::Histogram(histogram(&row)));
    }
    [counts, durations]
}

fn histogram(row: &Row) -> Histogram {
    let mut count = 0;
    let bounded = BUCKETS.iter().zip(row.buckets).map(|(bound, within)| {
        count += within;
        (seconds(*bound), count)
    });
    let buckets = bounded.collect();
    Histogram { buckets, count: row.buckets.iter().sum(), sum: seconds(row.micros) }
}
