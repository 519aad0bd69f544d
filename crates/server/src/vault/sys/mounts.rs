//! `sys/mounts`: secrets engines.

use keyturn_core::mount::{Enable, Engine, MountConfig};
use serde_json::{Map, Value};

use super::{
    super::{Outcome, call::Call, error::Failure, reply::Reply},
    mount_entry,
};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    let all = call.core.mounts().list(call.permit);
    let told: Map<String, Value> = all
        .iter()
        .filter(|mount| !mount.engine.is_auth())
        .map(|mount| (mount.path.clone(), mount_entry::told(mount)))
        .collect();
    Ok(Reply::data(&told)?.at_top())
}

/// `sys/mounts/<path>` and `sys/mounts/<path>/tune`.
pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let path = call.part("path").to_owned();
    let all = call.core.mounts().list(call.permit);
    let (path, tune) = split_tune(&path);
    let wanted = format!("{path}/");
    let found = all.iter().find(|mount| mount.path == wanted && !mount.engine.is_auth());
    let mount = found.ok_or_else(|| Failure::bad_request(format!("No secret engine mount at {wanted}")))?;
    Ok(Reply::data(&if tune { mount_entry::told_tune(mount) } else { mount_entry::told(mount) })?.at_top())
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let path = call.part("path").to_owned();
    let fields = call.fields()?;
    if let (path, true) = split_tune(&path) {
        mount_entry::tune(call, path, &fields).await?;
        return Ok(Reply::empty());
    }
    let kind =
        fields.required_text("type").map_err(|_| Failure::bad_request("backend type must be specified as a string"))?;
    let mut options = mount_entry::options_of(&fields)?;
    let engine = Engine::secrets(&kind, options.get("version").map(String::as_str))
        .ok_or_else(|| Failure::bad_request(unknown_engine(&kind, options.get("version"))))?;
    options.retain(|_, value| !value.is_empty());
    let mut config = MountConfig::default();
    if let Some(given) = fields.object("config")? {
        mount_entry::change(&mut config, &given)?;
    }
    let what = Enable {
        path,
        engine,
        description: fields.text("description")?.unwrap_or_default(),
        options,
        config,
        local: fields.boolean("local")?.unwrap_or(false),
        seal_wrap: fields.boolean("seal_wrap")?.unwrap_or(false),
    };
    if what.path.starts_with("auth/") {
        return Err(Failure::bad_request("'auth/' is for auth methods: use sys/auth"));
    }
    call.core.mounts().enable(call.permit, what).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn disable(call: Call<'_>) -> Outcome {
    let path = call.part("path").to_owned();
    if call.core.mounts().at(&path).is_some_and(|mount| mount.engine.is_auth()) {
        return Err(Failure::bad_request("auth methods are disabled at sys/auth"));
    }
    call.core.mounts().disable(call.permit, &path).await?;
    Ok(Reply::empty())
}

/// `<path>/tune` is a request to the settings of `<path>`.
pub(super) fn split_tune(path: &str) -> (&str, bool) {
    let path = path.trim_end_matches('/');
    path.strip_suffix("/tune").map_or((path, false), |mount| (mount, true))
}

fn unknown_engine(kind: &str, version: Option<&String>) -> String {
    match version {
        Some(version) if kind == "kv" => format!("unknown kv version {version:?}: allowed are \"1\" and \"2\""),
        _ => format!("plugin not found in the catalog: {kind:?}; this server offers \"kv\", \"kv-v1\" and \"kv-v2\""),
    }
}
