//! Listing secrets, and reading one.

use std::collections::BTreeSet;

use hyper::StatusCode;
use keyturn_core::{
    config_values::{ConfigError, MANAGED, Reading},
    secret::SecretBytes,
};
use keyturn_protocol::doppler::secret_json;
use serde_json::json;

use super::{Attempt, Job, Stumble, follow, note, reading, sees_restricted, shape, wanted};
use crate::doppler::{Outcome, call::Call, error::Failure, reply::Reply};

/// Which secrets are wanted.
pub(super) struct Listed {
    only: Option<BTreeSet<String>>,
    managed: bool,
}

/// `GET configs/config/secrets`.
pub(in crate::doppler) async fn list(call: &Call) -> Outcome {
    let target = call.target()?;
    let managed = call.parameters.boolean("include_managed_secrets")?.unwrap_or(true);
    reading(call, &target, Job::List(&Listed { only: wanted(call)?, managed })).await
}

pub(super) async fn listed(call: &Call, mut reading: Reading<'_>, Listed { only, managed }: &Listed) -> Attempt {
    reading.follow(only.as_ref());
    follow(call, &mut reading).await?;
    Ok(Reply::secret_json(StatusCode::OK, shapes(call, &mut reading, only.as_ref(), *managed).await?))
}

/// All secrets of a config that has been followed, as JSON.
pub(super) async fn shapes(
    call: &Call,
    reading: &mut Reading<'_>,
    only: Option<&BTreeSet<String>>,
    managed: bool,
) -> Attempt<SecretBytes> {
    reading.load().await?;
    let notes = note::all(call, reading).await?;
    let restricted = sees_restricted(call);
    let values = reading.values();
    let shown = values.shown(only, managed);
    let note = |name: &str| notes.get(name).map_or("", String::as_str);
    let shapes: Vec<_> = shown.iter().map(|shown| shape(shown, note(shown.name), restricted)).collect();
    Ok(secret_json::secrets(&shapes))
}

/// `GET configs/config/secret`.
pub(in crate::doppler) async fn one(call: &Call) -> Outcome {
    let target = call.target()?;
    let name = call.parameters.required("name")?;
    reading(call, &target, Job::One(&name)).await
}

pub(super) async fn found(call: &Call, mut reading: Reading<'_>, name: &str) -> Attempt {
    let only = BTreeSet::from([name.to_owned()]);
    reading.follow(Some(&only));
    follow(call, &mut reading).await?;
    reading.load().await?;
    let notes = note::all(call, &reading).await?;
    let values = reading.values();
    let shown = values.shown(Some(&only), true);
    let shown = shown.first().ok_or_else(|| no_secret(name))?;
    let note = notes.get(name).map_or("", String::as_str);
    Ok(Reply::secret_json(StatusCode::OK, secret_json::secret(&shape(shown, note, sees_restricted(call)))))
}

pub(super) fn no_secret(name: &str) -> Stumble {
    let shown: String = name.chars().take(200).collect();
    Stumble::Failed(Failure::not_found(format!("Could not find requested secret '{}'", shown.escape_debug())))
}

/// `GET configs/config/secrets/names`.
pub(in crate::doppler) async fn names(call: &Call) -> Outcome {
    let target = call.target()?;
    let managed = call.parameters.boolean("include_managed_secrets")?.unwrap_or(true);
    reading(call, &target, Job::Names { managed }).await
}

pub(super) fn named(reading: &Reading<'_>, managed: bool) -> Attempt {
    if let Some(name) = reading.holds_bytes() {
        return Err(ConfigError::Bytes(name.clone()).into());
    }
    let mut names = reading.names();
    names.extend(MANAGED.iter().filter(|_| managed));
    Ok(Reply::ok(&json!({ "names": names, "success": true })))
}
