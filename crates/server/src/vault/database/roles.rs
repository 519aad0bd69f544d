//! `database/roles`.

use keyturn_core::database::Role;
use serde_json::{Map, Value, json};

use super::{
    super::{Outcome, auth::set, call::Call, error::Failure, fields::Fields, reply::Reply},
    check_credential_type, password_policy,
};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.database().list_roles(call.permit).await?)
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let role = call.core.database().read_role(call.permit).await?.ok_or_else(Failure::nothing)?;
    Reply::data(&told(&role))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    call.core.database().write_role(call.permit, |role| apply(role, &fields)).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    call.core.database().delete_role(call.permit).await?;
    Ok(Reply::empty())
}

fn apply(role: &mut Role, fields: &Fields<'_>) -> Result<(), Failure> {
    check_credential_type(fields)?;
    set(&mut role.db_name, fields.text("db_name")?);
    set(&mut role.default_ttl, fields.seconds("default_ttl")?);
    set(&mut role.max_ttl, fields.seconds("max_ttl")?);
    set(&mut role.creation_statements, fields.statements("creation_statements")?);
    set(&mut role.revocation_statements, fields.statements("revocation_statements")?);
    set(&mut role.rollback_statements, fields.statements("rollback_statements")?);
    set(&mut role.renew_statements, fields.statements("renew_statements")?);
    set(&mut role.password_policy, password_policy(fields)?);
    Ok(())
}

fn told(role: &Role) -> Map<String, Value> {
    let mut told: Map<_, _> = [
        ("db_name", json!(role.db_name)),
        ("creation_statements", json!(role.creation_statements)),
        ("revocation_statements", json!(role.revocation_statements)),
        ("rollback_statements", json!(role.rollback_statements)),
        ("renew_statements", json!(role.renew_statements)),
        ("default_ttl", json!(role.default_ttl)),
        ("max_ttl", json!(role.max_ttl)),
        ("credential_type", json!("password")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect();
    if !role.password_policy.is_empty() {
        told.insert("credential_config".to_owned(), json!({ "password_policy": role.password_policy }));
    }
    told
}
