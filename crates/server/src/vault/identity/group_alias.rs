//! `identity/group-alias`: the names under which auth methods know external groups.

use keyturn_core::identity::GroupAliasInput;
use serde_json::json;

use super::{
    super::{Outcome, call::Call, error::Failure, reply::Reply},
    alias_listing, id_of, told_alias,
};

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let input = GroupAliasInput {
        id: id_of(&call, &fields)?,
        name: fields.text("name")?.unwrap_or_default(),
        mount_accessor: fields.text("mount_accessor")?.unwrap_or_default(),
        canonical_id: fields.text("canonical_id")?,
    };
    match call.core.identity().write_group_alias(call.permit, input).await? {
        None => Ok(Reply::empty()),
        Some(alias) => Reply::data(&json!({ "id": alias.id, "canonical_id": alias.canonical_id })),
    }
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let id = call.part("id").to_owned();
    let alias = call.core.identity().group_alias(call.permit, &id).ok_or_else(Failure::nothing)?;
    Reply::data(&told_alias(call.core, &alias))
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    let id = call.part("id").to_owned();
    call.core.identity().delete_group_alias(call.permit, &id).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    let aliases = call.core.identity().group_aliases(call.permit);
    alias_listing(call.core, &aliases)
}
