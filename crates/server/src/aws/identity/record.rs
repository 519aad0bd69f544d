//! A request that is nobody's is recorded as any that is refused, before its answer leaves.

use keyturn_core::{
    door::{Answer, Ask},
    policy::Operation,
    secret::SecretBytes,
};
use keyturn_protocol::aws::sigv4::{Presented, TARGET_HEADER};
use serde_json::json;

use super::{
    super::{AwsService, Call, failure::Failure},
    AuthFailure, Verified, authenticate,
};

/// The longest that is recorded of what a stranger sent, in characters.
const MAX_TEXT: usize = 128;

/// Finds out who asks; whoever is refused finds the refusal in the audit log.
///
/// # Errors
/// What the caller is to be told.
pub(crate) async fn identify(call: &Call, service: AwsService) -> Result<Verified, Failure> {
    match authenticate(&call.core, service, &call.parts, call.body.expose_secret()).await {
        Ok(verified) => Ok(verified),
        Err(failure) => Err(record(call, service, failure).await),
    }
}

async fn record(call: &Call, service: AwsService, failure: AuthFailure) -> Failure {
    let told = failure.told(service, &call.request_id);
    let data = SecretBytes::new(claimed(call).to_string().into_bytes());
    let path = format!("sys/aws/{}", service.name());
    let ask = Ask {
        request_id: &call.request_id,
        operation: Operation::Read,
        path: &path,
        credential: None,
        remote: call.remote,
        data: &data,
        wrap_ttl: None,
    };
    // Without a credential the door cannot but refuse; that it does so is what is recorded.
    let (exchange, _) = call.core.admit(ask).await;
    let text = told.text();
    match exchange.conclude(Answer { error: Some(&text), ..Answer::default() }).await {
        Ok(()) => told,
        Err(error) => Failure::internal(&error, &call.request_id),
    }
}

/// Whom and what the request names, as far as it can be read. Recorded as hashes, as all data.
fn claimed(call: &Call) -> serde_json::Value {
    let header = |name: &str| call.parts.headers.get(name).and_then(|value| value.to_str().ok());
    let in_header = header("authorization").and_then(|value| Presented::from_header(value).ok());
    let in_query = || Presented::from_query(call.parts.uri.query().unwrap_or_default()).ok().flatten();
    let credential = in_header.or_else(in_query).map(|presented| presented.credential).unwrap_or_default();
    let id: String = credential.split('/').next().unwrap_or_default().chars().take(MAX_TEXT).collect();
    let target: String = header(TARGET_HEADER).unwrap_or_default().chars().take(MAX_TEXT).collect();
    json!({ "access_key_id": id, "target": target })
}
