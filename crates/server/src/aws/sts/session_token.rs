//! `GetSessionToken`: temporary credentials with the rights of the key that asks. Needs no policy, as with AWS.

use std::time::Duration;

use keyturn_core::{
    access_key::{AccessKeyError, TemporaryCredentials},
    door::{Answer, Ask, Permit},
    policy::Operation,
    secret::SecretBytes,
};
use serde_json::json;

use super::{
    super::{Call, Outcome, failure::Failure, identity::Verified},
    caller_identity::denied,
    credentials,
    form::Form,
    xml,
};

/// Seconds that they live if the request says nothing, and the bounds of what it may say: as AWS's.
const DEFAULT: Duration = Duration::from_secs(12 * 3600);
const SHORTEST: Duration = Duration::from_secs(900);
const LONGEST: Duration = Duration::from_secs(36 * 3600);

pub(super) async fn answer(call: &Call, verified: &Verified, form: &Form) -> Outcome {
    let seconds = credentials::duration(form, DEFAULT.as_secs(), SHORTEST.as_secs()..=LONGEST.as_secs())?;
    let data = SecretBytes::new(json!({ "duration_seconds": seconds }).to_string().into_bytes());
    let ask = Ask {
        request_id: &call.request_id,
        operation: Operation::Update,
        path: "sys/aws/sts/session-token",
        credential: Some(verified.credential()),
        remote: call.remote,
        data: &data,
        headers: &call.headers,
        wrap_ttl: None,
    };
    let (exchange, admitted) = call.core.admit(ask).await;
    let outcome = match admitted {
        Err(refusal) => Err(Failure::from(refusal)),
        Ok(permit) => create(call, permit, verified, seconds).await,
    };
    let error = outcome.as_ref().err().map(Failure::text);
    let recorded = outcome.as_ref().ok().map(credentials::audited);
    let told = Answer { data: recorded.as_ref(), error: error.as_deref(), ..Answer::default() };
    exchange.conclude(told).await.map_err(|error| Failure::internal(&error, &call.request_id))?;
    Ok(xml::answer("GetSessionToken", &credentials::element(&outcome?), &call.request_id))
}

async fn create(
    call: &Call,
    permit: Permit,
    verified: &Verified,
    seconds: u64,
) -> Result<TemporaryCredentials, Failure> {
    if permit.caller().is_none() {
        permit.spend();
        return Err(denied());
    }
    let made = call.core.access_keys().create_session(permit, verified.access_key(), seconds).await;
    made.map_err(|error| match error {
        AccessKeyError::Temporary => {
            let text = "Cannot call GetSessionToken with session credentials";
            Failure::new(hyper::StatusCode::FORBIDDEN, "AccessDenied", text)
        }
        error => Failure::internal(&error, &call.request_id),
    })
}
