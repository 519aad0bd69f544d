//! Parameters as Vault takes them: weakly typed. A number may come as text, a list as text with commas, `null` is
//! absent.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use keyturn_core::{
    duration,
    secret::{SecretBytes, SecretString},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, value::RawValue};

use super::error::Failure;

/// The parameters of one request, left where they are in its data.
#[derive(Default)]
pub(super) struct Fields<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Fields<'a> {
    pub(super) fn parse(data: &'a SecretBytes) -> Result<Self, Failure> {
        if data.is_empty() {
            return Ok(Self::default());
        }
        Self::parse_text(data.expose_secret())
            .ok_or_else(|| Failure::bad_request("the parameters must be a JSON object"))
    }

    fn parse_text(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok().map(Self)
    }

    /// A value as it stands; `null` counts as absent.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|raw| raw.get()).filter(|text| *text != "null")
    }

    /// Whether the name was given at all, even as `null`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// These fields alone.
    pub(super) fn only(mut self, names: &[&str]) -> Self {
        self.0.retain(|name, _| names.contains(&name.as_ref()));
        self
    }

    /// The names that were given.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(Cow::as_ref)
    }

    /// An object below this one.
    pub(super) fn object(&self, name: &str) -> Result<Option<Fields<'a>>, Failure> {
        let Some(text) = self.raw(name) else { return Ok(None) };
        Self::parse_text(text.as_bytes()).map(Some).ok_or_else(|| wrong(name, "an object"))
    }

    /// Text that is no secret; a number or bool counts as its text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        self.convert(name, "text", |value| match value {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(bool) => Some(bool.to_string()),
            _ => None,
        })
    }

    /// Text that must be given and not be empty.
    pub(super) fn required_text(&self, name: &str) -> Result<String, Failure> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| Failure::bad_request(format!("missing {name}")))
    }

    /// Text that is a secret.
    pub(super) fn secret(&self, name: &str) -> Result<Option<SecretString>, Failure> {
        let Some(text) = self.raw(name) else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|_| wrong(name, "text"))
    }

    /// A duration in seconds, from a number or text.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<u64>, Failure> {
        self.convert(name, "seconds or a duration such as \"30m\", not negative", |value| match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => duration::parse_seconds(&text).ok(),
            _ => None,
        })
    }

    /// A duration in seconds that may be negative (`"-1s"`).
    pub(super) fn signed_seconds(&self, name: &str) -> Result<Option<i64>, Failure> {
        self.convert(name, "seconds or a duration such as \"30m\"", |value| match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => {
                let (sign, text) = text.strip_prefix('-').map_or((1, text.as_str()), |rest| (-1, rest));
                duration::parse_seconds(text).ok().and_then(|seconds| i64::try_from(seconds).ok()).map(|n| n * sign)
            }
            _ => None,
        })
    }

    /// A whole number.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Failure> {
        self.convert(name, "a whole number", |value| match value {
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) if text.is_empty() => Some(0),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        })
    }

    /// A number that need not be whole.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, Failure> {
        self.convert(name, "a number", |value| match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        })
    }

    /// A whole number that is not negative.
    pub(super) fn natural(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self.integer(name)? {
            None => Ok(None),
            Some(number) => u64::try_from(number).map(Some).map_err(|_| wrong(name, "a whole number, not negative")),
        }
    }

    /// `true` or `false`, also as text or 1 and 0.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Failure> {
        self.convert(name, "true or false", |value| match value {
            Value::Bool(bool) => Some(bool),
            Value::Number(number) => number.as_i64().map(|number| number != 0),
            Value::String(text) => match text.to_lowercase().as_str() {
                "true" | "t" | "1" => Some(true),
                "false" | "f" | "0" | "" => Some(false),
                _ => None,
            },
            _ => None,
        })
    }

    /// A list of texts, from a list or from text with commas.
    pub(super) fn list(&self, name: &str) -> Result<Option<Vec<String>>, Failure> {
        self.convert(name, "a list of texts or text with commas", |value| match value {
            Value::String(text) => {
                Some(text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
            }
            Value::Array(items) => items.into_iter().map(scalar_text).collect(),
            Value::Number(number) => Some(vec![number.to_string()]),
            _ => None,
        })
    }

    /// Networks in CIDR form; a bare address is a network of one.
    pub(super) fn cidrs(&self, name: &str) -> Result<Option<Vec<IpNet>>, Failure> {
        let expected = "networks such as \"10.0.0.0/8\" or addresses";
        let parse = |item: &String| item.parse().or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
        let Some(items) = self.list(name)? else { return Ok(None) };
        items.iter().map(|item| parse(item).map_err(|_| wrong(name, expected))).collect::<Result<_, _>>().map(Some)
    }

    /// Whole numbers, from a list or from text with commas.
    pub(super) fn naturals(&self, name: &str) -> Result<Option<Vec<u64>>, Failure> {
        let expected = "a list of version numbers";
        let Some(items) = self.list(name)? else { return Ok(None) };
        items.iter().map(|item| item.parse().map_err(|_| wrong(name, expected))).collect::<Result<_, _>>().map(Some)
    }

    /// A map of texts. The text of a JSON object counts as that object.
    pub(super) fn map(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Failure> {
        let read = |object: serde_json::Map<String, Value>| {
            object.into_iter().map(|(key, value)| scalar_text(value).map(|value| (key, value))).collect()
        };
        self.convert(name, "an object of texts", |value| match value {
            Value::Object(object) => read(object),
            Value::String(text) if text.trim().is_empty() => Some(BTreeMap::new()),
            Value::String(text) => serde_json::from_str(&text).ok().and_then(read),
            _ => None,
        })
    }

    /// A map of texts, as [`Fields::map`] takes it, or one or several texts `name=value`.
    pub(super) fn pairs(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Failure> {
        let Ok(Some(items)) = self.list_of_texts(name) else { return self.map(name) };
        let split = |item: &String| item.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        match items.iter().map(split).collect() {
            Some(pairs) => Ok(Some(pairs)),
            None => self.map(name),
        }
    }

    /// Statements of a database: one text or several, as they are; empty ones are none.
    pub(super) fn statements(&self, name: &str) -> Result<Option<Vec<String>>, Failure> {
        let kept = |texts: Vec<String>| texts.into_iter().filter(|text| !text.trim().is_empty()).collect();
        self.convert(name, "text or a list of texts", |value| match value {
            Value::String(text) => Some(kept(vec![text])),
            Value::Array(items) => items.into_iter().map(scalar_text).collect::<Option<_>>().map(kept),
            _ => None,
        })
    }

    /// One text or several, as they are.
    fn list_of_texts(&self, name: &str) -> Result<Option<Vec<String>>, Failure> {
        self.convert(name, "text or a list of texts", |value| match value {
            Value::String(text) if text.trim_start().starts_with('{') => None,
            Value::String(text) => Some(vec![text].into_iter().filter(|text| !text.is_empty()).collect()),
            Value::Array(items) => items.into_iter().map(scalar_text).collect(),
            _ => None,
        })
    }

    /// A value of a shape that core knows.
    pub(super) fn shaped<T: DeserializeOwned>(&self, name: &str, expected: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.raw(name) else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|_| wrong(name, expected))
    }

    fn convert<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let Some(text) = self.raw(name) else { return Ok(None) };
        serde_json::from_str(text).ok().and_then(read).map(Some).ok_or_else(|| wrong(name, expected))
    }
}

fn scalar_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        _ => None,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

/// The message never quotes the value: it may be a secret.
fn wrong(name: &str, expected: &str) -> Failure {
    Failure::bad_request(format!("error converting input for field {name:?}: expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(text: &str, check: impl FnOnce(&Fields<'_>) -> T) -> T {
        let data = SecretBytes::new(text.as_bytes().to_vec());
        check(&Fields::parse(&data).unwrap_or_default())
    }

    #[test]
    fn values_are_taken_as_vault_takes_them() {
        with(r#"{"ttl":"1h","n":"5","b":"true","l":"a, b","m":"{\"k\":1}","x":null}"#, |fields| {
            assert_eq!(fields.seconds("ttl").ok().flatten(), Some(3600));
            assert_eq!(fields.integer("n").ok().flatten(), Some(5));
            assert_eq!(fields.boolean("b").ok().flatten(), Some(true));
            assert_eq!(fields.list("l").ok().flatten(), Some(vec!["a".into(), "b".into()]));
            assert_eq!(fields.map("m").ok().flatten(), Some([("k".to_owned(), "1".to_owned())].into()));
            assert_eq!(fields.text("x").ok().flatten(), None);
        });
    }

    #[test]
    fn a_wrong_type_is_named_by_its_field_and_not_quoted() {
        with(r#"{"ttl":"hunter2","data":5}"#, |fields| {
            let text = fields.seconds("ttl").expect_err("wrong").text();
            assert!(text.contains("\"ttl\"") && !text.contains("hunter2"), "{text}");
            assert!(fields.object("data").is_err());
        });
    }
}
