//! `GET configs/config/secrets/download`: names and values as one text, and an ETag that says what it was made from.
//!
//! The ETag is a keyed hash of the versions of all configs that the answer draws from and of how it is written, so that
//! nothing is opened or rendered for a client that has the answer already.

use std::collections::BTreeSet;

use hyper::{
    HeaderMap, StatusCode,
    header::{ETAG, HeaderValue, IF_NONE_MATCH},
};
use keyturn_core::{
    barrier::Mac,
    config_values::{Dynamic, Reading, Shown, Visibility},
    door::Permit,
    secret::{SecretBytes, SecretStr},
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

    /// What the answer depends on beside what the config holds.
    fn options(&self) -> Vec<&str> {
        let mut options = vec!["download", self.format.name(), self.transformer.map_or("", Transformer::name)];
        // All is something else than none: an empty list of names does not occur.
        options.extend(self.only.iter().flatten().map(String::as_str));
        options
    }
}

/// An ETag, quoted as HTTP has it.
fn quoted(etag: &Mac) -> String {
    let mut text = String::with_capacity(34);
    text.push('"');
    text.push_str(&hex::encode(&etag[..16]));
    text.push('"');
    text
}

fn unknown(name: &str, known: &[&str]) -> Failure {
    Failure::bad_request(format!("{name} must be one of {}", known.join(", ")))
}

pub(in crate::doppler) async fn download(call: &Call) -> Outcome {
    let target = call.target()?;
    reading(call, &target, Job::Download(&Asked::read(call)?)).await
}

/// The answer for a client that has the newest one, if that is known without reading.
pub(super) async fn unchanged(call: &Call, permit: &Permit, asked: &Asked) -> Attempt<Option<Reply>> {
    // With dynamic secrets each answer is another.
    if asked.dynamic.is_some() || !call.headers.contains_key(IF_NONE_MATCH) {
        return Ok(None);
    }
    let known = call.core.known_etag(permit, &asked.options(), asked.restricted).await?;
    let Some(etag) = known.map(|etag| quoted(&etag)).filter(|etag| has(&call.headers, etag)) else { return Ok(None) };
    if let Some((project, config)) = permit.rest().strip_prefix("data/").and_then(|name| name.split_once('/')) {
        call.core.projects().note_fetch(permit.mount(), project, config);
    }
    Ok(Some(tagged(not_modified(), &etag)))
}

pub(super) async fn downloaded(call: &Call, mut reading: Reading<'_>, asked: &Asked) -> Attempt {
    reading.follow(asked.only.as_ref());
    if reading.has_more() {
        Box::pin(follow(call, &mut reading)).await?;
    }
    if let Some(ttl) = asked.dynamic {
        let leases = dynamic::wanted(&reading, asked.dynamic, asked.only.as_ref());
        if !leases.is_empty() {
            let reply = Box::pin(leasing(call, asked, &mut reading, &leases, ttl)).await?;
            note_fetch(call, &reading);
            return Ok(reply);
        }
    }
    let options = asked.options();
    let mac = reading.etag(&options, asked.restricted);
    let etag = quoted(&mac);
    let reply = if has(&call.headers, &etag) { not_modified() } else { whole(asked, &mut reading).await? };
    // Only for those who will ask like that again: it costs others nothing.
    if call.headers.contains_key(IF_NONE_MATCH) {
        reading.remember(&options, asked.restricted, mac);
    }
    note_fetch(call, &reading);
    Ok(tagged(reply, &etag))
}

fn not_modified() -> Reply {
    Reply::text(StatusCode::NOT_MODIFIED, "", SecretBytes::default(), SecretBytes::new(b"{}".to_vec()))
}

fn tagged(reply: Reply, etag: &str) -> Reply {
    match HeaderValue::from_str(etag) {
        Ok(value) => reply.with(ETAG, value),
        Err(_) => reply,
    }
}

fn note_fetch(call: &Call, reading: &Reading<'_>) {
    call.core.projects().note_fetch(reading.mount(), &reading.target().project, &reading.target().config);
}

/// The download of a config with dynamic secrets. Each answer has credentials of its own: there is no ETag, for there is
/// nothing that a client could keep and ask about again. They are leased last, when nothing else can fail.
async fn leasing(call: &Call, asked: &Asked, reading: &mut Reading<'_>, leases: &[Dynamic], ttl: u64) -> Attempt {
    reading.load().await?;
    let only = asked.only.as_ref();
    let names: BTreeSet<String> = dynamic::names(leases, only).collect();
    let values = reading.values();
    let shown = values.shown(only, true);
    let mut secrets = visible(asked, &shown, &names)?;
    let planned = secrets.iter().map(|(name, _)| *name).chain(names.iter().map(String::as_str));
    rendered(asked, planned.map(|name| (name, SecretStr::new(""))).collect())?;
    let leased = dynamic::lease(call, leases, ttl, only).await?;
    secrets.extend(
        leased.iter().filter(|(name, _)| names.contains(*name)).map(|(name, value)| (name.as_str(), value.into())),
    );
    secrets.sort_by_key(|(name, _)| *name);
    rendered(asked, secrets)
}

async fn whole(asked: &Asked, reading: &mut Reading<'_>) -> Attempt {
    if let Some(direct) = reading.direct(asked.only.as_ref()).await? {
        let shown = direct.entries().filter(|(_, _, restricted)| asked.restricted || !restricted);
        return rendered(asked, shown.map(|(name, value, _)| (name, value)).collect());
    }
    reading.load().await?;
    let values = reading.values();
    let shown = values.shown(asked.only.as_ref(), true);
    rendered(asked, visible(asked, &shown, &BTreeSet::new())?)
}

/// Whether the client has what this ETag stands for.
fn has(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
    })
}

/// What is shown to the reader of the values, but those of the names in `without`.
fn visible<'v>(
    asked: &Asked,
    shown: &'v [Shown<'_>],
    without: &BTreeSet<String>,
) -> Attempt<Vec<(&'v str, SecretStr<'v>)>> {
    let mut secrets = Vec::with_capacity(shown.len());
    for secret in shown.iter().filter(|secret| !without.contains(secret.name)) {
        if !asked.restricted && secret.computed_visibility() == Visibility::Restricted {
            continue;
        }
        let value = match &secret.computed {
            None => secret.raw,
            Some(computed) => computed.value.as_ref().map_err(|why| unresolved(secret.name, why))?,
        };
        secrets.push((secret.name, SecretStr::from(value)));
    }
    Ok(secrets)
}

/// Names and values, which come sorted, as they are asked for.
fn rendered(asked: &Asked, secrets: Vec<(&str, SecretStr<'_>)>) -> Attempt {
    let Some(transformer) = asked.transformer else { return Ok(written(asked.format, &secrets)) };
    let mut named: Vec<(String, &str, SecretStr<'_>)> =
        secrets.into_iter().map(|(name, value)| (transformer.apply(name), name, value)).collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some([(name, one, _), (_, other, _)]) = named.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let text = format!("Secrets {one} and {other} would both be called {name}");
        return Err(Failure::bad_request(text).into());
    }
    let named: Vec<_> = named.into_iter().map(|(name, _, value)| (name, value)).collect();
    Ok(written(asked.format, &named))
}

fn written<N: AsRef<str>>(format: Format, secrets: &[(N, SecretStr<'_>)]) -> Reply {
    let text = format.render(secrets);
    match format {
        // What is sent is what is recorded.
        Format::Json | Format::DotnetJson => Reply::secret_json(StatusCode::OK, text),
        _ => Reply::text(StatusCode::OK, format.content_type(), text, Format::Json.render(secrets)),
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
