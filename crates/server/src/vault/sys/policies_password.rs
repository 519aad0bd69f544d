//! `sys/policies/password`: password policies.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::json;

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

#[derive(Serialize)]
struct Password<'a> {
    password: &'a str,
}

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.password_policies().list(call.permit).await?)
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let text = call.core.password_policies().read(call.permit, &name).await?;
    Reply::data(&json!({ "policy": text }))
}

/// The text comes as it is or in base64, which no policy is by itself: it has braces.
pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let text = call.fields()?.text("policy")?.filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| Failure::bad_request("missing policy"))?;
    let decoded = STANDARD.decode(text.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    call.core.password_policies().write(call.permit, &name, &decoded.unwrap_or(text)).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    call.core.password_policies().delete(call.permit, &name).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn generate(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let password = call.core.password_policies().generate(call.permit, &name).await?;
    // Escaping makes at most six bytes of one.
    Reply::secret(&Password { password: password.expose_secret() }, 32 + password.len() * 6)
}
