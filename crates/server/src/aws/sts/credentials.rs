//! Temporary credentials as STS shows them.

use std::ops::RangeInclusive;

use keyturn_core::{access_key::TemporaryCredentials, clock::Timestamp, secret::SecretBytes};
use serde_json::json;

use super::{super::failure::Failure, form::Form};

/// `DurationSeconds`, or `default`.
pub(super) fn duration(form: &Form, default: u64, allowed: RangeInclusive<u64>) -> Result<u64, Failure> {
    let Some(text) = form.text("DurationSeconds") else { return Ok(default) };
    text.parse().ok().filter(|seconds| allowed.contains(seconds)).ok_or_else(|| {
        let (least, most) = (allowed.start(), allowed.end());
        Failure::client("ValidationError", format!("DurationSeconds must be {least} to {most}."))
    })
}

/// The element `Credentials`, in a buffer that need not grow. Nothing in it has to be escaped.
pub(super) fn element(made: &TemporaryCredentials) -> SecretBytes {
    let expiration = whole_seconds(made.expires).to_string();
    let parts = [
        "<Credentials><AccessKeyId>",
        &made.key.id,
        "</AccessKeyId><SecretAccessKey>",
        made.key.secret.expose_secret(),
        "</SecretAccessKey><SessionToken>",
        made.session_token.expose_secret(),
        "</SessionToken><Expiration>",
        &expiration,
        "</Expiration></Credentials>",
    ];
    let mut element = SecretBytes::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| element.expose_secret_mut().extend_from_slice(part.as_bytes()));
    element
}

/// What the audit log records of them: not the secret halves, not even hashed, but whom to revoke.
pub(super) fn audited(made: &TemporaryCredentials) -> SecretBytes {
    let data = json!({ "access_key_id": made.key.id, "accessor": made.key.entry.accessor });
    SecretBytes::new(data.to_string().into_bytes())
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
