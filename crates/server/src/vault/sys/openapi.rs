//! `sys/internal/specs/openapi`: the paths that this server serves, as an OpenAPI document. It is made from the very
//! tables that requests are routed by, so it promises nothing else.

use std::collections::BTreeSet;

use keyturn_core::{mount::Mount, policy::Operation};
use serde_json::{Map, Value, json};

use super::super::{Outcome, call::Call, reply::Reply, state::VERSION};

/// The paths of the mounts that the caller may see, and the system's own.
pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let generic = call.fields()?.boolean("generic_mount_paths")?.unwrap_or(false);
    let system = call.permit.mount().clone();
    let mut mounts = call.core.visible_mounts(call.permit);
    if !mounts.iter().any(|mount| mount.path == system.path) {
        mounts.push(system);
    }
    let mut paths = Map::new();
    for mount in mounts {
        for (pattern, operations) in call.vault.routes.of(mount.engine) {
            let (path, item) = path_item(&mount, generic, pattern, operations);
            merge(&mut paths, path, item);
        }
    }
    let document = json!({
        "openapi": "3.0.2",
        "info": {
            "title": "HashiCorp Vault API",
            "description": "The HTTP API that Keyturn serves. All paths are below /v1/.",
            "version": VERSION,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": { "schemas": {} },
    });
    Ok(Reply::plain("application/json", document.to_string()))
}

/// Patterns that differ in a slash at the end alone are one path.
fn merge(paths: &mut Map<String, Value>, path: String, item: Map<String, Value>) {
    match paths.get_mut(&path).and_then(Value::as_object_mut) {
        Some(known) => known.extend(item),
        None => _ = paths.insert(path, Value::Object(item)),
    }
}

fn path_item(mount: &Mount, generic: bool, pattern: &str, operations: &[Operation]) -> (String, Map<String, Value>) {
    let builtin = mount.engine.is_builtin();
    let prefix = if generic && !builtin {
        let class = if mount.engine.is_auth() { "auth/" } else { "" };
        format!("/{class}{{{}_mount_path}}/", mount.engine.name())
    } else {
        format!("/{}", mount.path)
    };
    let path = format!("{prefix}{}", pattern.replace("{*", "{"));
    let path = path.trim_end_matches('/').to_owned();
    let mut item = Map::new();
    let parameters: Vec<Value> = parts_of(&path).into_iter().map(parameter).collect();
    if !parameters.is_empty() {
        item.insert("parameters".to_owned(), Value::Array(parameters));
    }
    let tag = if mount.path == "sys/" {
        "system"
    } else if mount.engine.is_auth() {
        "auth"
    } else {
        "secrets"
    };
    for operation in operations {
        let (method, status) = match operation {
            Operation::Read | Operation::List => ("get", "200"),
            Operation::Delete => ("delete", "204"),
            Operation::Patch => ("patch", "200"),
            _ => ("post", "200"),
        };
        let mut told = json!({ "tags": [tag], "responses": { status: { "description": "OK" } } });
        if *operation == Operation::List && operations.contains(&Operation::Read) {
            item.insert("x-vault-list".to_owned(), json!(true));
            continue;
        }
        if *operation == Operation::List {
            let only_true = json!({ "type": "string", "enum": ["true"] });
            told["parameters"] = json!([{ "name": "list", "in": "query", "required": true, "schema": only_true }]);
        }
        item.insert(method.to_owned(), told);
    }
    (path, item)
}

/// The names in braces, each once.
fn parts_of(path: &str) -> BTreeSet<&str> {
    path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

fn parameter(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
}
