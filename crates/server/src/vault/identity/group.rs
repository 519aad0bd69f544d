//! `identity/group`: groups, by id and by name.

use keyturn_core::{
    core::Core,
    identity::{Find, GroupInput, GroupView},
};
use serde_json::{Value, json};

use super::{
    super::{Outcome, call::Call, error::Failure, reply::Reply},
    id_of, listed_alias, listing, name_of, stored_name, told_alias, told_map,
};

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let input = GroupInput {
        id: id_of(&call, &fields)?,
        name: name_of(&call, &fields)?,
        kind: fields.text("type")?,
        policies: fields.list("policies")?,
        metadata: fields.pairs("metadata")?,
        member_entity_ids: fields.list("member_entity_ids")?,
        member_group_ids: fields.list("member_group_ids")?,
    };
    match call.core.identity().write_group(call.permit, input).await? {
        None => Ok(Reply::empty()),
        Some(group) => Reply::data(&json!({ "id": group.id, "name": group.name })),
    }
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let (id, name) = (call.part("id").to_owned(), stored_name(&call));
    let find = if id.is_empty() { Find::Name(&name) } else { Find::Id(&id) };
    let found = call.core.identity().group(call.permit, find).ok_or_else(Failure::nothing)?;
    Reply::data(&told(call.core, &found))
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    let (id, name) = (call.part("id").to_owned(), stored_name(&call));
    let find = if id.is_empty() { Find::Name(&name) } else { Find::Id(&id) };
    call.core.identity().delete_group(call.permit, find).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn list_by_id(call: Call<'_>) -> Outcome {
    list(call, false)
}

pub(in super::super) async fn list_by_name(call: Call<'_>) -> Outcome {
    list(call, true)
}

fn list(call: Call<'_>, by_name: bool) -> Outcome {
    let groups = call.core.identity().groups(call.permit);
    let keys = groups.iter().map(|(group, _)| if by_name { &group.name } else { &group.id }).cloned().collect();
    let info = groups.iter().map(|(group, members)| {
        let mut told = json!({
            "name": group.name,
            "num_member_entities": members,
            "num_parent_groups": group.parent_ids.len(),
        });
        if let (Some(alias), Some(told)) = (&group.alias, told.as_object_mut()) {
            told.insert("alias".to_owned(), listed_alias(call.core, alias));
        }
        (group.id.clone(), told)
    });
    listing(keys, info.collect())
}

/// A group and who is in it.
pub(super) fn told(core: &Core, found: &GroupView) -> Value {
    let group = &found.group;
    let ids = |ids: &[std::sync::Arc<str>]| -> Value { ids.iter().map(|id| json!(&**id)).collect() };
    json!({
        "id": group.id,
        "name": group.name,
        "type": group.kind.name(),
        "policies": group.policies,
        "metadata": told_map(&group.metadata),
        "member_entity_ids": ids(&found.member_entity_ids),
        "member_group_ids": ids(&found.member_group_ids),
        "parent_group_ids": group.parent_ids,
        "alias": group.alias.as_ref().map_or(json!({}), |alias| told_alias(core, alias)),
        "creation_time": group.created,
        "last_update_time": group.updated,
        "modify_index": group.modify_index,
        "namespace_id": "root",
    })
}
