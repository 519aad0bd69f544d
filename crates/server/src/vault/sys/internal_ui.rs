//! `sys/internal/ui/mounts`: what command-line clients ask first, to learn where a path is mounted and how.

use keyturn_core::mount::Mount;
use serde_json::{Map, Value, json};

use super::{
    super::{Outcome, call::Call, error::Failure, reply::Reply},
    mount_entry,
};

/// The mounts that everyone may see, and those that the caller has some access to.
pub(in super::super) async fn mounts(call: Call<'_>) -> Outcome {
    let visible = call.core.visible_mounts(call.permit);
    let (auth, secret): (Vec<_>, Vec<_>) = visible.iter().partition(|mount| mount.engine.is_auth());
    let told = |mounts: Vec<&std::sync::Arc<Mount>>| -> Map<String, Value> {
        mounts.into_iter().map(|mount| (mount.listed_path().to_owned(), short(mount))).collect()
    };
    Reply::data(&json!({ "auth": told(auth), "secret": told(secret) }))
}

/// The mount that serves a path, if the caller has some access below it.
pub(in super::super) async fn mount(call: Call<'_>) -> Outcome {
    let path = call.part("path").to_owned();
    let visible = call.core.visible_mounts(call.permit);
    let slashed = format!("{}/", path.trim_end_matches('/'));
    let found = visible.iter().filter(|mount| slashed.starts_with(&mount.path)).max_by_key(|mount| mount.path.len());
    let mount = found.ok_or_else(|| {
        Failure::new(
            hyper::StatusCode::FORBIDDEN,
            format!(
                "preflight capability check returned 403, please ensure client's policies grant access to path {slashed:?}"
            ),
        )
    })?;
    let mut told = mount_entry::told(mount);
    if let Some(object) = told.as_object_mut() {
        object.insert("path".to_owned(), json!(mount.path));
    }
    Reply::data(&told)
}

fn short(mount: &Mount) -> Value {
    json!({
        "type": mount.engine.name(),
        "description": mount.description,
        "options": if mount.options.is_empty() { Value::Null } else { json!(mount.options) },
    })
}
