//! Somebody else's endpoint, told of each of four steps as AWS tells a rotation function: an unmodified function behind
//! its runtime emulator is such an endpoint.
//!
//! ```text
//! POST <url>
//! {"Step":"createSecret","SecretId":"…","ClientRequestToken":"…","RotationToken":"…"}
//! ```
//!
//! It writes the value into the version of that token itself. An answer above 299, or one that is an object with
//! `errorMessage`, says that the step failed.

use serde_json::json;

use super::{Act, Acting};
use crate::{
    outbound::{Body, Credential, Request},
    rotation::{Inner, machine::StepError},
    secret::SecretBytes,
};

/// Characters of an error message that are kept.
const MAX_MESSAGE: usize = 200;

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
    let token = &acting.run.id;
    let event = json!({
        "Step": step,
        "SecretId": hook.secret_id,
        "ClientRequestToken": token,
        "RotationToken": token,
    });
    let request = Request {
        url: hook.url.clone(),
        ca_pem: hook.ca_pem.clone(),
        credential: Credential::None,
        body: Some(Body::Json(SecretBytes::new(event.to_string().into_bytes()))),
        headers: Vec::new(),
    };
    let again = |reason: &dyn std::fmt::Display| StepError::Again(format!("{step}: {reason}"));
    let reply = inner.outbound.send(request).await.map_err(|error| again(&error))?;
    if let Some(message) = error_message(&reply.body) {
        return Err(again(&message));
    }
    if reply.status >= 300 {
        return Err(again(&format!("the hook answered with status {}", reply.status)));
    }
    Ok(())
}

/// What the answer says was wrong. A function's own words are shown to whoever may see the rotation, cut short.
fn error_message(body: &SecretBytes) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(body.expose_secret()).ok()?;
    let kind = answer.get("errorType").and_then(serde_json::Value::as_str);
    let message = answer.get("errorMessage").and_then(serde_json::Value::as_str).or(kind)?;
    Some(message.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect())
}
