//! `GetCallerIdentity`: who one is. Needs no policy, as with AWS, but an access key that is good where it is used.

use keyturn_core::{
    door::{Answer, Ask},
    policy::Operation,
    secret::SecretBytes,
};

use super::{
    super::{Call, Outcome, failure::Failure, identity::Verified, settings::AwsSettings},
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
        headers: &call.headers,
        wrap_ttl: None,
    };
    let (exchange, admitted) = call.core.admit(ask).await;
    let outcome = match admitted {
        Err(refusal) => Err(Failure::from(refusal)),
        Ok(permit) => {
            let caller = permit.caller().is_some();
            permit.spend();
            // The path is open to everybody; whoever comes from a wrong network is nobody.
            if caller { Ok(identity_of(verified, &call.settings)) } else { Err(denied()) }
        }
    };
    let error = outcome.as_ref().err().map(Failure::text);
    let concluded = exchange.conclude(Answer { error: error.as_deref(), ..Answer::default() }).await;
    concluded.map_err(|error| Failure::internal(&error, &call.request_id))?;
    Ok(xml::answer("GetCallerIdentity", &SecretBytes::new(outcome?.into_bytes()), &call.request_id))
}

pub(super) fn denied() -> Failure {
    Failure::new(hyper::StatusCode::FORBIDDEN, "AccessDenied", "The access key may not be used from here.")
}

fn identity_of(verified: &Verified, settings: &AwsSettings) -> String {
    let account = verified.account(settings);
    format!(
        "<Arn>{}</Arn><UserId>{}</UserId><Account>{account}</Account>",
        xml::escaped(&verified.arn(settings)),
        xml::escaped(verified.access_key().user_id())
    )
}
