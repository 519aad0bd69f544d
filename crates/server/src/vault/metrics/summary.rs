//! The shape of Vault's own summary, which clients get who do not ask for a format: gauges, counters and samples by name
//! and labels. Vault's covers the last interval of ten seconds; this one all the time since the start.

use std::time::Duration;

use keyturn_core::clock::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::{Family, Sample, Value};

/// Writes the families down.
pub(in super::super) fn summary(families: &[Family], now: Timestamp, uptime: Duration) -> Json {
    let (mut gauges, mut counters, mut samples) = (Vec::new(), Vec::new(), Vec::new());
    for family in families {
        for sample in &family.samples {
            // The namespace, and Vault's own subsystem, are set off by dots.
            let name = family.name.replacen('_', ".", if family.name.starts_with("vault_") { 2 } else { 1 });
            match &sample.value {
                Value::Level(level) => {
                    gauges.push(json!({ "Name": name, "Value": level, "Labels": labels(sample) }));
                }
                Value::Count(count) => counters.push(aggregate(&name, sample, *count, as_float(*count), uptime)),
                Value::Histogram(histogram) => {
                    samples.push(aggregate(&name, sample, histogram.count, histogram.sum, uptime));
                }
            }
        }
    }
    json!({
        "Timestamp": format!("{} +0000 UTC", now.strftime("%Y-%m-%d %H:%M:%S")),
        "Gauges": gauges,
        "Points": [],
        "Counters": counters,
        "Samples": samples,
    })
}

fn aggregate(name: &str, sample: &Sample, count: u64, sum: f64, uptime: Duration) -> Json {
    let mean = if count == 0 { 0.0 } else { sum / as_float(count) };
    json!({
        "Name": name,
        "Count": count,
        "Rate": sum / uptime.as_secs_f64().max(1.0),
        "Sum": sum,
        "Mean": mean,
        "Labels": labels(sample),
    })
}

fn labels(sample: &Sample) -> Map<String, Json> {
    sample.labels.iter().map(|(name, value)| ((*name).to_owned(), Json::from(value.as_str()))).collect()
}

#[allow(clippy::cast_precision_loss, reason = "a count beyond 2^53 may be a little off")]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_list() {
        let families = [Family::gauge("vault_core_unsealed", "", 1.0), Family::counter("keyturn_things", "", 4)];
        let told = summary(&families, Timestamp::UNIX_EPOCH, Duration::from_secs(2));
        assert_eq!(
            told,
            json!({
                "Timestamp": "1970-01-01 00:00:00 +0000 UTC",
                "Gauges": [{ "Name": "vault.core.unsealed", "Value": 1.0, "Labels": {} }],
                "Points": [],
                "Counters": [{
                    "Name": "keyturn.things", "Count": 4, "Rate": 2.0, "Sum": 4.0, "Mean": 1.0, "Labels": {}
                }],
                "Samples": [],
            })
        );
    }
}
