//! What clients are told about rate limits: 429 with `Retry-After`, and if the operator wants it, where they stand.

use axum::body::Body;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{HeaderName, HeaderValue, RETRY_AFTER},
};
use keyturn_core::{core::Core, door::Ask, quota::Standing};

use super::error::Failure;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The answer to a request over its limit, recorded in the audit log if that is wanted.
pub(super) async fn refuse(core: &Core, ask: Ask<'_>, standing: Standing) -> Result<Response<Body>, Failure> {
    let reason = format!("request path {:?}: rate limit quota exceeded", ask.path);
    if standing.audited {
        let request_id = ask.request_id;
        core.turn_away(ask, &reason).await.map_err(|failure| Failure::internal(&failure, request_id))?;
    }
    let mut answer = Failure::new(StatusCode::TOO_MANY_REQUESTS, reason).into_response();
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(standing.retry_after));
    tell(answer.headers_mut(), standing);
    Ok(answer)
}

/// Says where the client stands.
pub(super) fn tell(headers: &mut HeaderMap, standing: Standing) {
    if standing.told {
        headers.insert(LIMIT, HeaderValue::from(standing.limit));
        headers.insert(REMAINING, HeaderValue::from(standing.remaining));
        headers.insert(RESET, HeaderValue::from(standing.reset));
    }
}
