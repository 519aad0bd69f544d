//! `sys/audit` and `sys/audit-hash`: audit devices.

use keyturn_core::audit::DeviceInfo;
use serde_json::{Map, Value, json};

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    let devices = call.core.audit_devices().list(call.permit);
    let told: Map<String, Value> = devices
        .into_iter()
        .map(|device| {
            let told = json!({
                "path": device.path,
                "type": device.kind,
                "description": device.description,
                "options": device.options,
                "local": device.local,
            });
            (device.path, told)
        })
        .collect();
    Ok(Reply::data(&told)?.at_top())
}

pub(in super::super) async fn enable(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let info = DeviceInfo {
        path: call.part("path").to_owned(),
        kind: fields.required_text("type")?,
        description: fields.text("description")?.unwrap_or_default(),
        options: fields.map("options")?.unwrap_or_default(),
        local: fields.boolean("local")?.unwrap_or(false),
        accessor: String::new(),
    };
    call.core.audit_devices().enable(call.permit, info).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn disable(call: Call<'_>) -> Outcome {
    let path = call.part("path").to_owned();
    call.core.audit_devices().disable(call.permit, &path).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn hash(call: Call<'_>) -> Outcome {
    let path = call.part("path").to_owned();
    let input = call.fields()?.secret("input")?.filter(|input| !input.is_empty());
    let input = input.ok_or_else(|| Failure::bad_request("the \"input\" parameter is empty"))?;
    let hash = call.core.audit_devices().hash(call.permit, &path, input.expose_secret())?;
    Ok(Reply::data(&json!({ "hash": hash }))?.at_top())
}
