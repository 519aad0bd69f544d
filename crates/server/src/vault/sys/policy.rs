//! `sys/policy`: policies, as older clients ask for them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    let names = call.core.policies().list(call.permit);
    Ok(Reply::data(&json!({ "keys": names, "policies": names }))?.at_top())
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let text = call.core.policies().read(call.permit, &name).ok_or_else(Failure::nothing)?;
    Ok(Reply::data(&json!({ "name": name.to_lowercase(), "rules": text }))?.at_top())
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let fields = call.fields()?;
    // Older clients say `rules` here.
    let text = match text_of(&fields, "policy")? {
        Some(text) => Some(text),
        None => text_of(&fields, "rules")?,
    };
    let text = text.ok_or_else(|| Failure::bad_request("'policy' parameter not supplied or empty"))?;
    call.core.policies().write(call.permit, &name, &text).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    call.core.policies().delete(call.permit, &name).await?;
    Ok(Reply::empty())
}

/// A policy's text: as it is, in base64, or as a JSON object.
pub(super) fn text_of(fields: &Fields<'_>, name: &str) -> Result<Option<String>, Failure> {
    let Some(raw) = fields.raw(name) else { return Ok(None) };
    if raw.starts_with('{') {
        return Ok(Some(raw.to_owned()));
    }
    let text = fields.text(name)?.unwrap_or_default();
    // Text that is base64 as a whole is no policy in either language: both need braces.
    let decoded = STANDARD.decode(text.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(Some(decoded.unwrap_or(text)).filter(|text| !text.trim().is_empty()))
}
