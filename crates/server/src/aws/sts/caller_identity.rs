//! `GetCallerIdentity`: who one is. Needs no policy, as with AWS, but an access key that is good where it is used.

use keyturn_core::{
    access_key::Proven,
    door::{Answer, Ask},
    policy::Operation,
    secret::SecretBytes,
};
use keyturn_protocol::aws::ACCOUNT_ID;

use super::{
    super::{Call, Outcome, failure::Failure, identity::Verified},
    xml,
};

pub(super) async fn answer(call: &Call, verified: &Verified) -> Outcome {
    let ask = Ask {
        request_id: &call.request_id,
        operation: Operation::Read,
        path: "sys/aws/sts/caller-identity",
        credential: Some(verified.credential()),
        remote: call.remote,
        data: &SecretBytes::default(),
        wrap_ttl: None,
    };
    let (exchange, admitted) = call.core.admit(ask).await;
    let outcome = match admitted {
        Err(refusal) => Err(Failure::from(refusal)),
        Ok(permit) => {
            let caller = permit.caller().is_some();
            permit.spend();
            // The path is open to everybody; whoever comes from a wrong network is nobody.
            if caller { Ok(identity_of(verified.access_key())) } else { Err(denied()) }
        }
    };
    let error = outcome.as_ref().err().map(Failure::text);
    let concluded = exchange.conclude(Answer { error: error.as_deref(), ..Answer::default() }).await;
    concluded.map_err(|error| Failure::internal(&error, &call.request_id))?;
    Ok(xml::answer("GetCallerIdentity", &SecretBytes::new(outcome?.into_bytes()), &call.request_id))
}

fn denied() -> Failure {
    Failure::new(hyper::StatusCode::FORBIDDEN, "AccessDenied", "The access key may not be used from here.")
}

fn identity_of(key: &Proven) -> String {
    let suffix = key.access_key_id().get(4..).unwrap_or_default();
    let (arn, user_id) = if key.is_temporary() {
        let session = key.name().split_once('/').map_or("", |(_, session)| session);
        (format!("arn:aws:sts::{ACCOUNT_ID}:assumed-role/{}", key.name()), format!("AROA{suffix}:{session}"))
    } else {
        (format!("arn:aws:iam::{ACCOUNT_ID}:user/{}", key.name()), format!("AIDA{suffix}"))
    };
    format!(
        "<Arn>{}</Arn><UserId>{}</UserId><Account>{ACCOUNT_ID}</Account>",
        xml::escaped(&arn),
        xml::escaped(&user_id)
    )
}
