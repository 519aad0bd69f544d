//! The text of answers that hold a secret: written once, into memory that is wiped.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use keyturn_core::{
    kv::{Payload, Secret, Version},
    secret::SecretBytes,
};
use serde::Serialize;

use super::{
    asking::{Asking, Target},
    stages,
};

/// Seconds since 1970, to the millisecond, as all times stand in answers.
#[allow(clippy::cast_precision_loss, reason = "milliseconds of this era have fewer digits than a double keeps")]
pub(super) fn seconds(time: keyturn_core::clock::Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

/// What an answer of `GetSecretValue` says beside the value.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Told<'a> {
    #[serde(rename = "ARN")]
    arn: &'a str,
    name: &'a str,
    version_id: &'a str,
    /// A deprecated version has no labels; an empty list would be one too short for the model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    version_stages: Vec<String>,
    created_date: f64,
}

/// An answer of `GetSecretValue`.
pub(super) fn value(
    asking: &Asking<'_>,
    target: &Target,
    (secret, version, payload): (Secret, Version, Payload),
) -> SecretBytes {
    let told = Told {
        arn: &asking.arn(target, &secret),
        name: &target.name,
        version_id: &version.id,
        version_stages: stages::names(&version),
        created_date: seconds(version.created),
    };
    let (member, value) = match payload {
        Payload::Fields(text) | Payload::Text(text) => (b",\"SecretString\":", quoted(&text)),
        Payload::Bytes(bytes) => (b",\"SecretBinary\":", encoded(&bytes)),
    };
    let mut answer = SecretBytes::new(Vec::with_capacity(value.len() + 512));
    let out = answer.expose_secret_mut();
    // Writing to memory cannot fail.
    _ = serde_json::to_writer(&mut *out, &told);
    out.pop();
    // Nothing secret is in the buffer yet, so that it may still move to where there is room for all.
    out.reserve_exact(member.len() + value.len() + 1);
    out.extend_from_slice(member);
    out.extend_from_slice(value.expose_secret());
    out.push(b'}');
    answer
}

/// Text as a JSON string.
pub(super) fn quoted(text: &SecretBytes) -> SecretBytes {
    let text = String::from_utf8_lossy(text.expose_secret());
    // Escaping makes at most six bytes of one: the buffer does not grow and leave a copy behind.
    let escaped = text.bytes().filter(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\')).count();
    let mut out = SecretBytes::new(Vec::with_capacity(text.len() + escaped * 5 + 2));
    // Writing text to memory cannot fail.
    _ = serde_json::to_writer(out.expose_secret_mut(), &*text);
    out
}

fn encoded(bytes: &SecretBytes) -> SecretBytes {
    let length = bytes.len().div_ceil(3) * 4;
    let mut out = SecretBytes::new(vec![b'"'; length + 2]);
    // The buffer has exactly the room that is needed.
    _ = STANDARD.encode_slice(bytes.expose_secret(), &mut out.expose_secret_mut()[1..=length]);
    out
}

/// `{"<name>": [<items>], <rest>}`, of items that are secret.
pub(super) fn list(name: &str, items: &[SecretBytes], rest: &str) -> SecretBytes {
    let room: usize = items.iter().map(|item| item.len() + 1).sum();
    let mut answer = SecretBytes::new(Vec::with_capacity(room + name.len() + rest.len() + 16));
    let out = answer.expose_secret_mut();
    out.extend_from_slice(format!("{{\"{name}\":[").as_bytes());
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item.expose_secret());
    }
    out.push(b']');
    if !rest.is_empty() {
        out.push(b',');
        out.extend_from_slice(rest.as_bytes());
    }
    out.push(b'}');
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_and_encoded() {
        let of = |bytes: &[u8]| SecretBytes::new(bytes.to_vec());
        assert_eq!(quoted(&of(b"a\"\n\x07")).expose_secret(), br#""a\"\n\u0007""#);
        assert_eq!(encoded(&of(b"")).expose_secret(), br#""""#);
        assert_eq!(encoded(&of(&[0, 255])).expose_secret(), br#""AP8=""#);
        assert_eq!(list("L", &[of(b"1"), of(b"2")], "\"N\":3").expose_secret(), br#"{"L":[1,2],"N":3}"#);
    }

    #[test]
    fn times_are_numbers_to_the_millisecond() {
        let time = keyturn_core::clock::Timestamp::from_nanosecond(1_523_477_145_713_999_999).expect("a time");
        assert_eq!(serde_json::json!(seconds(time)).to_string(), "1523477145.713");
    }
}
