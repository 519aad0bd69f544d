//! `sys/internal/counters`: how much there is of what.

use hyper::StatusCode;
use serde_json::json;

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

/// Service tokens in the store.
pub(in super::super) async fn tokens(call: Call<'_>) -> Outcome {
    let total = call.core.tokens().count(call.permit).await?;
    Reply::data(&json!({ "counters": { "service_tokens": { "total": total } } }))
}

/// Requests by month, which Vault no longer tells either.
pub(in super::super) async fn requests(call: Call<'_>) -> Outcome {
    call.permit.spend();
    Err(Failure::new(StatusCode::NOT_FOUND, "The functionality has been removed on this path"))
}
