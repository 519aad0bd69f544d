//! `auth/approle`: roles, logins and tidying. A role's single fields are in `approle_field`, its secret ids in
//! `approle_secret_id`.

use hyper::StatusCode;
use keyturn_core::login::approle::Role;
use serde_json::{Map, Value, json};

use super::{
    super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply},
    token_role::set,
    token_settings::{self, Older},
};

const OLDER: &[Older] = &[("policies", "token_policies"), ("period", "token_period")];

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.logins().approle().list_roles(call.permit).await?)
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let role = call.core.logins().approle().read_role(call.permit).await?.ok_or_else(Failure::nothing)?;
    Reply::data(&told(&role))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let mut adjusted = None;
    let change = |role: &mut Role| {
        adjusted = apply(role, &fields)?;
        Ok::<_, Failure>(())
    };
    let warnings = call.core.logins().approle().write_role(call.permit, change).await?;
    Ok(warnings.into_iter().chain(adjusted).fold(Reply::empty(), Reply::warn))
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    call.core.logins().approle().delete_role(call.permit).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn read_role_id(call: Call<'_>) -> Outcome {
    let role = call.core.logins().approle().read_role(call.permit).await?.ok_or_else(Failure::nothing)?;
    Reply::data(&json!({ "role_id": role.role_id }))
}

pub(in super::super) async fn write_role_id(call: Call<'_>) -> Outcome {
    let role_id = call.fields()?.required_text("role_id")?;
    let change = |role: &mut Role| {
        role.role_id = role_id;
        Ok::<_, Failure>(())
    };
    call.core.logins().approle().change_role(call.permit, change).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn login(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let role_id = fields.text("role_id")?.unwrap_or_default();
    let secret_id = fields.secret("secret_id")?.unwrap_or_default();
    Ok(Reply::issued(call.core.logins().approle().login(call.permit, &role_id, &secret_id).await?))
}

/// Removes what has ended. The upkeep does so anyway; this answers once it is done.
pub(in super::super) async fn tidy(call: Call<'_>) -> Outcome {
    call.core.logins().approle().tidy(call.permit).await?;
    let warning = "Tidy operation successfully started. Any information from the operation will be printed to the \
                   server's log.";
    Ok(Reply::empty().warn(warning).with_status(StatusCode::ACCEPTED))
}

/// A role as a read shows it. Its id has a path of its own.
pub(super) fn told(role: &Role) -> Map<String, Value> {
    let mut told = token_settings::told(&role.token, OLDER);
    let cidrs = &role.secret_id_bound_cidrs;
    told.extend(
        [
            ("bind_secret_id", json!(role.bind_secret_id)),
            ("secret_id_bound_cidrs", if cidrs.is_empty() { Value::Null } else { json!(cidrs) }),
            ("secret_id_num_uses", json!(role.secret_id_num_uses)),
            ("secret_id_ttl", json!(role.secret_id_ttl)),
            ("local_secret_ids", json!(role.local_secret_ids)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    told
}

/// Applies what `fields` say; what they do not name stays. Answers what there is to say about it.
pub(super) fn apply(role: &mut Role, fields: &Fields<'_>) -> Result<Option<String>, Failure> {
    let cidrs = fields.cidrs("secret_id_bound_cidrs")?.or(fields.cidrs("bound_cidr_list")?);
    set(&mut role.secret_id_bound_cidrs, cidrs);
    set(&mut role.role_id, fields.text("role_id")?);
    set(&mut role.bind_secret_id, fields.boolean("bind_secret_id")?);
    set(&mut role.secret_id_num_uses, fields.natural("secret_id_num_uses")?);
    set(&mut role.secret_id_ttl, fields.seconds("secret_id_ttl")?);
    set(&mut role.local_secret_ids, fields.boolean("local_secret_ids")?);
    token_settings::apply(&mut role.token, fields, OLDER)
}
