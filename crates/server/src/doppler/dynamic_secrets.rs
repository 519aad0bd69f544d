//! `configs/config/dynamic_secrets`: which names of a config stand for credentials of a database role. The real service
//! has these operations in its dashboard alone; leases of them, which it publishes, are in `secrets/dynamic.rs`.

use keyturn_core::{policy::Operation, project::DynamicView};
use serde_json::{Value, json};

use super::{Outcome, call::Call, reply::Reply, shape};

pub(super) async fn list(call: &Call) -> Outcome {
    let target = call.target()?;
    call.through(Operation::Read, &call.config_path("metadata", &target), |permit| async {
        let all = call.core.dynamic_secrets(permit).await?;
        let all: Vec<Value> = all.iter().map(told).collect();
        Ok(Reply::ok(&json!({ "dynamic_secrets": all, "success": true })))
    })
    .await
}

pub(super) async fn create(call: &Call) -> Outcome {
    let target = call.target()?;
    let (name, path) = (call.parameters.required("name")?, call.parameters.required("path")?);
    call.through(Operation::Update, &call.config_path("metadata", &target), |permit| async {
        let made = call.core.create_dynamic_secret(permit, &name, &path).await?;
        Ok(Reply::ok(&json!({ "dynamic_secret": told(&made), "success": true })))
    })
    .await
}

pub(super) async fn delete(call: &Call) -> Outcome {
    let target = call.target()?;
    let name = call.parameters.required("dynamic_secret")?;
    call.through(Operation::Update, &call.config_path("metadata", &target), |permit| async {
        call.core.delete_dynamic_secret(permit, &name).await?;
        Ok(Reply::ok(&json!({ "success": true })))
    })
    .await
}

fn told(view: &DynamicView) -> Value {
    json!({ "name": view.name, "path": view.path, "created_at": shape::time(view.created) })
}
