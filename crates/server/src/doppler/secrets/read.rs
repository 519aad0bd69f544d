//! Listing secrets, and reading one.

use std::collections::BTreeSet;

use keyturn_core::{
    config_values::{MANAGED, Reading},
    secret::SecretBytes,
};
use keyturn_protocol::doppler::secret_json;
use serde_json::json;

use super::{Attempt, Stumble, follow, note, reading, sees_restricted, shape, wanted};
use crate::doppler::{Outcome, call::Call, error::Failure, reply::Reply};

/// `GET configs/config/secrets`.
pub(in crate::doppler) async fn list(call: &Call) -> Outcome {
    let target = call.target()?;
    let only = wanted(call)?;
    let managed = call.parameters.boolean("include_managed_secrets")?.unwrap_or(true);
    reading(call, &target, async |mut reading: Reading<'_>| {
        reading.follow(only.as_ref());
        follow(call, &mut reading).await?;
        Ok(Reply::secret_json(hyper::StatusCode::OK, shapes(call, &mut reading, only.as_ref(), managed).await?))
    })
    .await
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
    let only = BTreeSet::from([name.clone()]);
    reading(call, &target, async |mut reading: Reading<'_>| {
        reading.follow(Some(&only));
        follow(call, &mut reading).await?;
        reading.load().await?;
        let notes = note::all(call, &reading).await?;
        let values = reading.values();
        let shown = values.shown(Some(&only), true);
        let shown = shown.first().ok_or_else(|| no_secret(&name))?;
        let note = notes.get(&name).map_or("", String::as_str);
        let text = secret_json::secret(&shape(shown, note, sees_restricted(call)));
        Ok(Reply::secret_json(hyper::StatusCode::OK, text))
    })
    .await
}

pub(super) fn no_secret(name: &str) -> Stumble {
    let shown: String = name.chars().take(200).collect();
    Stumble::Failed(Failure::not_found(format!("Could not find requested secret '{}'", shown.escape_debug())))
}

/// `GET configs/config/secrets/names`.
pub(in crate::doppler) async fn names(call: &Call) -> Outcome {
    let target = call.target()?;
    let managed = call.parameters.boolean("include_managed_secrets")?.unwrap_or(true);
    reading(call, &target, async |reading: Reading<'_>| {
        if let Some(name) = reading.holds_bytes() {
            return Err(keyturn_core::config_values::ConfigError::Bytes(name.clone()).into());
        }
        let mut names = reading.names();
        names.extend(MANAGED.iter().filter(|_| managed));
        Ok(Reply::ok(&json!({ "names": names, "success": true })))
    })
    .await
}
