//! `configs/config/tokens`: service tokens.

use keyturn_core::{
    clock::Timestamp,
    policy::Operation,
    project::{Access, ConfigView, NewServiceToken, ServiceToken},
    secret::SecretBytes,
};
use keyturn_protocol::doppler::TokenShape;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Outcome,
    call::{Call, Target},
    error::Failure,
    reply::Reply,
    shape,
};

pub(super) async fn list(call: &Call) -> Outcome {
    let target = call.target()?;
    call.through(Operation::Read, &call.config_path("metadata", &target), |permit| async {
        let (config, tokens) = call.core.projects().service_tokens(permit).await?;
        let tokens: Vec<_> = tokens.iter().map(|token| told(&target, &config, token)).collect();
        Ok(Reply::ok(&json!({ "tokens": tokens, "success": true })))
    })
    .await
}

#[derive(Serialize)]
struct Made<'a> {
    token: Key<'a>,
    success: bool,
}

#[derive(Serialize)]
struct Key<'a> {
    #[serde(flatten)]
    token: &'a TokenShape,
    key: &'a str,
}

pub(super) async fn create(call: &Call) -> Outcome {
    let target = call.target()?;
    let access = call.parameters.text("access")?.unwrap_or_else(|| "read".to_owned());
    let access = Access::named(&access).ok_or_else(|| Failure::bad_request("access must be read or read/write"))?;
    let new = NewServiceToken { name: call.parameters.required("name")?, access, expires: expiry(call, "expire_at")? };
    call.through(Operation::Update, &call.config_path("metadata", &target), |permit| async {
        let (key, token, config) = call.core.projects().create_service_token(permit, new).await?;
        let shown = told(&target, &config, &token);
        // The buffer must not grow, or a copy of the token stays behind; escaping makes at most six bytes of one.
        let room = 1024 + key.len() + 6 * (shown.name.len() + shown.project.len() + shown.config.len() * 2);
        let mut text = SecretBytes::new(Vec::with_capacity(room));
        let made = Made { token: Key { token: &shown, key: key.expose_secret() }, success: true };
        serde_json::to_writer(text.expose_secret_mut(), &made).map_err(|error| Failure::internal(&error, ""))?;
        Ok(Reply::secret_json(hyper::StatusCode::OK, text))
    })
    .await
}

pub(super) async fn revoke(call: &Call) -> Outcome {
    let (target, slug) = (call.target()?, call.parameters.text("slug")?);
    let token = call.parameters.secret("token")?;
    call.through(Operation::Update, &call.config_path("metadata", &target), |permit| async {
        call.core.projects().revoke_service_token(permit, slug.as_deref(), token.as_ref()).await?;
        Ok(Reply::ok(&json!({ "success": true })))
    })
    .await
}

fn told(target: &Target, config: &ConfigView, token: &ServiceToken) -> TokenShape {
    TokenShape {
        name: token.named.name.clone(),
        slug: token.named.slug.clone(),
        created_at: shape::time(token.named.created),
        config: target.config.clone(),
        environment: config.environment.clone(),
        project: target.project.clone(),
        expires_at: token.named.expires.map(shape::time),
        access: token.access.name().to_owned(),
    }
}

/// When a token is to end: the command line sends seconds since 1970, others a date.
pub(super) fn expiry(call: &Call, name: &str) -> Result<Option<Timestamp>, Failure> {
    let wrong =
        || Failure::bad_request(format!("{name} must be a date such as 2030-01-31T00:00:00Z, or seconds since 1970"));
    let time = match call.parameters.value::<Value>(name, "a date")? {
        None => return Ok(None),
        Some(Value::Number(seconds)) => {
            let seconds = seconds.as_i64().ok_or_else(wrong)?;
            if seconds == 0 {
                return Ok(None);
            }
            Timestamp::from_second(seconds).map_err(|_| wrong())?
        }
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => text.parse().map_err(|_| wrong())?,
        Some(_) => return Err(wrong()),
    };
    Ok(Some(time))
}
