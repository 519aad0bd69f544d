//! Fingerprints: keyed hashes of values, by which equal ones are known without being seen.
//!
//! ```text
//! HMAC-SHA256 under the key for fingerprints, of
//!   "field" 0 mount's uuid 0 name of the secret 0 length of the field's name as 8 bytes, the field's name, value
//! value   { member … }    each member its name as a text, its value; sorted by name
//!         [ value … ]
//!         s length text   unescaped
//!         v length text   numbers and literals, as they are spelled
//! ```
//!
//! They say whether a field of one secret has the same value in two versions, and nothing about other fields or secrets.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde_json::value::RawValue;

use super::{
    Place,
    json::{NotAnObject, parse},
};
use crate::{
    barrier::{Barrier, Mac, MacPurpose},
    secret::{SecretBytes, SecretString},
};

/// A keyed hash of a field's value. Its text is the first 16 bytes, in hex.
#[derive(Clone, Copy)]
pub struct Fingerprint(Mac);

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Fingerprint {}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(16).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The fingerprint of the value of a field of a secret.
pub(super) fn of_field(
    barrier: &dyn Barrier,
    place: &Place,
    field: &str,
    value: &RawValue,
) -> Result<Fingerprint, NotAnObject> {
    let length = (field.len() as u64).to_be_bytes();
    let value = canonical(value)?;
    let parts = [
        b"field\0".as_slice(),
        place.mount.uuid.as_bytes(),
        b"\0",
        place.name.as_bytes(),
        b"\0",
        &length,
        field.as_bytes(),
        value.expose_secret(),
    ];
    Ok(Fingerprint(barrier.mac(MacPurpose::Fingerprint, &parts)))
}

/// A value as it is hashed: however it was spelled, with which white space and in which order.
fn canonical(value: &RawValue) -> Result<SecretBytes, NotAnObject> {
    // A value of one character, with the comma behind it, becomes ten: the buffer must not grow and leave a copy behind.
    let mut out = SecretBytes::new(Vec::with_capacity(value.get().len() * 5 + 16));
    write_value(value, out.expose_secret_mut())?;
    Ok(out)
}

fn write_value(value: &RawValue, out: &mut Vec<u8>) -> Result<(), NotAnObject> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            out.push(b'{');
            for (name, value) in parse(text.as_bytes())? {
                write_leaf(b's', &name.0, out);
                write_value(value, out)?;
            }
            out.push(b'}');
        }
        Some(b'[') => {
            out.push(b'[');
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| NotAnObject)?;
            items.into_iter().try_for_each(|item| write_value(item, out))?;
            out.push(b']');
        }
        Some(b'"') => {
            let text: SecretString = serde_json::from_str(text).map_err(|_| NotAnObject)?;
            write_leaf(b's', text.expose_secret(), out);
        }
        _ => write_leaf(b'v', text, out),
    }
    Ok(())
}

fn write_leaf(kind: u8, text: &str, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&(text.len() as u64).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn of(text: &str) -> Vec<u8> {
        let value: &RawValue = serde_json::from_str(text).expect("JSON");
        let out = canonical(value).expect("canonical");
        assert!(out.len() <= text.len() * 5 + 16, "the buffer grew: {text}");
        out.expose_secret().to_vec()
    }

    #[test]
    fn spelling_is_no_difference() {
        for (one, other) in [
            (r#"{"a":1,"b":[true,"x"]}"#, r#"{ "b": [ true , "\u0078" ], "a" : 1 }"#),
            (r#""\u00fc/""#, r#""ü\/""#),
            ("[]", "[ ]"),
        ] {
            assert_eq!(of(one), of(other), "{one} {other}");
        }
        for (one, other) in [
            ("1", "1.0"),
            ("\"1\"", "1"),
            ("[1,2]", "[2,1]"),
            ("[[],[]]", "[[[]]]"),
            ("{}", "[]"),
            (r#"{"a":"b"}"#, r#"["a","b"]"#),
            ("null", "\"\""),
            (r#"["ab"]"#, r#"["a","b"]"#),
            ("[1,1]", "[11]"),
        ] {
            assert_ne!(of(one), of(other), "{one} {other}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c]{0,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn two_values_have_one_form_only_if_they_are_equal(one in any_json(), other in any_json()) {
            let (text, pretty) = (one.to_string(), serde_json::to_string_pretty(&one).expect("JSON"));
            prop_assert_eq!(of(&text), of(&pretty));
            prop_assert_eq!(of(&text) == of(&other.to_string()), one == other);
        }
    }
}
