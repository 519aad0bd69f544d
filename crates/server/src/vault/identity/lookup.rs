//! `identity/lookup`: entities and groups by whatever they are called.

use keyturn_core::identity::Find;

use super::{
    super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply},
    entity as entities, group as groups,
};

/// What is asked for, as the body names it.
struct Asked {
    id: Option<String>,
    name: Option<String>,
    alias_id: Option<String>,
    alias_name: Option<String>,
    alias_mount_accessor: Option<String>,
}

impl Asked {
    fn read(fields: &Fields<'_>) -> Result<Self, Failure> {
        Ok(Self {
            id: fields.text("id")?,
            name: fields.text("name")?,
            alias_id: fields.text("alias_id")?,
            alias_name: fields.text("alias_name")?,
            alias_mount_accessor: fields.text("alias_mount_accessor")?,
        })
    }

    /// One way to find it, and no second.
    fn find(&self) -> Result<Find<'_>, Failure> {
        let Self { id, name, alias_id, alias_name, alias_mount_accessor } = self;
        match (id, name, alias_id, alias_name, alias_mount_accessor) {
            (None, None, None, None, None) => Err(Failure::bad_request("query parameter not supplied")),
            (Some(id), None, None, None, None) => Ok(Find::Id(id)),
            (None, Some(name), None, None, None) => Ok(Find::Name(name)),
            (None, None, Some(id), None, None) => Ok(Find::AliasId(id)),
            (None, None, None, Some(name), Some(accessor)) => Ok(Find::Alias(accessor, name)),
            (None, None, None, _, _) => {
                Err(Failure::bad_request("both 'alias_name' and 'alias_mount_accessor' needs to be set"))
            }
            _ => Err(Failure::bad_request("query parameter conflict; please supply distinct set of query parameters")),
        }
    }
}

/// Nothing found is an answer without content, as with Vault.
pub(in super::super) async fn entity(call: Call<'_>) -> Outcome {
    let asked = Asked::read(&call.fields()?)?;
    match call.core.identity().entity(call.permit, asked.find()?) {
        Some(found) => Reply::data(&entities::told(call.core, &found)),
        None => Ok(Reply::empty()),
    }
}

/// Nothing found is an answer without content, as with Vault.
pub(in super::super) async fn group(call: Call<'_>) -> Outcome {
    let asked = Asked::read(&call.fields()?)?;
    match call.core.identity().group(call.permit, asked.find()?) {
        Some(found) => Reply::data(&groups::told(call.core, &found)),
        None => Ok(Reply::empty()),
    }
}
