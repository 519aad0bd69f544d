//! `identity/oidc/role`: what identity tokens say.

use keyturn_core::identity::oidc::RoleInput;
use serde_json::json;

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.oidc().role_names(call.permit))
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let role = call.core.oidc().role(call.permit, &name).ok_or_else(Failure::nothing)?;
    Reply::data(&json!({
        "client_id": role.client_id,
        "key": role.key,
        "template": role.template,
        "ttl": role.ttl,
    }))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let fields = call.fields()?;
    let input = RoleInput {
        key: fields.text("key")?,
        template: fields.text("template")?,
        ttl: fields.seconds("ttl")?,
        client_id: fields.text("client_id")?,
    };
    call.core.oidc().write_role(call.permit, &name, input).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    call.core.oidc().delete_role(call.permit, &name).await?;
    Ok(Reply::empty())
}
