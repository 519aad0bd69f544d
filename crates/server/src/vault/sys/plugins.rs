//! `sys/plugins`: what can be mounted, as clients read it. All of it is part of the program: nothing can be registered,
//! and nothing runs as a process of its own.

use keyturn_core::{database::Plugin, mount::Engine};
use serde_json::{Map, Value, json};

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

/// The types of plugins, and every name by which clients know a builtin one. What this server has of them is asked of
/// [`Engine`], so that the catalogue cannot promise anything else.
const TYPES: [&str; 3] = ["auth", "database", "secret"];
const AUTH_NAMES: [&str; 17] = [
    "alicloud",
    "app-id",
    "approle",
    "aws",
    "azure",
    "cert",
    "cf",
    "gcp",
    "github",
    "jwt",
    "kerberos",
    "kubernetes",
    "ldap",
    "oci",
    "oidc",
    "radius",
    "userpass",
];
const SECRET_NAMES: [&str; 20] = [
    "ad",
    "alicloud",
    "aws",
    "azure",
    "consul",
    "database",
    "gcp",
    "gcpkms",
    "kubernetes",
    "kv",
    "ldap",
    "mongodbatlas",
    "nomad",
    "openldap",
    "pki",
    "rabbitmq",
    "ssh",
    "terraform",
    "totp",
    "transit",
];

const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"), "+builtin");

fn builtins(kind: &str) -> Option<Vec<&'static str>> {
    match kind {
        "auth" => Some(AUTH_NAMES.into_iter().filter(|name| Engine::auth(name).is_some()).collect()),
        "secret" => Some(SECRET_NAMES.into_iter().filter(|name| Engine::secrets(name, None).is_some()).collect()),
        "database" => Some(Plugin::ALL.map(Plugin::name).to_vec()),
        _ => None,
    }
}

fn names_of(kind: &str) -> Result<Vec<&'static str>, Failure> {
    builtins(kind).ok_or_else(|| {
        Failure::bad_request("that is not a supported plugin type: allowed are \"auth\", \"database\" and \"secret\"")
    })
}

/// Everything, by type, and once more with details.
pub(in super::super) async fn catalog(call: Call<'_>) -> Outcome {
    call.permit.spend();
    let mut told = Map::new();
    let mut detailed = Vec::new();
    for kind in TYPES {
        let names = builtins(kind).unwrap_or_default();
        detailed.extend(names.iter().map(|name| {
            json!({
                "type": kind, "name": name, "version": VERSION, "builtin": true, "deprecation_status": "supported",
            })
        }));
        if !names.is_empty() {
            told.insert(kind.to_owned(), json!(names));
        }
    }
    told.insert("detailed".to_owned(), Value::Array(detailed));
    Reply::data(&told)
}

/// The names of one type.
pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    let names = names_of(call.part("type").trim_end_matches('/'))?;
    call.permit.spend();
    Reply::keys(&names.into_iter().map(str::to_owned).collect::<Vec<_>>())
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let known = names_of(call.part("type"))?;
    call.permit.spend();
    if !known.contains(&name.as_str()) {
        return Err(Failure::nothing());
    }
    Reply::data(&json!({
        "name": name,
        "args": [],
        "command": "",
        "sha256": "",
        "builtin": true,
        "version": VERSION,
        "deprecation_status": "supported",
    }))
}

/// A refusal, whatever is to be registered or removed.
pub(in super::super) async fn change(call: Call<'_>) -> Outcome {
    call.permit.spend();
    Err(Failure::bad_request(
        "plugins cannot be registered or removed: everything that this server can mount is part of it; \
         sys/plugins/catalog lists it",
    ))
}

/// A refusal, whatever is to be reloaded.
pub(in super::super) async fn reload(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let plugin = fields.text("plugin")?.filter(|plugin| !plugin.is_empty());
    let mounts = fields.list("mounts")?.filter(|mounts| !mounts.is_empty());
    call.permit.spend();
    Err(Failure::bad_request(match (plugin, mounts) {
        (Some(_), Some(_)) => "plugin and mounts cannot be set at the same time",
        (None, None) => "plugin or mounts must be provided",
        _ => "there is nothing to reload: every plugin is part of this server and restarts with it",
    }))
}

/// No runtime runs plugins here.
pub(in super::super) async fn runtimes(call: Call<'_>) -> Outcome {
    call.permit.spend();
    Reply::data(&json!({ "runtimes": [] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_has_what_can_be_mounted_and_nothing_else() {
        let auth = builtins("auth").expect("a type");
        assert!(auth.contains(&"approle") && auth.contains(&"userpass") && !auth.contains(&"radius"));
        assert!(builtins("secret").expect("a type").contains(&"kv"));
        assert!(builtins("unknown").is_none());
    }
}
