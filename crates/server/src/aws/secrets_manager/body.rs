//! Bodies with values of secrets in them: read, and told to the door in the words that the Vault API has for them.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use keyturn_core::{
    kv::{Payload, json},
    secret::{SecretBytes, SecretString},
};
use keyturn_protocol::aws::secretsmanager::ErrorCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{failure, invalid_parameter};
use crate::aws::{Call, failure::Failure};

#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

type Object<'a> = BTreeMap<Name<'a>, &'a RawValue>;

/// Whether the body is JSON that everybody reads alike.
pub(super) fn check_text(call: &Call) -> Result<(), Failure> {
    let text = call.body.expose_secret();
    let refused = |why| failure(ErrorCode::SerializationException, why);
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(refused("The body must be a JSON object."));
    }
    json::check(text).map_err(|error| match error.is_eof() {
        true => refused("The body ends too early for JSON."),
        false => refused("The body is not JSON in UTF-8."),
    })
}

/// The payload that a client sends; `None`: it sends none.
///
/// # Errors
/// When it sends two, or broken base64.
pub(super) fn payload(text: Option<SecretString>, bytes: Option<SecretString>) -> Result<Option<Payload>, Failure> {
    match (text, bytes) {
        (Some(_), Some(_)) => Err(invalid_parameter(
            "You can't specify both a binary secret value and a string secret value in the same secret.",
        )),
        (Some(text), None) => Ok(Some(Payload::from_text(SecretBytes::new(text.expose_secret().as_bytes().to_vec())))),
        (None, Some(encoded)) => {
            let mut bytes = SecretBytes::new(Vec::with_capacity(encoded.len()));
            STANDARD.decode_vec(encoded.expose_secret(), bytes.expose_secret_mut()).map_err(|_| {
                failure(ErrorCode::SerializationException, "SecretBinary is not base64 with padding (RFC 4648).")
            })?;
            Ok(Some(Payload::Bytes(bytes)))
        }
        (None, None) => Ok(None),
    }
}

/// A request that writes a value, as the door and the audit log are told of it: the value under the name that the Vault
/// API has for it, so that rules about parameters hold for both and the log's hashes of a value are the same.
pub(super) fn told(body: &SecretBytes, payload: Payload) -> Result<SecretBytes, Failure> {
    let mut object: Object<'_> = serde_json::from_slice(body.expose_secret())
        .map_err(|_| failure(ErrorCode::SerializationException, "The body must be a JSON object."))?;
    for value in ["SecretString", "SecretBinary", "data"] {
        object.remove(&Name(Cow::Borrowed(value)));
    }
    let data = payload.into_json_object();
    let mut told = SecretBytes::new(Vec::with_capacity(body.len() + data.len() + 16));
    let out = told.expose_secret_mut();
    out.extend_from_slice(b"{\"data\":");
    out.extend_from_slice(data.expose_secret());
    for (name, value) in &object {
        out.push(b',');
        _ = serde_json::to_writer(&mut *out, name);
        out.push(b':');
        out.extend_from_slice(value.get().as_bytes());
    }
    out.push(b'}');
    Ok(told)
}

/// A member that is text.
pub(super) fn member_text(body: &SecretBytes, name: &str) -> Option<String> {
    let object: Object<'_> = serde_json::from_slice(body.expose_secret()).ok()?;
    serde_json::from_str(object.get(&Name(Cow::Borrowed(name)))?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_door_sees_a_value_as_vault_has_it() {
        let body = br#"{"SecretId":"a","SecretString":"{\"k\":\"v\"}","data":"trick"}"#;
        let payload = Payload::from_text(SecretBytes::new(br#"{"k":"v"}"#.to_vec()));
        let told = told(&SecretBytes::new(body.to_vec()), payload).expect("an object");
        assert_eq!(told.expose_secret(), br#"{"data":{"k":"v"},"SecretId":"a"}"#);
    }

    #[test]
    fn a_value_is_text_or_bytes() {
        let text = || Some(SecretString::from("x"));
        assert!(payload(text(), text()).is_err());
        assert!(
            matches!(payload(None, Some("AP8=".into())), Ok(Some(Payload::Bytes(bytes))) if bytes.expose_secret() == [0, 255])
        );
        assert!(payload(None, Some("AP8".into())).is_err());
        assert!(matches!(payload(None, None), Ok(None)));
    }
}
