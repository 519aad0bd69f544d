//! KV v1: `<mount>/<name>`.

use keyturn_core::kv::json;

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let default_ttl = call.permit.mount().default_lease_ttl();
    let fields = call.core.kv().flat_read(call.permit).await?.ok_or_else(Failure::nothing)?;
    // A field `ttl` or `lease` tells consumers when to come back.
    let told = ["ttl", "lease"].iter().find_map(|name| json::top_level_text(fields.expose_secret(), name));
    let ttl = told.and_then(|text| keyturn_core::duration::parse_seconds(&text).ok()).unwrap_or(default_ttl);
    Ok(Reply::raw(fields).with_lease_duration(ttl))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    if call.data().is_empty() {
        return Err(Failure::bad_request("missing data fields"));
    }
    let data = call.data();
    call.core.kv().flat_write(call.permit, data).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    call.core.kv().flat_delete(call.permit).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.kv().list(call.permit).await?)
}
