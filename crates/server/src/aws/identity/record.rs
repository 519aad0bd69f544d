//! A request that is nobody's is recorded as any that is refused, before its answer leaves.

use keyturn_core::{door::Ask, policy::Operation, secret::SecretBytes};
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
        Err(failure) => Err(Box::pin(record(call, service, failure)).await),
    }
}

async fn record(call: &Call, service: AwsService, failure: AuthFailure) -> Failure {
    let told = failure.told(service, &call.request_id);
    let data = SecretBytes::new(claimed(call).to_string().into_bytes());
    match call.core.turn_away(unknown(call, service, &data), &told.text()).await {
        Ok(()) => told,
        Err(error) => Failure::internal(&error, &call.request_id),
    }
}

/// What a request asks before it is known who asks for what.
fn unknown<'a>(call: &'a Call, service: AwsService, data: &'a SecretBytes) -> Ask<'a> {
    Ask {
        request_id: &call.request_id,
        operation: Operation::Read,
        path: service.path(),
        credential: None,
        remote: call.remote,
        data,
        headers: &call.headers,
        wrap_ttl: None,
    }
}

/// Counts a request against the limit of `sys/aws/<service>`, before its signature is looked at.
///
/// # Errors
/// What the caller is to be told who is over it.
pub(crate) async fn rate_limit(call: &Call, service: AwsService) -> Result<(), Failure> {
    let internal = |error: &dyn std::fmt::Display| Failure::internal(error, &call.request_id);
    let (from, data) = (call.remote.map(|remote| remote.ip()), SecretBytes::default());
    let counted = call.core.rate_limit(service.path(), from, &data).await;
    let Some(standing) = counted.map_err(|error| internal(&error))?.filter(|standing| !standing.allowed) else {
        return Ok(());
    };
    if standing.audited {
        let reason = "rate limit quota exceeded";
        let recorded = Box::pin(call.core.turn_away(unknown(call, service, &data), reason)).await;
        recorded.map_err(|error| internal(&error))?;
    }
    // Clients of AWS try again later by themselves when they hear this name.
    let code = if service == AwsService::Sts { "Throttling" } else { "ThrottlingException" };
    Err(Failure::client(code, "Rate exceeded"))
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
