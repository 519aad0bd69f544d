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
    config_values::{Dynamic, Reading, Values, Visibility},
    secret::{SecretBytes, SecretString},
};
use keyturn_protocol::doppler::{format::Format, transformer::Transformer};

use super::{Attempt, Job, dynamic, follow, reading, sees_restricted, unresolved, wanted};
use crate::doppler::{Outcome, call::Call, error::Failure, reply::Reply};

/// How a download is to be written.
pub(super) struct Asked {
    format: Format,
    transformer: Option<Transformer>,
    only: Option<BTreeSet<String>>,
    restricted: bool,
    /// For how many seconds dynamic secrets are to be leased, if they are.
    dynamic: Option<u64>,
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
        let (only, restricted, dynamic) = (wanted(call)?, sees_restricted(call), dynamic::asked(call)?);
        Ok(Self { format, transformer, only, restricted, dynamic })
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
    let leases = dynamic::wanted(&reading, asked.dynamic, asked.only.as_ref());
    let reply = if let (Some(ttl), false) = (asked.dynamic, leases.is_empty()) {
        // Each answer has credentials of its own: there is none that a client could keep and ask about again.
        reading.load().await?;
        leasing(call, asked, &reading, &leases, ttl).await?
    } else {
        let etag = asked.etag(&reading);
        let reply = if has(&call.headers, &etag) {
            Reply::text(StatusCode::NOT_MODIFIED, "", SecretBytes::default(), SecretBytes::new(b"{}".to_vec()))
        } else {
            reading.load().await?;
            let mut written = Written::new(asked);
            written.add_all(&reading.values(), &BTreeSet::new())?;
            written.reply()
        };
        match HeaderValue::from_str(&etag) {
            Ok(value) => reply.with(ETAG, value),
            Err(_) => reply,
        }
    };
    call.core.projects().note_fetch(reading.mount(), &reading.target().project, &reading.target().config);
    Ok(reply)
}

/// The download of a config with dynamic secrets. They are leased last, when nothing else can fail.
async fn leasing(call: &Call, asked: &Asked, reading: &Reading<'_>, leases: &[Dynamic], ttl: u64) -> Attempt {
    let only = asked.only.as_ref();
    let names: BTreeSet<String> = dynamic::names(leases, only).collect();
    let mut written = Written::new(asked);
    written.add_all(&reading.values(), &names)?;
    let places = names.iter().map(|name| written.claim(name)).collect::<Result<Vec<_>, _>>()?;
    let mut leased = dynamic::lease(call, leases, ttl, only).await?;
    for (place, name) in places.into_iter().zip(&names) {
        if let Some(value) = leased.remove(name) {
            written.secrets.insert(place, value);
        }
    }
    Ok(written.reply())
}

/// Whether the client has what this ETag stands for.
fn has(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
    })
}

/// A download as far as it is written.
struct Written<'a> {
    asked: &'a Asked,
    secrets: BTreeMap<String, SecretString>,
    /// Whose a transformed name is.
    names: BTreeMap<String, String>,
}

impl<'a> Written<'a> {
    fn new(asked: &'a Asked) -> Self {
        Self { asked, secrets: BTreeMap::new(), names: BTreeMap::new() }
    }

    /// What a secret is called in the download.
    fn claim(&mut self, secret: &str) -> Result<String, Failure> {
        let name = self.asked.transformer.map_or_else(|| secret.to_owned(), |transformer| transformer.apply(secret));
        if let Some(other) = self.names.insert(name.clone(), secret.to_owned()) {
            return Err(Failure::bad_request(format!("Secrets {other} and {secret} would both be called {name}")));
        }
        Ok(name)
    }

    /// All values that the reader is shown, but those of the names in `without`.
    fn add_all(&mut self, values: &Values<'_>, without: &BTreeSet<String>) -> Attempt<()> {
        let shown = values.shown(self.asked.only.as_ref(), true);
        for secret in shown.iter().filter(|secret| !without.contains(secret.name)) {
            if !self.asked.restricted && secret.computed_visibility() == Visibility::Restricted {
                continue;
            }
            let value = match &secret.computed {
                None => secret.raw,
                Some(computed) => computed.value.as_ref().map_err(|why| unresolved(secret.name, why))?,
            };
            let name = self.claim(secret.name)?;
            self.secrets.insert(name, value.clone());
        }
        Ok(())
    }

    fn reply(&self) -> Reply {
        let audited = Format::Json.render(&self.secrets);
        let (kind, text) = (self.asked.format.content_type(), self.asked.format.render(&self.secrets));
        Reply::text(StatusCode::OK, kind, text, audited)
    }
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
