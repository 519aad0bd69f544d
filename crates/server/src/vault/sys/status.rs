//! What this server is not part of, told as clients ask for it: replication, experiments; and which versions of the
//! server have opened the store.

use keyturn_core::settings::OpenedBy;
use serde_json::{Map, Value, json};

use super::super::{Outcome, call::Call, reply::Reply, state::version_of};

/// `sys/replication/status`.
pub(in super::super) async fn replication(call: Call<'_>) -> Outcome {
    call.permit.spend();
    Reply::data(&json!({ "mode": "disabled", "dr": { "mode": "disabled" }, "performance": { "mode": "disabled" } }))
}

/// `sys/experiments`.
pub(in super::super) async fn experiments(call: Call<'_>) -> Outcome {
    call.permit.spend();
    Reply::data(&json!({ "available_experiments": [], "enabled": [] }))
}

/// `sys/version-history`.
pub(in super::super) async fn version_history(call: Call<'_>) -> Outcome {
    let versions = call.core.settings().versions(call.permit).await?;
    let told = |OpenedBy { version, .. }: &OpenedBy| version_of(version);
    let before = std::iter::once(Value::Null).chain(versions.iter().map(|opened| json!(told(opened))));
    let details: Map<String, Value> = versions
        .iter()
        .zip(before)
        .map(|(opened, previous)| {
            let detail = json!({
                "timestamp_installed": opened.first.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                "previous_version": previous,
                "build_date": "",
            });
            (told(opened), detail)
        })
        .collect();
    Reply::data(&json!({ "keys": versions.iter().map(told).collect::<Vec<_>>(), "key_info": details }))
}
