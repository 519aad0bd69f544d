//! `identity/oidc/key`: keys that sign identity tokens.

use keyturn_core::identity::oidc::KeyInput;
use serde_json::json;

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.oidc().key_names(call.permit))
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let key = call.core.oidc().key(call.permit, &name).ok_or_else(Failure::nothing)?;
    Reply::data(&json!({
        "rotation_period": key.rotation_period,
        "verification_ttl": key.verification_ttl,
        "algorithm": key.algorithm.name(),
        "allowed_client_ids": key.allowed_client_ids,
    }))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let fields = call.fields()?;
    let input = KeyInput {
        rotation_period: fields.seconds("rotation_period")?,
        verification_ttl: fields.seconds("verification_ttl")?,
        allowed_client_ids: fields.list("allowed_client_ids")?,
        algorithm: fields.text("algorithm")?,
    };
    call.core.oidc().write_key(call.permit, &name, input).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn rotate(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let verification_ttl = call.fields()?.seconds("verification_ttl")?;
    call.core.oidc().rotate_key(call.permit, &name, verification_ttl).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    call.core.oidc().delete_key(call.permit, &name).await?;
    Ok(Reply::empty())
}
