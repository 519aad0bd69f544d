//! `sys/policies/acl`: policies.

use serde_json::json;

use super::{
    super::{Outcome, call::Call, error::Failure, reply::Reply},
    policy,
};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.policies().list(call.permit))
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let text = call.core.policies().read(call.permit, &name).ok_or_else(Failure::nothing)?;
    Reply::data(&json!({ "name": name.to_lowercase(), "policy": text }))
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let text = policy::text_of(&call.fields()?, "policy")?
        .ok_or_else(|| Failure::bad_request("'policy' parameter not supplied or empty"))?;
    call.core.policies().write(call.permit, &name, &text).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    policy::delete(call).await
}
