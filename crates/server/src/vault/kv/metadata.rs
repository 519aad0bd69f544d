//! KV v2: `<mount>/metadata/<name>`.

use std::collections::BTreeMap;

use hyper::StatusCode;
use keyturn_core::kv::{MetadataChange, Version};
use serde_json::{Value, json};

use super::{
    super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply},
    config::{format_signed, max_versions},
};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.kv().list(call.permit).await?)
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let secret = call.core.kv().metadata(call.permit).await?.ok_or_else(Failure::nothing)?;
    let versions: serde_json::Map<String, Value> =
        secret.versions.iter().map(|version| (version.number.to_string(), told(version))).collect();
    Reply::data(&json!({
        "cas_required": secret.cas_required,
        "created_time": secret.created,
        "current_version": secret.current(),
        "custom_metadata": (!secret.custom_metadata.is_empty()).then_some(&secret.custom_metadata),
        "delete_version_after": format_signed(secret.delete_version_after),
        "max_versions": secret.max_versions,
        "oldest_version": secret.oldest(),
        "updated_time": secret.updated,
        "versions": versions,
    }))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let mut change = change_of(&fields)?;
    if fields.raw("custom_metadata").is_some() {
        change.custom_metadata = Some(texts_of(&fields)?.into_iter().filter_map(|(k, v)| Some((k, v?))).collect());
    }
    call.core.kv().change_metadata(call.permit, change, true).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn patch(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let mut change = change_of(&fields)?;
    // `null` sets a setting back to what it is at first.
    let reset = |name: &str| fields.has(name) && fields.raw(name).is_none();
    if reset("max_versions") {
        change.max_versions = Some(0);
    }
    if reset("cas_required") {
        change.cas_required = Some(false);
    }
    if reset("delete_version_after") {
        change.delete_version_after = Some(0);
    }
    if reset("custom_metadata") {
        change.custom_metadata = Some(BTreeMap::new());
    }
    change.custom_metadata_patch = texts_of(&fields)?;
    match call.core.kv().change_metadata(call.permit, change, false).await {
        Err(keyturn_core::kv::KvError::NotFound) => Err(Failure::new(StatusCode::NOT_FOUND, "no such secret")),
        other => other.map(|()| Reply::empty()).map_err(Failure::from),
    }
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    call.core.kv().delete_secret(call.permit).await?;
    Ok(Reply::empty())
}

fn change_of(fields: &Fields<'_>) -> Result<MetadataChange, Failure> {
    Ok(MetadataChange {
        max_versions: max_versions(fields.natural("max_versions")?)?,
        cas_required: fields.boolean("cas_required")?,
        delete_version_after: fields.signed_seconds("delete_version_after")?,
        ..MetadataChange::default()
    })
}

/// Custom metadata: an object whose values are text, numbers or bools (kept as text), or `null` in a patch.
fn texts_of(fields: &Fields<'_>) -> Result<BTreeMap<String, Option<String>>, Failure> {
    let expected = "an object whose values are text";
    let shaped: Option<BTreeMap<String, Value>> = fields.shaped("custom_metadata", expected)?;
    let text = |value| match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(bool) => Ok(Some(bool.to_string())),
        Value::Array(_) | Value::Object(_) => Err(Failure::bad_request(format!(
            "error converting input for field \"custom_metadata\": expected {expected}"
        ))),
    };
    shaped.unwrap_or_default().into_iter().map(|(key, value)| Ok((key, text(value)?))).collect()
}

fn told(version: &Version) -> Value {
    json!({
        "created_time": version.created,
        "deletion_time": version.deletion_time.map(|at| at.to_string()).unwrap_or_default(),
        "destroyed": version.destroyed,
    })
}
