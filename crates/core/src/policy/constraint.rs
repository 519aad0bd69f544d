//! What a stanza demands beyond a capability: limits on request parameters and on the TTL of response wrapping.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::acl::DenyReason;

/// The name that stands for every parameter.
pub(super) const ANY_PARAMETER: &str = "*";

/// Parameter names in lower case, each with the values it is about; no values means any value.
pub type ParameterValues = BTreeMap<String, Vec<Value>>;

/// The demands of one stanza, or of several on the same path together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Constraints {
    /// If not empty, a request may carry only these parameters (`*`: any other too) with only these values.
    pub allowed: ParameterValues,
    /// A request may not carry these parameters (`*`: none at all) with these values.
    pub denied: ParameterValues,
    /// Names in lower case that a request must carry.
    pub required: BTreeSet<String>,
    /// Shortest wrapping TTL in seconds, at least 1; set, it makes wrapping mandatory.
    pub min_wrapping_ttl: Option<u64>,
    /// Longest wrapping TTL in seconds, at least 1; set, it makes wrapping mandatory.
    pub max_wrapping_ttl: Option<u64>,
}

impl Constraints {
    /// Takes the demands of another stanza on the same path in: names and values add up, an empty list of values
    /// (any value) wins over a list, and of two TTLs the shorter one holds.
    pub(super) fn merge(&mut self, other: &Self) {
        merge_values(&mut self.allowed, &other.allowed);
        merge_values(&mut self.denied, &other.denied);
        self.required.extend(other.required.iter().cloned());
        self.min_wrapping_ttl = shorter(self.min_wrapping_ttl, other.min_wrapping_ttl);
        self.max_wrapping_ttl = shorter(self.max_wrapping_ttl, other.max_wrapping_ttl);
    }

    /// Checks the wrapping TTL that a request asks for; `None` or 0 means no wrapping.
    pub(super) fn check_wrapping(&self, wrap_ttl: Option<u64>) -> Result<(), DenyReason> {
        let (shortest, longest) = (self.min_wrapping_ttl.unwrap_or(1), self.max_wrapping_ttl.unwrap_or(u64::MAX));
        if self.min_wrapping_ttl.is_none() && self.max_wrapping_ttl.is_none() {
            return Ok(());
        }
        // Stanzas merged into one can leave no TTL that satisfies both ends; then nothing is in the range.
        match wrap_ttl.filter(|ttl| *ttl > 0) {
            None => Err(DenyReason::WrappingRequired),
            Some(ttl) if (shortest..=longest).contains(&ttl) => Ok(()),
            Some(_) => Err(DenyReason::WrappingTtlOutOfRange),
        }
    }

    /// Whether parameters matter at all; if not, the request's need not even be parsed.
    pub(super) fn limits_parameters(&self) -> bool {
        !(self.allowed.is_empty() && self.denied.is_empty() && self.required.is_empty())
    }

    /// Checks the parameters of a request.
    pub(super) fn check_parameters(&self, parameters: Option<&Map<String, Value>>) -> Result<(), DenyReason> {
        let carried = |name: &String| parameters.is_some_and(|parameters| parameters.contains_key(name));
        if !self.required.iter().all(carried) {
            return Err(DenyReason::ParameterMissing);
        }
        let Some(parameters) = parameters.filter(|parameters| !parameters.is_empty()) else {
            return Ok(());
        };
        self.check_denied(parameters)?;
        self.check_allowed(parameters)
    }

    fn check_denied(&self, parameters: &Map<String, Value>) -> Result<(), DenyReason> {
        if self.denied.contains_key(ANY_PARAMETER) {
            return Err(DenyReason::ParameterDenied);
        }
        for (name, value) in parameters {
            if self.denied.get(lower(name).as_ref()).is_some_and(|values| covers(values, value)) {
                return Err(DenyReason::ParameterDenied);
            }
        }
        Ok(())
    }

    fn check_allowed(&self, parameters: &Map<String, Value>) -> Result<(), DenyReason> {
        if self.allowed.is_empty() {
            return Ok(());
        }
        let others = self.allowed.contains_key(ANY_PARAMETER);
        for (name, value) in parameters {
            if !self.allowed.get(lower(name).as_ref()).map_or(others, |values| covers(values, value)) {
                return Err(DenyReason::ParameterNotAllowed);
            }
        }
        Ok(())
    }
}

fn merge_values(into: &mut ParameterValues, from: &ParameterValues) {
    for (name, values) in from {
        match into.get_mut(name) {
            None => {
                into.insert(name.clone(), values.clone());
            }
            Some(existing) if existing.is_empty() || values.is_empty() => existing.clear(),
            Some(existing) => existing.extend(values.iter().cloned()),
        }
    }
}

fn shorter(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

/// Policies hold names in lower case; a request's name is folded only where it has to be.
fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(name.to_lowercase())
    }
}

fn covers(values: &[Value], value: &Value) -> bool {
    values.is_empty() || values.iter().any(|listed| same(listed, value))
}

/// Equality as a policy means it: text by glob, numbers by value, so that `1` and `1.0` are the same.
fn same(listed: &Value, value: &Value) -> bool {
    match (listed, value) {
        (Value::String(listed), Value::String(text)) => glob(listed, text),
        (listed, value) => equal(listed, value),
    }
}

fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || ((one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64())
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| equal(one, other)))
        }
        _ => one == other,
    }
}

/// `*` at either end of a value stands for any text. Alone it is literal, as in Vault: any value is the empty list.
fn glob(listed: &str, text: &str) -> bool {
    if listed == ANY_PARAMETER {
        return text == listed;
    }
    let (open_start, listed) = listed.strip_prefix('*').map_or((false, listed), |rest| (true, rest));
    let (open_end, listed) = listed.strip_suffix('*').map_or((false, listed), |rest| (true, rest));
    match (open_start, open_end) {
        (true, true) => text.contains(listed),
        (true, false) => text.ends_with(listed),
        (false, true) => text.starts_with(listed),
        (false, false) => text == listed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_glob_at_either_end() {
        for (listed, text, expected) in [
            ("foo-*", "foo-bar", true),
            ("foo-*", "foo", false),
            ("*good3", "glob good3", true),
            ("*good3", "good3 not", false),
            ("*mid*", "amidst", true),
            ("**", "anything", true),
            ("*", "anything", false),
            ("*", "*", true),
            ("", "", true),
            ("", "a", false),
            ("a*b", "axb", false),
        ] {
            assert_eq!(same(&json!(listed), &json!(text)), expected, "{listed:?} on {text:?}");
        }
    }

    #[test]
    fn other_values_compare_by_type_and_value() {
        assert!(same(&json!(1), &json!(1.0)));
        assert!(!same(&json!(9_007_199_254_740_992_u64), &json!(9_007_199_254_740_993_u64)));
        assert!(!same(&json!(1), &json!("1")));
        assert!(!same(&json!(1), &json!(2)));
        assert!(same(&json!({"good": "one"}), &json!({"good": "one"})));
        assert!(!same(&json!({"good": "one*"}), &json!({"good": "one and more"})));
        assert!(same(&json!(["a", 2]), &json!(["a", 2.0])));
        assert!(!same(&json!(false), &json!(null)));
        assert!(same(&json!(null), &json!(null)));
    }

    #[test]
    fn merged_values_add_up_and_any_value_wins() {
        let values = |list: &[(&str, Value)]| -> ParameterValues {
            list.iter().map(|(name, values)| ((*name).to_owned(), values.as_array().unwrap().clone())).collect()
        };
        let mut into = values(&[("a", json!([1])), ("b", json!([1])), ("c", json!([]))]);
        merge_values(&mut into, &values(&[("a", json!([2])), ("b", json!([])), ("c", json!([1])), ("d", json!([3]))]));
        assert_eq!(into, values(&[("a", json!([1, 2])), ("b", json!([])), ("c", json!([])), ("d", json!([3]))]));
    }
}
