//! `sys/auth`: auth methods.

use keyturn_core::mount::{Enable, Engine, MountConfig};
use serde_json::{Map, Value};

use super::{
    super::{Outcome, call::Call, error::Failure, reply::Reply},
    mount_entry,
    mounts::split_tune,
};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    let all = call.core.mounts().list(call.permit);
    let told: Map<String, Value> = all
        .iter()
        .filter(|mount| mount.engine.is_auth())
        .map(|mount| (mount.listed_path().to_owned(), mount_entry::told(mount)))
        .collect();
    Ok(Reply::data(&told)?.at_top())
}

/// `sys/auth/<path>` and `sys/auth/<path>/tune`.
pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let path = call.part("path").to_owned();
    let all = call.core.mounts().list(call.permit);
    let (path, tune) = split_tune(&path);
    let wanted = format!("auth/{path}/");
    let found = all.iter().find(|mount| mount.path == wanted);
    let mount = found.ok_or_else(|| Failure::bad_request(format!("No auth engine at {path}/")))?;
    Ok(Reply::data(&if tune { mount_entry::told_tune(mount) } else { mount_entry::told(mount) })?.at_top())
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let path = call.part("path").to_owned();
    let fields = call.fields()?;
    if let (path, true) = split_tune(&path) {
        mount_entry::tune(call, &format!("auth/{path}"), &fields).await?;
        return Ok(Reply::empty());
    }
    let kind =
        fields.required_text("type").map_err(|_| Failure::bad_request("backend type must be specified as a string"))?;
    let engine = Engine::auth(&kind).ok_or_else(|| {
        Failure::bad_request(format!(
            "plugin not found in the catalog: {kind:?}; this server offers \"approle\" and \"userpass\""
        ))
    })?;
    let mut config = MountConfig::default();
    if let Some(given) = fields.object("config")? {
        mount_entry::change(&mut config, &given)?;
    }
    let what = Enable {
        path: format!("auth/{}", path.trim_matches('/')),
        engine,
        description: fields.text("description")?.unwrap_or_default(),
        options: mount_entry::options_of(&fields)?,
        config,
        local: fields.boolean("local")?.unwrap_or(false),
        seal_wrap: fields.boolean("seal_wrap")?.unwrap_or(false),
    };
    call.core.mounts().enable(call.permit, what).await?;
    Ok(Reply::empty())
}

/// Disables a method. The tokens that it issued end with it.
pub(in super::super) async fn disable(call: Call<'_>) -> Outcome {
    let path = format!("auth/{}", call.part("path").trim_matches('/'));
    call.core.disable_auth(call.permit, &path).await?;
    Ok(Reply::empty())
}
