//! Somebody else's endpoint or program, told of each of four steps as AWS tells a rotation function: an unmodified function
//! behind its runtime emulator is such an endpoint.
//!
//! ```text
//! POST <url>                                or: a command, with this on its standard input
//! {"Step":"createSecret","SecretId":"…","ClientRequestToken":"…","RotationToken":"…"}
//! ```
//!
//! It writes the value into the version of that token itself. An answer above 299, an exit code other than 0, or an answer
//! that is an object with `errorMessage`, says that the step failed. Any step may be told twice.

use std::{fmt::Display, time::Duration};

use super::{Act, Acting};
use crate::{
    hook_command::{CommandError, HookEvent},
    outbound::{Body, Credential, Request},
    rotation::{Hook, Inner, Settings, machine::StepError},
    secret::SecretBytes,
};

/// Characters of an error message that are kept.
const MAX_MESSAGE: usize = 200;

/// How long one step may take, if it may take longer than most.
pub(super) fn patience(inner: &Inner, settings: &Settings) -> Option<Duration> {
    let command = settings.hook.as_ref().map(|hook| hook.command.as_str()).filter(|command| !command.is_empty())?;
    inner.outbound.commands().timeout(command)
}

pub(super) async fn perform(inner: &Inner, acting: &Acting<'_>, act: Act) -> Result<(), StepError> {
    match act {
        Act::Set => {
            call(inner, acting, "createSecret").await?;
            let secret = inner.kv.rotating(acting.site).await?;
            if secret.by_id(&acting.run.id).is_none_or(|version| version.empty) {
                return Err(StepError::Again("after createSecret the pending version still holds no value".to_owned()));
            }
            call(inner, acting, "setSecret").await
        }
        Act::Test => call(inner, acting, "testSecret").await,
        Act::Finish => call(inner, acting, "finishSecret").await,
        Act::Revoke | Act::Undo => Ok(()),
    }
}

async fn call(inner: &Inner, acting: &Acting<'_>, step: &str) -> Result<(), StepError> {
    let hook = acting.settings.hook.as_ref().ok_or_else(|| StepError::Never("the rotation has no hook".to_owned()))?;
    let event = HookEvent { step, secret_id: &hook.secret_id, version_id: &acting.run.id };
    let done = if hook.command.is_empty() { post(inner, hook, event).await } else { run(inner, hook, event).await };
    let place = |reason: String| format!("{step}: {reason}");
    done.map_err(|error| match error {
        StepError::Again(reason) => StepError::Again(place(reason)),
        StepError::Never(reason) => StepError::Never(place(reason)),
        error => error,
    })
}

async fn post(inner: &Inner, hook: &Hook, event: HookEvent<'_>) -> Result<(), StepError> {
    let request = Request {
        url: hook.url.clone(),
        ca_pem: hook.ca_pem.clone(),
        credential: Credential::None,
        body: Some(Body::Json(event.to_json())),
        headers: Vec::new(),
    };
    let reply = inner.outbound.send(request).await.map_err(|error| again(&error))?;
    if let Some(message) = error_message(&reply.body) {
        return Err(again(&message));
    }
    if reply.status >= 300 {
        return Err(again(&format_args!("the hook answered with status {}", reply.status)));
    }
    Ok(())
}

async fn run(inner: &Inner, hook: &Hook, event: HookEvent<'_>) -> Result<(), StepError> {
    let reply = inner.outbound.commands().run(&hook.command, event).await.map_err(|error| match error {
        // Somebody has to change the configuration, or the program, first.
        CommandError::Unknown(_) | CommandError::NotStarted(_) => StepError::Never(error.to_string()),
        CommandError::Ended(_) => again(&error),
    })?;
    if let Some(message) = error_message(&reply.output) {
        return Err(again(&message));
    }
    match reply.code {
        Some(0) => Ok(()),
        Some(code) => Err(again(&format_args!("the command ended with exit code {code}"))),
        None => Err(again(&"a signal ended the command")),
    }
}

fn again(reason: &dyn Display) -> StepError {
    StepError::Again(reason.to_string())
}

/// What the answer says was wrong. A hook's own words are shown to whoever may see the rotation, cut short.
fn error_message(body: &SecretBytes) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(body.expose_secret()).ok()?;
    let kind = answer.get("errorType").and_then(serde_json::Value::as_str);
    let message = answer.get("errorMessage").and_then(serde_json::Value::as_str).or(kind)?;
    Some(message.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect())
}
