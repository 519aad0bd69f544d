//! `identity/`; a file is named after its path below it.

pub(super) mod entity;
pub(super) mod entity_alias;
pub(super) mod group;
pub(super) mod group_alias;
pub(super) mod lookup;
pub(super) mod oidc;
pub(super) mod oidc_key;
pub(super) mod oidc_role;

use std::borrow::Cow;

use keyturn_core::{core::Core, identity::Alias};
use serde_json::{Map, Value, json};

use super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply};

/// The path with the name of an entity or group as it is stored: the policy is asked about one spelling of it.
pub(super) fn stored_spelling<'p>(core: &Core, path: &str) -> Option<Cow<'p, str>> {
    let stored = core.identity().stored_path(path.strip_prefix("identity/")?)?;
    Some(Cow::Owned(format!("identity/{stored}")))
}

/// The id of what is meant: from the path, otherwise from the body. A path with a name means what has that name: the
/// policy was asked about it, and an id in the body must not lead to something else.
fn id_of(call: &Call<'_>, fields: &Fields<'_>) -> Result<Option<String>, Failure> {
    match call.part("id") {
        "" if call.part("name").is_empty() => fields.text("id"),
        "" if fields.text("id")?.is_some_and(|id| !id.is_empty()) => {
            Err(Failure::bad_request("leave 'id' out where the path has the name"))
        }
        "" => Ok(None),
        id => Ok(Some(id.to_owned())),
    }
}

/// The name of what is meant: from the path, otherwise from the body.
fn name_of(call: &Call<'_>, fields: &Fields<'_>) -> Result<Option<String>, Failure> {
    match call.part("name") {
        "" => fields.text("name"),
        _ => Ok(Some(stored_name(call))),
    }
}

/// The name in the path that the policy was asked about, which is the stored spelling.
fn stored_name(call: &Call<'_>) -> String {
    call.permit.rest().splitn(3, '/').nth(2).unwrap_or_default().to_owned()
}

/// An alias as it is told with its entity or group.
fn told_alias(core: &Core, alias: &Alias) -> Value {
    let mut told = json!({
        "id": alias.id,
        "canonical_id": alias.canonical_id,
        "mount_accessor": alias.mount_accessor,
        "metadata": told_map(&alias.metadata),
        "custom_metadata": told_map(&alias.custom_metadata),
        "name": alias.name,
        "merged_from_canonical_ids": told_list(&alias.merged_from),
        "creation_time": alias.created,
        "last_update_time": alias.updated,
        "local": alias.local,
    });
    add_mount(core, &mut told, alias);
    told
}

/// An alias in a listing.
fn listed_alias(core: &Core, alias: &Alias) -> Value {
    let mut told = json!({ "id": alias.id, "name": alias.name, "mount_accessor": alias.mount_accessor });
    add_mount(core, &mut told, alias);
    told
}

/// What is known of the mount, if it is still there.
fn add_mount(core: &Core, told: &mut Value, alias: &Alias) {
    let mount = core.mounts().with_accessor(&alias.mount_accessor);
    if let (Some(mount), Some(told)) = (mount, told.as_object_mut()) {
        told.insert("mount_path".to_owned(), json!(mount.path));
        told.insert("mount_type".to_owned(), json!(mount.engine.name()));
    }
}

/// What is empty is told as `null`.
fn told_map(map: &std::collections::BTreeMap<String, String>) -> Value {
    if map.is_empty() { Value::Null } else { json!(map) }
}

/// What is empty is told as `null`.
fn told_list(list: &[String]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}

/// A listing: keys in order, and what is told of each, by id. None is a 404.
fn listing(mut keys: Vec<String>, info: Map<String, Value>) -> Outcome {
    if keys.is_empty() {
        return Err(Failure::nothing());
    }
    keys.sort();
    Reply::data(&json!({ "keys": keys, "key_info": info }))
}

/// Aliases of entities or groups, listed.
fn alias_listing(core: &Core, aliases: &[Alias]) -> Outcome {
    let told = |alias: &Alias| {
        let mut told = told_alias(core, alias);
        if let Some(told) = told.as_object_mut() {
            told.retain(|name, _| {
                !matches!(name.as_str(), "id" | "merged_from_canonical_ids") && !name.ends_with("_time")
            });
        }
        (alias.id.clone(), told)
    };
    listing(aliases.iter().map(|alias| alias.id.clone()).collect(), aliases.iter().map(told).collect())
}
