//! `sys/config`: who may ask from another origin, headers of the user interface, and what the process was told.

use serde_json::{Value, json};

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

pub(in super::super) async fn read_cors(call: Call<'_>) -> Outcome {
    let told = match call.core.settings().read_cors(call.permit) {
        None => json!({ "enabled": false }),
        Some(cors) => {
            json!({ "enabled": true, "allowed_origins": cors.origins(), "allowed_headers": cors.headers() })
        }
    };
    Ok(Reply::data(&told)?.at_top())
}

pub(in super::super) async fn write_cors(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let origins = fields.list("allowed_origins")?.unwrap_or_default();
    let headers = fields.list("allowed_headers")?.unwrap_or_default();
    call.core.settings().allow_cors(call.permit, origins, &headers).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete_cors(call: Call<'_>) -> Outcome {
    call.core.settings().forbid_cors(call.permit).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn list_headers(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.settings().list_headers(call.permit).await?)
}

pub(in super::super) async fn read_header(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let all = call.fields()?.boolean("multivalue")?.unwrap_or(false);
    let values = call.core.settings().read_header(call.permit, &name).await?;
    match values.first() {
        None => Err(Failure::nothing()),
        Some(_) if all => Reply::data(&json!({ "values": values })),
        Some(first) => Reply::data(&json!({ "value": first })),
    }
}

pub(in super::super) async fn write_header(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    let values = call.fields()?.list("values")?.unwrap_or_default();
    call.core.settings().write_header(call.permit, &name, values).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn delete_header(call: Call<'_>) -> Outcome {
    let name = call.part("name").to_owned();
    call.core.settings().delete_header(call.permit, &name).await?;
    Ok(Reply::empty())
}

/// The configuration that the process runs with.
pub(in super::super) async fn sanitized(call: Call<'_>) -> Outcome {
    call.permit.spend();
    match &call.vault.configuration {
        Value::Null => Reply::data(&json!({})),
        configuration => Reply::data(configuration),
    }
}
