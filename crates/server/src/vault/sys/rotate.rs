//! `sys/key-status`, `sys/rotate` and `sys/rotate/config`: the data keys.

use keyturn_core::key_rotation::KeyRotationChange;
use serde_json::{Value, json};

use super::super::{Outcome, call::Call, reply::Reply};

pub(in super::super) async fn key_status(call: Call<'_>) -> Outcome {
    let status = call.core.key_status(call.permit);
    let told = json!({
        "term": status.term,
        "install_time": status.install_time,
        "encryptions": status.encryptions,
    });
    Ok(Reply::data(&told)?.at_top())
}

pub(in super::super) async fn rotate(call: Call<'_>) -> Outcome {
    call.core.rotate_keys(call.permit).await?;
    Ok(Reply::empty())
}

pub(in super::super) async fn read_config(call: Call<'_>) -> Outcome {
    let rotation = call.core.key_rotation(call.permit);
    Ok(Reply::data(&json!({
        "enabled": rotation.enabled,
        "max_operations": rotation.max_operations,
        "interval": interval(rotation.interval),
    }))?
    .at_top())
}

pub(in super::super) async fn write_config(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let change = KeyRotationChange {
        enabled: fields.boolean("enabled")?,
        max_operations: fields.natural("max_operations")?,
        interval: fields.seconds("interval")?,
    };
    call.core.configure_key_rotation(call.permit, change).await?;
    Ok(Reply::empty())
}

/// As Go writes a duration; none is a number.
fn interval(seconds: u64) -> Value {
    if seconds == 0 {
        return 0.into();
    }
    format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60).into()
}
