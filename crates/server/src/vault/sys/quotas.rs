//! `sys/quotas`: rate limits.

use keyturn_core::quota::{QuotaConfig, WriteQuota};
use serde_json::json;

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.quotas().list(call.permit))
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let quota = call.core.quotas().read(call.permit, &name).ok_or_else(Failure::nothing)?;
    Reply::data(&json!({
        "type": "rate-limit",
        "name": name,
        "path": quota.path,
        "role": quota.role,
        "rate": quota.rate,
        "interval": quota.interval,
        "block_interval": quota.block_interval,
        "inheritable": quota.inheritable,
    }))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let fields = call.fields()?;
    // The quotas of other kinds are none of this server's; taking one for a rate limit would be worse than refusing.
    if fields.text("type")?.is_some_and(|kind| !matches!(kind.as_str(), "" | "rate-limit")) {
        return Err(Failure::bad_request("this server has quotas of the type \"rate-limit\" alone"));
    }
    let quota = WriteQuota {
        path: fields.text("path")?.unwrap_or_default(),
        role: fields.text("role")?.unwrap_or_default(),
        rate: fields.number("rate")?.unwrap_or(0.0),
        interval: fields.seconds("interval")?.unwrap_or(0),
        block_interval: fields.seconds("block_interval")?.unwrap_or(0),
        inheritable: fields.boolean("inheritable")?,
    };
    call.core.quotas().write(call.permit, &name, quota).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    call.core.quotas().delete(call.permit, &name).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn read_config(call: Call<'_>) -> Outcome {
    let config = call.core.quotas().config(call.permit);
    Reply::data(&json!({
        "enable_rate_limit_audit_logging": config.audit_logging,
        "enable_rate_limit_response_headers": config.response_headers,
        "rate_limit_exempt_paths": config.exempt_paths,
    }))
}

/// What is not given goes back to nothing, as with Vault.
pub(in super::super) async fn write_config(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let config = QuotaConfig {
        exempt_paths: fields.list("rate_limit_exempt_paths")?.unwrap_or_default(),
        audit_logging: fields.boolean("enable_rate_limit_audit_logging")?.unwrap_or(false),
        response_headers: fields.boolean("enable_rate_limit_response_headers")?.unwrap_or(false),
    };
    call.core.quotas().configure(call.permit, config).await?;
    Ok(Reply::empty())
}
