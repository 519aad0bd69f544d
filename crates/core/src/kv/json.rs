//! JSON objects as text: checked, merged and outlined without leaving unwiped copies of their values.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::history::{FieldChange, changes};
pub use super::json_check::check;
use crate::secret::SecretBytes;

/// A JSON object whose values stay where they are in the text. A name that stands twice counts once, the last time.
pub(super) type Object<'a> = BTreeMap<Name<'a>, &'a RawValue>;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize)]
pub(super) struct Name<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// The text is no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a JSON object")]
pub struct NotAnObject;

pub(super) fn parse(text: &[u8]) -> Result<Object<'_>, NotAnObject> {
    serde_json::from_slice(text).map_err(|_| NotAnObject)
}

/// The object with its names sorted, each standing once, and no white space between them.
///
/// # Errors
/// When `text` is no JSON object.
pub fn normalize(text: &[u8]) -> Result<SecretBytes, NotAnObject> {
    let object = parse(text)?;
    let mut out = SecretBytes::new(Vec::with_capacity(text.len() + 1));
    serde_json::to_writer(out.expose_secret_mut(), &object).map_err(|_| NotAnObject)?;
    Ok(out)
}

/// What differs between two objects, name by name; values are compared as they are spelled.
pub(super) fn difference(before: &[u8], after: &[u8]) -> Result<Vec<FieldChange>, NotAnObject> {
    let (before, after) = (parse(before)?, parse(after)?);
    fn texts<'o>(object: &'o Object<'_>) -> BTreeMap<&'o str, &'o str> {
        object.iter().map(|(name, value)| (&*name.0, value.get())).collect()
    }
    Ok(changes(&texts(&before), &texts(&after)))
}

/// The names of an object with what `of` makes of their values.
pub(super) fn outline<T>(text: &[u8], of: &dyn Fn(&[u8]) -> T) -> Result<BTreeMap<String, T>, NotAnObject> {
    let object = parse(text)?;
    Ok(object.into_iter().map(|(name, value)| (name.0.into_owned(), of(value.get().as_bytes()))).collect())
}

/// The object with fields set to what they were changed to, whole, or taken out.
pub(super) fn replace(target: &[u8], changes: &[FieldChange]) -> Result<SecretBytes, NotAnObject> {
    let mut object = parse(target)?;
    for change in changes {
        let name = Name(Cow::Borrowed(&change.name));
        match &change.added {
            None => _ = object.remove(&name),
            Some(value) => {
                let value = serde_json::from_str::<&RawValue>(value.json.expose_secret()).map_err(|_| NotAnObject)?;
                object.insert(name, value);
            }
        }
    }
    // Room for all of it: the buffer must not grow and leave a copy behind.
    let room = object.iter().map(|(name, value)| name.0.len() * 6 + value.get().len() + 4).sum::<usize>();
    let mut out = SecretBytes::new(Vec::with_capacity(room + 16));
    serde_json::to_writer(out.expose_secret_mut(), &object).map_err(|_| NotAnObject)?;
    Ok(out)
}

/// RFC 7386: `patch` laid over `target`; `null` removes a name.
///
/// # Errors
/// When one of them is no JSON object.
pub fn merge(target: &[u8], patch: &[u8]) -> Result<SecretBytes, NotAnObject> {
    let (target, patch) = (parse(target)?, parse(patch)?);
    // Room for both, the names that recursion may add included: the buffer must not grow and leave a copy behind.
    let room = target.values().chain(patch.values()).map(|value| value.get().len()).sum::<usize>();
    let names = target.keys().chain(patch.keys()).map(|name| name.0.len() * 6 + 4).sum::<usize>();
    let mut out = SecretBytes::new(Vec::with_capacity(room * 2 + names + 16));
    write_merged(Some(&target), &patch, out.expose_secret_mut())?;
    Ok(out)
}

fn write_merged(target: Option<&Object<'_>>, patch: &Object<'_>, out: &mut Vec<u8>) -> Result<(), NotAnObject> {
    let mut first = true;
    let mut name_out = |name: &Name<'_>, out: &mut Vec<u8>| {
        out.push(if std::mem::take(&mut first) { b'{' } else { b',' });
        _ = serde_json::to_writer(&mut *out, name);
        out.push(b':');
    };
    for (name, value) in target.into_iter().flatten().filter(|(name, _)| !patch.contains_key(*name)) {
        name_out(name, out);
        out.extend_from_slice(value.get().as_bytes());
    }
    for (name, value) in patch {
        let text = value.get();
        if text == "null" {
            continue;
        }
        name_out(name, out);
        if text.starts_with('{') {
            let inner = parse(text.as_bytes())?;
            let below = target.and_then(|target| target.get(name)).and_then(|old| parse(old.get().as_bytes()).ok());
            write_merged(below.as_ref(), &inner, out)?;
        } else {
            out.extend_from_slice(text.as_bytes());
        }
    }
    if first {
        out.push(b'{');
    }
    out.push(b'}');
    Ok(())
}

/// The names of an object, down to `depth` levels (0: all), every value replaced by `null`.
///
/// # Errors
/// When `text` is no JSON object.
pub fn subkeys(text: &[u8], depth: usize) -> Result<String, NotAnObject> {
    let mut out = String::new();
    write_subkeys(&parse(text)?, if depth == 0 { usize::MAX } else { depth }, &mut out);
    Ok(out)
}

fn write_subkeys(object: &Object<'_>, depth: usize, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in object.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&serde_json::Value::from(&*name.0).to_string());
        out.push(':');
        match parse(value.get().as_bytes()) {
            Ok(inner) if depth > 1 && !inner.is_empty() => write_subkeys(&inner, depth - 1, out),
            _ => out.push_str("null"),
        }
    }
    out.push('}');
}

/// The values of the top level that are text, by name: what a caller needs of a small object of options.
#[must_use]
pub fn top_level_text(text: &[u8], name: &str) -> Option<String> {
    let object = parse(text).ok()?;
    let raw = object.get(&Name(Cow::Borrowed(name)))?;
    serde_json::from_str::<String>(raw.get())
        .ok()
        .or_else(|| serde_json::from_str::<u64>(raw.get()).ok().map(|n| n.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    fn merged(target: &Value, patch: &Value) -> Value {
        let out = merge(target.to_string().as_bytes(), patch.to_string().as_bytes()).expect("objects");
        serde_json::from_slice(out.expose_secret()).expect("JSON")
    }

    /// RFC 7386, section 2, word for word.
    fn reference(target: Option<&Value>, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut result: Map<String, Value> = target.and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, value) in patch {
            if value.is_null() {
                result.remove(name);
            } else {
                let new = reference(result.get(name), value);
                result.insert(name.clone(), new);
            }
        }
        Value::Object(result)
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c\"\\\\]{1,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn merging_text_is_merging_values(target in any_json(), patch in any_json()) {
            prop_assume!(target.is_object() && patch.is_object());
            prop_assert_eq!(merged(&target, &patch), reference(Some(&target), &patch));
        }
    }

    #[test]
    fn numbers_pass_verbatim_and_names_count_once() {
        let text = br#"{ "b": 12345678901234567890123.50, "a":1, "a":2 }"#;
        assert_eq!(normalize(text).expect("object").expose_secret(), br#"{"a":2,"b":12345678901234567890123.50}"#);
        assert!(normalize(b"[1]").is_err());
        assert!(normalize(b"{\"a\":1").is_err());
    }

    #[test]
    fn subkeys_show_structure_and_no_value() {
        let text = json!({"a": {"b": {"c": "x"}}, "d": "secret", "e": {}}).to_string();
        assert_eq!(subkeys(text.as_bytes(), 0).expect("object"), r#"{"a":{"b":{"c":null}},"d":null,"e":null}"#);
        assert_eq!(subkeys(text.as_bytes(), 2).expect("object"), r#"{"a":{"b":null},"d":null,"e":null}"#);
    }
}
