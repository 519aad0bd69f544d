//! Conditions of a statement: operator, key, values. All keys must hold; of a key's values one must.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;
use keyturn_core::clock::Timestamp;
use serde_json::{Map, Value};

use super::{
    parse::{Malformed, texts},
    pattern::matches,
};

/// One condition.
#[derive(Debug)]
pub(super) struct Condition {
    compare: Compare,
    /// Whether it holds where the comparison does not.
    negated: bool,
    /// Whether it holds where the request has no such key.
    if_exists: bool,
    /// In lower case.
    pub(super) key: String,
    pub(super) values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    Text,
    TextAnyCase,
    Pattern,
    Number(Order),
    Time(Order),
    Flag,
    Network,
    Absent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

const OPERATORS: [(&str, Compare, bool); 27] = [
    ("StringEquals", Compare::Text, false),
    ("StringNotEquals", Compare::Text, true),
    ("StringEqualsIgnoreCase", Compare::TextAnyCase, false),
    ("StringNotEqualsIgnoreCase", Compare::TextAnyCase, true),
    ("StringLike", Compare::Pattern, false),
    ("StringNotLike", Compare::Pattern, true),
    ("ArnEquals", Compare::Pattern, false),
    ("ArnLike", Compare::Pattern, false),
    ("ArnNotEquals", Compare::Pattern, true),
    ("ArnNotLike", Compare::Pattern, true),
    ("NumericEquals", Compare::Number(Order::Equal), false),
    ("NumericNotEquals", Compare::Number(Order::Equal), true),
    ("NumericLessThan", Compare::Number(Order::Less), false),
    ("NumericLessThanEquals", Compare::Number(Order::LessOrEqual), false),
    ("NumericGreaterThan", Compare::Number(Order::Greater), false),
    ("NumericGreaterThanEquals", Compare::Number(Order::GreaterOrEqual), false),
    ("DateEquals", Compare::Time(Order::Equal), false),
    ("DateNotEquals", Compare::Time(Order::Equal), true),
    ("DateLessThan", Compare::Time(Order::Less), false),
    ("DateLessThanEquals", Compare::Time(Order::LessOrEqual), false),
    ("DateGreaterThan", Compare::Time(Order::Greater), false),
    ("DateGreaterThanEquals", Compare::Time(Order::GreaterOrEqual), false),
    ("Bool", Compare::Flag, false),
    ("IpAddress", Compare::Network, false),
    ("NotIpAddress", Compare::Network, true),
    ("Null", Compare::Absent, false),
    ("BinaryEquals", Compare::Text, false),
];

/// Reads all conditions of a statement.
///
/// # Errors
/// When an operator is unknown, or its values are of another kind than it compares.
pub(super) fn read(operators: &Map<String, Value>) -> Result<Vec<Condition>, Malformed> {
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        // A request has one value a key: whether all or any of them must hold is the same, but where it has none.
        let (all, name) = match operator.strip_prefix("ForAllValues:") {
            Some(name) => (true, name),
            None => (false, operator.strip_prefix("ForAnyValue:").unwrap_or(operator)),
        };
        let (if_exists, name) = name.strip_suffix("IfExists").map_or((false, name), |name| (true, name));
        let Some((_, compare, negated)) = OPERATORS.iter().find(|(known, ..)| *known == name) else {
            return Condition::unknown(operator);
        };
        let Value::Object(keys) = keys else { return Err(Malformed(format!("{operator} must be an object."))) };
        for (key, values) in keys {
            let values = texts(values, key)?;
            if let Some(odd) = values.iter().find(|value| !compare.takes(value)) {
                return Err(Malformed(format!("{operator} cannot compare {key} with {odd:?}.")));
            }
            conditions.push(Condition {
                compare: *compare,
                negated: *negated,
                if_exists: if_exists || all,
                key: key.to_ascii_lowercase(),
                values,
            });
        }
    }
    Ok(conditions)
}

impl Condition {
    /// Whether it holds for a request with these values.
    pub(super) fn holds(&self, values: &HashMap<String, String>) -> bool {
        let actual = values.get(&self.key);
        if self.compare == Compare::Absent {
            let wanted = actual.is_none().to_string();
            return self.values.iter().any(|value| value.eq_ignore_ascii_case(&wanted));
        }
        match actual {
            // What a request does not have is not equal to anything.
            None => self.if_exists || self.negated,
            Some(actual) => self.values.iter().any(|value| self.compare.fits(value, actual)) != self.negated,
        }
    }

    /// Whether it can only hold for named callers: a positive comparison.
    pub(super) fn narrows(&self) -> bool {
        !self.negated
            && !self.if_exists
            && matches!(self.compare, Compare::Text | Compare::TextAnyCase | Compare::Pattern | Compare::Network)
    }
}

impl Compare {
    fn takes(self, value: &str) -> bool {
        match self {
            Self::Number(_) => value.parse::<f64>().is_ok(),
            Self::Time(_) => time(value).is_some(),
            Self::Flag | Self::Absent => matches!(value.to_ascii_lowercase().as_str(), "true" | "false"),
            Self::Network => network(value).is_some(),
            Self::Text | Self::TextAnyCase | Self::Pattern => true,
        }
    }

    fn fits(self, value: &str, actual: &str) -> bool {
        match self {
            Self::Text => value == actual,
            Self::TextAnyCase | Self::Flag => value.eq_ignore_ascii_case(actual),
            Self::Pattern => matches(value, actual),
            Self::Number(order) => match (actual.parse::<f64>(), value.parse::<f64>()) {
                (Ok(actual), Ok(value)) => order.holds(actual.partial_cmp(&value)),
                _ => false,
            },
            Self::Time(order) => match (time(actual), time(value)) {
                (Some(actual), Some(value)) => order.holds(Some(actual.cmp(&value))),
                _ => false,
            },
            Self::Network => match (network(value), actual.parse::<IpAddr>()) {
                (Some(network), Ok(address)) => network.contains(&address.to_canonical()),
                _ => false,
            },
            Self::Absent => false,
        }
    }
}

impl Order {
    fn holds(self, ordering: Option<std::cmp::Ordering>) -> bool {
        let Some(ordering) = ordering else { return false };
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// ISO 8601, or seconds since 1970.
fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| Timestamp::from_second(text.parse().ok()?).ok())
}
