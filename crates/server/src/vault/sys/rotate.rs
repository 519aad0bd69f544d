//! `sys/key-status` and `sys/rotate`: the data keys.

use serde_json::json;

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
