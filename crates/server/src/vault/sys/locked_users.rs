//! `sys/locked-users`: who is locked out after too many failed logins.

use serde_json::{Value, json};

use super::super::{Outcome, call::Call, reply::Reply};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    let accessor = call.fields()?.text("mount_accessor")?.filter(|accessor| !accessor.is_empty());
    let locked = call.core.locked_users(call.permit, accessor.as_deref());
    let total: usize = locked.iter().map(|locked| locked.names.len()).sum();
    let by_mount: Vec<Value> = locked
        .iter()
        .map(|locked| {
            json!({
                "mount_accessor": locked.mount_accessor,
                "counts": locked.names.len(),
                "alias_identifiers": locked.names,
            })
        })
        .collect();
    let root = json!({ "namespace_id": "root", "namespace_path": "", "counts": total, "mount_accessors": by_mount });
    Reply::data(&json!({ "by_namespace": [root], "total": total }))
}

pub(in super::super) async fn unlock(call: Call<'_>) -> Outcome {
    let (accessor, name) = (call.part("accessor").to_owned(), call.part("name").to_owned());
    call.core.unlock_user(call.permit, &accessor, &name);
    Ok(Reply::empty())
}
