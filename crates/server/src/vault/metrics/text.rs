//! Prometheus' text format (version 0.0.4), and OpenMetrics 1.0, which differs in the names of counters' families and in
//! its last line (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::Write as _;

use super::{Family, Kind, Sample, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    pub(in super::super) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes the families down. Writing to memory cannot fail.
pub(in super::super) fn text(families: &[Family], format: Format) -> String {
    let mut out = String::with_capacity(16 * 1024);
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        let total = if family.kind == Kind::Counter && format == Format::Prometheus { "_total" } else { "" };
        _ = writeln!(out, "# HELP {}{total} {}", family.name, family.help);
        _ = writeln!(out, "# TYPE {}{total} {}", family.name, family.kind.name());
        for sample in &family.samples {
            put(&mut out, family.name, sample);
        }
    }
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn put(out: &mut String, name: &str, sample: &Sample) {
    let labels = &sample.labels;
    match &sample.value {
        Value::Count(count) => _ = writeln!(out, "{name}_total{} {count}", braced(labels, None)),
        Value::Level(level) => _ = writeln!(out, "{name}{} {level}", braced(labels, None)),
        Value::Histogram(histogram) => {
            for (bound, count) in &histogram.buckets {
                _ = writeln!(out, "{name}_bucket{} {count}", braced(labels, Some(&bound.to_string())));
            }
            _ = writeln!(out, "{name}_bucket{} {}", braced(labels, Some("+Inf")), histogram.count);
            _ = writeln!(out, "{name}_sum{} {}", braced(labels, None), histogram.sum);
            _ = writeln!(out, "{name}_count{} {}", braced(labels, None), histogram.count);
        }
    }
}

fn braced(labels: &[(&'static str, String)], bound: Option<&str>) -> String {
    let labels = labels.iter().map(|(name, value)| (*name, value.as_str())).chain(bound.map(|bound| ("le", bound)));
    let written: Vec<String> = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if written.is_empty() { String::new() } else { format!("{{{}}}", written.join(",")) }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats() {
        let mut family = Family::new("things", Kind::Counter, "Things.");
        family.put(vec![("kind", "a\"\\\n".to_owned())], Value::Count(2));
        let families = [family, Family::gauge("level", "A level.", 1.5), Family::new("none", Kind::Gauge, "Nothing.")];
        assert_eq!(
            text(&families, Format::Prometheus),
            "# HELP things_total Things.\n# TYPE things_total counter\nthings_total{kind=\"a\\\"\\\\\\n\"} 2\n\
             # HELP level A level.\n# TYPE level gauge\nlevel 1.5\n"
        );
        assert_eq!(
            text(&families, Format::OpenMetrics),
            "# HELP things Things.\n# TYPE things counter\nthings_total{kind=\"a\\\"\\\\\\n\"} 2\n\
             # HELP level A level.\n# TYPE level gauge\nlevel 1.5\n# EOF\n"
        );
    }
}
