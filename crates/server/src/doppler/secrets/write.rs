//! Setting, uploading and deleting secrets.

use std::{collections::BTreeMap, sync::atomic::AtomicBool};

use hyper::StatusCode;
use keyturn_core::{
    config_values::{FieldsWrite, MANAGED, Overlay, Reading},
    door::Permit,
    policy::Operation,
    secret::SecretBytes,
};
use keyturn_protocol::doppler::{change::ChangeShape, env_file};

use super::{
    ATTEMPTS, Attempt, Stumble,
    changes::{Change, check, check_rotated, decide},
    follow,
    read::{no_secret, shapes},
    sees_restricted, settle,
};
use crate::doppler::{
    Outcome,
    call::{Call, Target},
    error::Failure,
    reply::Reply,
};

/// `POST configs/config/secrets`.
pub(in crate::doppler) async fn change(call: &Call) -> Outcome {
    let target = call.target()?;
    let shape: ChangeShape = call.parameters.body()?;
    let changes = match (shape.secrets, shape.change_requests) {
        (Some(secrets), None) => secrets.into_iter().map(|(name, value)| Change::simple(name, value)).collect(),
        (None, Some(requests)) => requests.into_iter().map(Change::of_request).collect::<Result<Vec<_>, _>>()?,
        (Some(_), Some(_)) => return Err(Failure::bad_request("secrets and change_requests cannot both be there")),
        (None, None) => return Err(Failure::bad_request("secrets or change_requests is missing")),
    };
    apply(call, &target, &changes, After::Show).await
}

/// `POST configs/config/secrets/upload`.
pub(in crate::doppler) async fn upload(call: &Call) -> Outcome {
    let target = call.target()?;
    let file = call.parameters.secret("file")?.ok_or_else(|| Failure::bad_request("file is missing"))?;
    let pairs = env_file::parse_any(file.expose_secret()).map_err(|error| {
        Failure::bad_request(format!("the file must be lines of NAME=value or one JSON object: {error}"))
    })?;
    // A file that was downloaded says which config it came from.
    let changes: Vec<Change> = pairs
        .into_iter()
        .filter(|(name, _)| !MANAGED.contains(&name.as_str()))
        .map(|(name, value)| Change::simple(name, Some(value)))
        .collect();
    apply(call, &target, &changes, After::Show).await
}

/// `DELETE configs/config/secret`.
pub(in crate::doppler) async fn delete(call: &Call) -> Outcome {
    let target = call.target()?;
    let name = call.parameters.required("name")?;
    apply(call, &target, &[Change::simple(name.clone(), None)], After::Gone(&name)).await
}

/// What is answered.
#[derive(Clone, Copy)]
enum After<'a> {
    /// The whole config as it is then.
    Show,
    /// Nothing; it must have been there.
    Gone(&'a str),
}

/// Carries out changes, all or none. They are decided on the config as it was read, and anew if it was changed before
/// they were committed.
async fn apply(call: &Call, target: &Target, changes: &[Change], after: After<'_>) -> Outcome {
    let path = call.config_path("data", target);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let again = AtomicBool::new(false);
        let outcome = call
            .through(Operation::Update, &path, |permit| async {
                settle(attempt(call, &path, permit, changes, after).await, &again)
            })
            .await;
        if !again.into_inner() || attempts == ATTEMPTS {
            return outcome;
        }
    }
}

async fn attempt(call: &Call, path: &str, permit: Permit, changes: &[Change], after: After<'_>) -> Attempt {
    let mut reading = call.core.read_config(call.also(Operation::Read, path).await?).await?;
    reading.load().await?;
    if let After::Gone(name) = after
        && reading.values().own(reading.target(), name).is_none()
        && !reading.values().inherits(name)
    {
        return Err(no_secret(name));
    }
    let decided = decide(changes, &reading, sees_restricted(call))?;
    check_rotated(&decided, &reading).await?;
    let checked = decided.checks.keys().cloned().collect();
    reading.lay_over(Overlay::new(decided.own.values.clone()));
    reading.follow(Some(&checked));
    follow(call, &mut reading).await?;
    reading.load().await?;
    check(&decided, &reading)?;
    let mut writes = vec![FieldsWrite { permit, values: decided.own.values, marks: decided.own.marks }];
    if let Some(root) = reading.root().filter(|_| !decided.root.values.is_empty()) {
        let root = Target { project: root.project, config: root.config };
        let permit = call.also(Operation::Update, &call.config_path("data", &root)).await?;
        writes.push(FieldsWrite { permit, values: decided.root.values, marks: decided.root.marks });
    }
    reading.write(writes).await?;
    match after {
        After::Gone(_) => Ok(Reply::nothing()),
        After::Show => Ok(Reply::secret_json(StatusCode::OK, shown(call, reading).await?)),
    }
}

/// The config as it is after the write. That somebody changes it at once does not undo the write.
async fn shown(call: &Call, mut reading: Reading<'_>) -> Attempt<SecretBytes> {
    for _ in 0..ATTEMPTS {
        reading = reading.again().await?;
        reading.follow(None);
        follow(call, &mut reading).await?;
        match shapes(call, &mut reading, (None, true), &BTreeMap::new()).await {
            Err(Stumble::Changed) => {}
            outcome => return outcome,
        }
    }
    Err(Failure::conflict("The secrets were written, but others keep changing the config: read it again").into())
}
