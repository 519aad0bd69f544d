//! `sys/in-flight-req`: the requests that are at work, this one among them.

use serde_json::{Map, Value, json};

use super::super::{Outcome, call::Call, in_flight::InFlight, reply::Reply};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    call.permit.spend();
    let mut all = call.vault.in_flight.all();
    all.insert(call.parsed.request_id.clone(), InFlight::of(call.parsed, call.core.now()));
    let told: Map<String, Value> = all.into_iter().map(|(id, request)| (id, told(&request))).collect();
    Ok(Reply::plain("application/json", Value::Object(told).to_string()))
}

fn told(request: &InFlight) -> Value {
    json!({
        "start_time": request.since,
        "client_remote_address": request.remote.map(|remote| remote.to_string()).unwrap_or_default(),
        "request_path": request.path,
        "request_method": request.method,
        "client_id": "",
    })
}
