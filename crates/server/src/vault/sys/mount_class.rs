//! What `sys/mounts` and `sys/auth` have in common: each shows and changes one class of mounts.

use keyturn_core::mount::{Enable, Engine, Mount, MountConfig};
use serde_json::{Map, Value};

use super::{
    super::{Outcome, call::Call, error::Failure, reply::Reply},
    mount_entry,
};

/// Secrets engines or auth methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Secrets,
    Auth,
}

impl Class {
    fn holds(self, mount: &Mount) -> bool {
        mount.engine.is_auth() == (self == Self::Auth)
    }

    /// The full path of what clients name within the class, without a slash at its end.
    pub(super) fn full_path(self, path: &str) -> String {
        let path = path.trim_matches('/');
        if self == Self::Auth { format!("auth/{path}") } else { path.to_owned() }
    }

    fn engine(self, kind: &str, version: Option<&str>) -> Result<Engine, Failure> {
        let (engine, offered) = match self {
            Self::Secrets => (Engine::secrets(kind, version), "\"database\", \"kv\", \"kv-v1\" and \"kv-v2\""),
            Self::Auth => {
                (Engine::auth(kind), "\"approle\", \"cert\", \"jwt\", \"kubernetes\", \"oidc\" and \"userpass\"")
            }
        };
        engine.ok_or_else(|| match version {
            Some(version) if kind == "kv" => {
                Failure::bad_request(format!("unknown kv version {version:?}: allowed are \"1\" and \"2\""))
            }
            _ => Failure::bad_request(format!("plugin not found in the catalog: this server offers {offered}")),
        })
    }

    fn missing(self, path: &str) -> Failure {
        Failure::bad_request(match self {
            Self::Secrets => format!("No secret engine mount at {path}/"),
            Self::Auth => format!("No auth engine at {path}/"),
        })
    }
}

pub(super) async fn list(call: Call<'_>, class: Class) -> Outcome {
    let all = call.core.mounts().list(call.permit);
    let told: Map<String, Value> = all
        .iter()
        .filter(|mount| class.holds(mount))
        .map(|mount| (mount.listed_path().to_owned(), mount_entry::told(mount)))
        .collect();
    Ok(Reply::data(&told)?.at_top())
}

/// A mount, or with `/tune` behind its path, its settings.
pub(super) async fn read(call: Call<'_>, class: Class) -> Outcome {
    let path = call.part("path").to_owned();
    let all = call.core.mounts().list(call.permit);
    let (path, tune) = split_tune(&path);
    let wanted = format!("{}/", class.full_path(path));
    // Clients ask for the settings of auth methods at `sys/mounts/auth/<path>/tune` too.
    let found = all.iter().find(|mount| mount.path == wanted && (tune || class.holds(mount)));
    let mount = found.ok_or_else(|| class.missing(path))?;
    Ok(Reply::data(&if tune { mount_entry::told_tune(mount) } else { mount_entry::told(mount) })?.at_top())
}

/// Mounts an engine, or with `/tune` behind the path, changes a mount's settings.
pub(super) async fn write(call: Call<'_>, class: Class) -> Outcome {
    let path = call.part("path").to_owned();
    let fields = call.fields()?;
    if let (path, true) = split_tune(&path) {
        mount_entry::tune(call, &class.full_path(path), &fields).await?;
        return Ok(Reply::empty());
    }
    let untyped = |_| Failure::bad_request("backend type must be specified as a string");
    let kind = fields.required_text("type").map_err(untyped)?;
    let mut options = mount_entry::options_of(&fields)?;
    options.retain(|_, value| !value.is_empty());
    let engine = class.engine(&kind, options.get("version").map(String::as_str))?;
    let mut config = MountConfig::default();
    if let Some(given) = fields.object("config")? {
        mount_entry::change(&mut config, &given)?;
    }
    let what = Enable {
        path: class.full_path(&path),
        engine,
        description: fields.text("description")?.unwrap_or_default(),
        options,
        config,
        local: fields.boolean("local")?.unwrap_or(false),
        seal_wrap: fields.boolean("seal_wrap")?.unwrap_or(false),
    };
    if class == Class::Secrets && what.path.starts_with("auth/") {
        return Err(Failure::bad_request("'auth/' is for auth methods: use sys/auth"));
    }
    call.core.mounts().enable(call.permit, what).await?;
    Ok(Reply::empty())
}

/// `<path>/tune` is a request to the settings of `<path>`.
fn split_tune(path: &str) -> (&str, bool) {
    let path = path.trim_end_matches('/');
    path.strip_suffix("/tune").map_or((path, false), |mount| (mount, true))
}
