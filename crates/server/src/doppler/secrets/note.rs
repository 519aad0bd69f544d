//! Notes on secrets: what a name means, the same for all configs of a project.

use std::collections::BTreeMap;

use keyturn_core::{config_values::Reading, policy::Operation};
use serde_json::json;

use super::{Attempt, failure};
use crate::doppler::{Outcome, call::Call, reply::Reply};

/// The notes of the project of a config that was read.
pub(super) async fn all(call: &Call, reading: &Reading<'_>) -> Attempt<BTreeMap<String, String>> {
    Ok(call.core.notes_of(reading).await?)
}

/// `POST configs/config/secrets/note`.
pub(in crate::doppler) async fn set(call: &Call) -> Outcome {
    let target = call.target()?;
    write(call, &call.config_path("data", &target)).await
}

/// `POST projects/project/note`.
pub(in crate::doppler) async fn set_of_project(call: &Call) -> Outcome {
    let project = call.project()?;
    write(call, &call.project_path(&project)).await
}

async fn write(call: &Call, path: &str) -> Outcome {
    let secret = call.parameters.required("secret")?;
    let note = call.parameters.text("note")?.unwrap_or_default();
    call.through(Operation::Update, path, |permit| async {
        let set = call.core.set_note(permit, &secret, &note).await;
        set.map_err(|error| failure(error.into()))?;
        Ok(Reply::ok(&json!({ "secret": secret, "note": note, "success": true })))
    })
    .await
}
