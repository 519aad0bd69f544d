//! `sys/config/auditing/request-headers`: which request headers the audit log records.

use keyturn_core::settings::AuditedHeaderError;
use serde_json::{Map, Value, json};

use super::super::{Outcome, call::Call, reply::Reply};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    let audited = call.core.settings().audited_headers(call.permit);
    let headers: Map<_, _> = audited.iter().map(|(name, hmac)| (name.clone(), json!({ "hmac": hmac }))).collect();
    Ok(Reply::data(&json!({ "headers": headers }))?.at_top())
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_ascii_lowercase();
    let audited = call.core.settings().audited_headers(call.permit);
    let hmac = audited.get(&name).ok_or(AuditedHeaderError::Unknown)?;
    let told: Map<String, Value> = [(name, json!({ "hmac": hmac }))].into_iter().collect();
    Ok(Reply::data(&told)?.at_top())
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let hmac = call.fields()?.boolean("hmac")?.unwrap_or(false);
    call.core.settings().audit_header(call.permit, &name, hmac).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    call.core.settings().ignore_header(call.permit, &name).await?;
    Ok(Reply::empty())
}
