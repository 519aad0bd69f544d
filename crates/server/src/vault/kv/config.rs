//! KV v2: `<mount>/config`.

use keyturn_core::duration::format_go;
use serde_json::json;

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let settings = call.core.kv().settings(call.permit).await?;
    Reply::data(&json!({
        "max_versions": settings.max_versions,
        "cas_required": settings.cas_required,
        "delete_version_after": format_signed(settings.delete_version_after),
    }))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let max_versions = max_versions(fields.natural("max_versions")?)?;
    let cas_required = fields.boolean("cas_required")?;
    let delete_version_after = fields.signed_seconds("delete_version_after")?;
    let change = |settings: &mut keyturn_core::kv::MountSettings| {
        settings.max_versions = max_versions.unwrap_or(settings.max_versions);
        settings.cas_required = cas_required.unwrap_or(settings.cas_required);
        settings.delete_version_after = delete_version_after.unwrap_or(settings.delete_version_after);
    };
    call.core.kv().change_settings(call.permit, change).await?;
    Ok(Reply::empty())
}

/// Versions are listed in one record, so their number is bounded.
pub(super) fn max_versions(given: Option<u64>) -> Result<Option<u32>, Failure> {
    match given {
        None => Ok(None),
        Some(number @ 0..=10_000) => Ok(u32::try_from(number).ok()),
        Some(_) => Err(Failure::bad_request("max_versions must be between 0 and 10000")),
    }
}

pub(super) fn format_signed(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    format!("{sign}{}", format_go(seconds.unsigned_abs()))
}
