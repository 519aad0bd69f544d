//! Listing secrets, and reading one.

use std::collections::{BTreeMap, BTreeSet};

use hyper::StatusCode;
use keyturn_core::{
    config_values::{ConfigError, MANAGED, Reading},
    project::value_names,
    secret::{SecretBytes, SecretString},
};
use keyturn_protocol::doppler::secret_json::{self, SecretShape};
use serde_json::json;

use super::{Attempt, Job, Stumble, dynamic, follow, note, reading, sees_restricted, shape, wanted};
use crate::doppler::{Outcome, call::Call, error::Failure, reply::Reply};

/// Which secrets are wanted.
pub(super) struct Listed {
    only: Option<BTreeSet<String>>,
    managed: bool,
    /// For how many seconds dynamic secrets are to be leased, if they are.
    dynamic: Option<u64>,
}

/// `GET configs/config/secrets`.
pub(in crate::doppler) async fn list(call: &Call) -> Outcome {
    let target = call.target()?;
    let managed = call.parameters.boolean("include_managed_secrets")?.unwrap_or(true);
    reading(call, &target, Job::List(&Listed { only: wanted(call)?, managed, dynamic: dynamic::asked(call)? })).await
}

pub(super) async fn listed(call: &Call, mut reading: Reading<'_>, listed: &Listed) -> Attempt {
    let only = listed.only.as_ref();
    reading.follow(only);
    follow(call, &mut reading).await?;
    let leases = dynamic::wanted(&reading, listed.dynamic, only);
    let leased = match listed.dynamic.filter(|_| !leases.is_empty()) {
        None => BTreeMap::new(),
        Some(ttl) => {
            // Whatever may fail comes before a credential is made.
            reading.load().await?;
            dynamic::lease(call, &leases, ttl, only).await?
        }
    };
    Ok(Reply::secret_json(StatusCode::OK, shapes(call, &mut reading, (only, listed.managed), &leased).await?))
}

/// All secrets of a config that has been followed, as JSON.
pub(super) async fn shapes(
    call: &Call,
    reading: &mut Reading<'_>,
    (only, managed): (Option<&BTreeSet<String>>, bool),
    leased: &BTreeMap<String, SecretString>,
) -> Attempt<SecretBytes> {
    reading.load().await?;
    let notes = note::all(call, reading).await?;
    let restricted = sees_restricted(call);
    let values = reading.values();
    let shown = values.shown(only, managed);
    let note = |name: &str| notes.get(name).map_or("", String::as_str);
    let shown = shown.iter().filter(|shown| !leased.contains_key(shown.name));
    let mut shapes: Vec<_> = shown.map(|shown| shape(shown, note(shown.name), restricted)).collect();
    if !leased.is_empty() {
        shapes.extend(leased.iter().map(|(name, value)| leased_shape(name, value, note(name))));
        shapes.sort_by_key(|shape| shape.name);
    }
    Ok(secret_json::secrets(&shapes))
}

fn leased_shape<'s>(name: &'s str, value: &'s SecretString, note: &'s str) -> SecretShape<'s> {
    let (raw, computed) = (Some(value), Some(value));
    SecretShape {
        name,
        raw,
        computed,
        note,
        raw_visibility: "masked",
        computed_visibility: "masked",
        value_type: "string",
    }
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
    // Names are no values: nothing is leased for them.
    let dynamic = dynamic::asked(call)?.is_some();
    reading(call, &target, Job::Names { managed, dynamic }).await
}

pub(super) fn named(reading: &Reading<'_>, managed: bool, dynamic: bool) -> Attempt {
    if let Some(name) = reading.holds_bytes() {
        return Err(ConfigError::Bytes(name.clone()).into());
    }
    let leases = if dynamic { reading.dynamic() } else { Vec::new() };
    let leased: Vec<String> = leases.iter().flat_map(|secret| value_names(secret.name())).collect();
    let mut names = reading.names();
    names.extend(leased.iter().map(String::as_str));
    names.extend(MANAGED.iter().filter(|_| managed));
    Ok(Reply::ok(&json!({ "names": names, "success": true })))
}
