//! Numbers as they are told: families of one name, each with samples that labels tell apart.

/// What the numbers of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often which size was seen.
    Histogram,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Sizes that were seen.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Histogram {
    /// Upper bounds, each with how many were not above it.
    pub(in super::super) buckets: Vec<(f64, u64)>,
    pub(in super::super) count: u64,
    pub(in super::super) sum: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Value {
    Count(u64),
    Level(f64),
    Histogram(Histogram),
}

/// One number. Labels have words of this program, and names that administrators gave to mounts and roles.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Sample {
    pub(in super::super) labels: Vec<(&'static str, String)>,
    pub(in super::super) value: Value,
}

/// The numbers of one name. A counter's name is without `_total`, which is added where it is written down.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Family {
    pub(in super::super) name: &'static str,
    pub(in super::super) kind: Kind,
    pub(in super::super) help: &'static str,
    pub(in super::super) samples: Vec<Sample>,
}

impl Family {
    pub(in super::super) fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, help, samples: Vec::new() }
    }

    pub(in super::super) fn put(&mut self, labels: Vec<(&'static str, String)>, value: Value) {
        self.samples.push(Sample { labels, value });
    }

    /// A counter without labels.
    pub(in super::super) fn counter(name: &'static str, help: &'static str, count: u64) -> Self {
        let mut family = Self::new(name, Kind::Counter, help);
        family.put(Vec::new(), Value::Count(count));
        family
    }

    /// A gauge without labels.
    pub(in super::super) fn gauge(name: &'static str, help: &'static str, level: f64) -> Self {
        let mut family = Self::new(name, Kind::Gauge, help);
        family.put(Vec::new(), Value::Level(level));
        family
    }
}
