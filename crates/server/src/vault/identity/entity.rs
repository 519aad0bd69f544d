//! `identity/entity`: entities, by id and by name.

use keyturn_core::{
    core::Core,
    identity::{Effective, EntityInput, Find, Merge},
};
use serde_json::{Map, Value, json};

use super::{
    super::{Outcome, call::Call, error::Failure, reply::Reply},
    id_of, listed_alias, listing, name_of, stored_name, told_alias, told_list, told_map,
};

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let input = EntityInput {
        id: id_of(&call, &fields)?,
        name: name_of(&call, &fields)?,
        policies: fields.list("policies")?,
        metadata: fields.pairs("metadata")?,
        disabled: fields.boolean("disabled")?,
    };
    match call.core.identity().write_entity(call.permit, input).await? {
        None => Ok(Reply::empty()),
        Some(entity) => Reply::data(&json!({ "id": entity.id, "name": entity.name, "aliases": null })),
    }
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let (id, name) = (call.part("id").to_owned(), stored_name(&call));
    let find = if id.is_empty() { Find::Name(&name) } else { Find::Id(&id) };
    let found = call.core.identity().entity(call.permit, find).ok_or_else(Failure::nothing)?;
    Reply::data(&told(call.core, &found))
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    let (id, name) = (call.part("id").to_owned(), stored_name(&call));
    let find = if id.is_empty() { Find::Name(&name) } else { Find::Id(&id) };
    call.core.identity().delete_entity(call.permit, find).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete_batch(call: Call<'_>) -> Outcome {
    let ids = call.fields()?.list("entity_ids")?.unwrap_or_default();
    call.core.identity().delete_entities(call.permit, &ids).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn merge(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let merge = Merge {
        from: fields.list("from_entity_ids")?.unwrap_or_default(),
        to: fields.text("to_entity_id")?.unwrap_or_default(),
        keep: fields.list("conflicting_alias_ids_to_keep")?.unwrap_or_default(),
    };
    call.core.identity().merge(call.permit, merge).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn list_by_id(call: Call<'_>) -> Outcome {
    list(call, false)
}

pub(in super::super) async fn list_by_name(call: Call<'_>) -> Outcome {
    list(call, true)
}

fn list(call: Call<'_>, by_name: bool) -> Outcome {
    let entities = call.core.identity().entities(call.permit);
    let keys = entities.iter().map(|entity| if by_name { &entity.name } else { &entity.id }).cloned().collect();
    let info = entities.iter().map(|entity| {
        let mut told = Map::from_iter([("name".to_owned(), json!(entity.name))]);
        if !entity.aliases.is_empty() {
            let aliases: Vec<Value> = entity.aliases.iter().map(|alias| listed_alias(call.core, alias)).collect();
            told.insert("aliases".to_owned(), json!(aliases));
        }
        (entity.id.clone(), Value::Object(told))
    });
    listing(keys, info.collect())
}

/// An entity with its aliases and groups.
pub(super) fn told(core: &Core, found: &Effective) -> Value {
    let entity = &found.entity;
    let (direct, inherited) = found.groups.split_at(found.direct);
    let ids = |groups: &[std::sync::Arc<keyturn_core::identity::Group>]| -> Vec<String> {
        groups.iter().map(|group| group.id.clone()).collect()
    };
    let aliases: Vec<Value> = entity.aliases.iter().map(|alias| told_alias(core, alias)).collect();
    json!({
        "id": entity.id,
        "name": entity.name,
        "metadata": told_map(&entity.metadata),
        "merged_entity_ids": told_list(&entity.merged_ids),
        "policies": entity.policies,
        "disabled": entity.disabled,
        "namespace_id": "root",
        "creation_time": entity.created,
        "last_update_time": entity.updated,
        "aliases": aliases,
        "direct_group_ids": ids(direct),
        "inherited_group_ids": ids(inherited),
        "group_ids": ids(&found.groups),
    })
}
