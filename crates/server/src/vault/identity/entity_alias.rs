//! `identity/entity-alias`: the names under which auth methods know entities.

use keyturn_core::identity::AliasInput;
use serde_json::json;

use super::{
    super::{Outcome, call::Call, error::Failure, reply::Reply},
    alias_listing, id_of, told_alias,
};

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let canonical = fields.text("canonical_id")?.filter(|id| !id.is_empty());
    let input = AliasInput {
        id: id_of(&call, &fields)?,
        name: fields.text("name")?,
        mount_accessor: fields.text("mount_accessor")?,
        // The older name of the field.
        canonical_id: canonical.or(fields.text("entity_id")?),
        custom_metadata: fields.pairs("custom_metadata")?,
    };
    match call.core.identity().write_alias(call.permit, input).await? {
        None => Ok(Reply::empty()),
        Some(alias) => Reply::data(&json!({ "id": alias.id, "canonical_id": alias.canonical_id })),
    }
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let id = call.part("id").to_owned();
    let alias = call.core.identity().alias(call.permit, &id).ok_or_else(Failure::nothing)?;
    let mut told = told_alias(call.core, &alias);
    if let Some(told) = told.as_object_mut() {
        told.insert("namespace_id".to_owned(), json!("root"));
    }
    Reply::data(&told)
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    let id = call.part("id").to_owned();
    call.core.identity().delete_alias(call.permit, &id).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    let aliases = call.core.identity().aliases(call.permit);
    alias_listing(call.core, &aliases)
}
