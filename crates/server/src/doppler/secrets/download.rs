//! `GET configs/config/secrets/download`: names and values as one text, and an ETag that says what it was made from.
//!
//! The ETag is a keyed hash of the versions of all configs that the answer draws from and of how it is written, so that
//! nothing is opened or rendered for a client that has the answer already.

use std::collections::{BTreeMap, BTreeSet};

use hyper::{
    HeaderMap, StatusCode,
    header::{ETAG, HeaderValue, IF_NONE_MATCH},
};
use keyturn_core::{
    config_values::{Reading, Values, Visibility},
    secret::{SecretBytes, SecretString},
};
use keyturn_protocol::doppler::{format::Format, transformer::Transformer};

use super::{Attempt, Job, follow, reading, sees_restricted, unresolved, wanted};
use crate::doppler::{Outcome, call::Call, error::Failure, reply::Reply};

/// How a download is to be written.
pub(super) struct Asked {
    format: Format,
    transformer: Option<Transformer>,
    only: Option<BTreeSet<String>>,
    restricted: bool,
}

impl Asked {
    fn read(call: &Call) -> Result<Self, Failure> {
        let format = match call.parameters.text("format")? {
            None => Format::default(),
            Some(name) => Format::named(&name).ok_or_else(|| unknown("format", &Format::ALL.map(|(name, _)| name)))?,
        };
        let transformer = match call.parameters.text("name_transformer")?.as_deref() {
            None | Some("none") => None,
            Some(name) => {
                let known = Transformer::ALL.map(|(name, _)| name);
                Some(Transformer::named(name).ok_or_else(|| unknown("name_transformer", &known))?)
            }
        };
        let transformer = transformer.or(format.transformer());
        Ok(Self { format, transformer, only: wanted(call)?, restricted: sees_restricted(call) })
    }

    /// A keyed hash of all that the answer depends on, quoted as HTTP has it.
    fn etag(&self, reading: &Reading<'_>) -> String {
        let mut options = vec!["download", self.format.name(), self.transformer.map_or("", Transformer::name)];
        // All is something else than none: an empty list of names does not occur.
        options.extend(self.only.iter().flatten().map(String::as_str));
        format!("\"{}\"", hex::encode(&reading.etag(&options, self.restricted)[..16]))
    }
}

fn unknown(name: &str, known: &[&str]) -> Failure {
    Failure::bad_request(format!("{name} must be one of {}", known.join(", ")))
}

pub(in crate::doppler) async fn download(call: &Call) -> Outcome {
    let target = call.target()?;
    reading(call, &target, Job::Download(&Asked::read(call)?)).await
}

pub(super) async fn downloaded(call: &Call, mut reading: Reading<'_>, asked: &Asked) -> Attempt {
    reading.follow(asked.only.as_ref());
    follow(call, &mut reading).await?;
    let etag = asked.etag(&reading);
    let reply = if has(&call.headers, &etag) {
        Reply::text(StatusCode::NOT_MODIFIED, "", SecretBytes::default(), SecretBytes::new(b"{}".to_vec()))
    } else {
        reading.load().await?;
        rendered(asked, &reading.values())?
    };
    call.core.projects().note_fetch(reading.mount(), &reading.target().project, &reading.target().config);
    Ok(match HeaderValue::from_str(&etag) {
        Ok(value) => reply.with(ETAG, value),
        Err(_) => reply,
    })
}

/// Whether the client has what this ETag stands for.
fn has(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
    })
}

fn rendered(asked: &Asked, values: &Values<'_>) -> Attempt {
    let mut secrets: BTreeMap<String, SecretString> = BTreeMap::new();
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    let shown = values.shown(asked.only.as_ref(), true);
    for secret in &shown {
        if !asked.restricted && secret.computed_visibility() == Visibility::Restricted {
            continue;
        }
        let value = match &secret.computed {
            None => secret.raw,
            Some(computed) => computed.value.as_ref().map_err(|why| unresolved(secret.name, why))?,
        };
        let name =
            asked.transformer.map_or_else(|| secret.name.to_owned(), |transformer| transformer.apply(secret.name));
        if let Some(other) = names.insert(name.clone(), secret.name) {
            let text = format!("Secrets {other} and {} would both be called {name}", secret.name);
            return Err(Failure::bad_request(text).into());
        }
        secrets.insert(name, value.clone());
    }
    let audited = Format::Json.render(&secrets);
    let (kind, text) = (asked.format.content_type(), asked.format.render(&secrets));
    Ok(Reply::text(StatusCode::OK, kind, text, audited))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_found_among_those_that_a_client_has() {
        let found = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| _ = headers.append(IF_NONE_MATCH, value.parse().expect("a header")));
            has(&headers, "\"abc\"")
        };
        for values in [&["\"abc\""][..], &["W/\"abc\""], &["\"x\", \"abc\""], &["\"x\"", "\"abc\""], &["*"]] {
            assert!(found(values), "{values:?}");
        }
        for values in [&[][..], &[""], &["abc"], &["\"ABC\""], &["\"abc"], &["\"abcd\""], &["w/\"abc\""]] {
            assert!(!found(values), "{values:?}");
        }
    }
}
