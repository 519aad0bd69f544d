//! `sys/tools`: random bytes and hashes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use keyturn_core::{secret::SecretBytes, tools::HashAlgorithm};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply};

/// Random bytes if nobody says how many.
const DEFAULT_BYTES: u64 = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Hex,
    Base64,
}

impl Format {
    fn of(fields: &Fields<'_>, default: Self) -> Result<Self, Failure> {
        match fields.text("format")?.as_deref() {
            None | Some("") => Ok(default),
            Some("hex") => Ok(Self::Hex),
            Some("base64") => Ok(Self::Base64),
            Some(_) => Err(Failure::bad_request("unsupported encoding format; must be \"hex\" or \"base64\"")),
        }
    }

    /// The text, in one buffer that does not grow.
    fn encode(self, bytes: &[u8]) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2 + 4));
        match self {
            Self::Hex => bytes.iter().for_each(|byte| {
                for digit in [byte >> 4, byte & 15] {
                    text.extend(char::from_digit(u32::from(digit), 16));
                }
            }),
            Self::Base64 => STANDARD.encode_string(bytes, &mut text),
        }
        text
    }
}

#[derive(Serialize)]
struct RandomBytes<'a> {
    random_bytes: &'a str,
}

/// How many, and from where, may stand in the path, so that policies can tell requests apart.
pub(in super::super) async fn random(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let (first, second) = (call.part("first").to_owned(), call.part("second").to_owned());
    let given = |fields: &Fields<'_>| fields.natural("bytes").map(|bytes| bytes.unwrap_or(DEFAULT_BYTES));
    let (source, bytes) = match (first.as_str(), second.as_str()) {
        ("", "") => (fields.text("source")?.unwrap_or_default(), given(&fields)?),
        ("platform" | "seal" | "all", "") => (first, given(&fields)?),
        (bytes, "") => (String::new(), count_of(bytes)?),
        (_, bytes) => (first.clone(), count_of(bytes)?),
    };
    if !matches!(source.as_str(), "" | "platform" | "seal" | "all") {
        return Err(Failure::bad_request("unsupported entropy source; must be \"platform\" or \"seal\", or \"all\""));
    }
    let format = Format::of(&fields, Format::Base64)?;
    let drawn = call.core.random_bytes(call.permit, bytes)?;
    let text = format.encode(drawn.expose_secret());
    let reply = Reply::secret(&RandomBytes { random_bytes: &text }, 32 + text.len())?;
    Ok(match source.as_str() {
        "seal" => reply.warn("no seal/entropy augmentation available, using platform entropy source"),
        _ => reply,
    })
}

fn count_of(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::bad_request("error parsing url-set byte count: it must be a whole number"))
}

pub(in super::super) async fn hash(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let named = Some(call.part("algorithm")).filter(|name| !name.is_empty()).map(str::to_owned);
    let name = match named {
        Some(name) => name,
        None => fields.text("algorithm")?.unwrap_or_else(|| "sha2-256".to_owned()),
    };
    let algorithm = HashAlgorithm::named(&name).ok_or_else(|| {
        Failure::bad_request(format!("unsupported algorithm: this server has {}", HashAlgorithm::NAMES.join(", ")))
    })?;
    let format = Format::of(&fields, Format::Hex)?;
    let input = fields.secret("input")?.unwrap_or_default();
    let input = STANDARD
        .decode(input.expose_secret())
        .map(SecretBytes::new)
        .map_err(|_| Failure::bad_request("unable to decode input as base64"))?;
    let sum = call.core.hash_of(call.permit, algorithm, &input);
    Reply::data(&json!({ "sum": format.encode(&sum).as_str() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats() {
        assert_eq!(Format::Hex.encode(&[0, 0x1f, 0xff]).as_str(), "001fff");
        assert_eq!(Format::Base64.encode(&[0, 0x1f, 0xff]).as_str(), "AB//");
    }
}
