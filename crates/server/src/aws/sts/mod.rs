//! STS, the security token service: who one is. The query protocol: a form (or a query) with `Action`, XML answers.
//! <https://docs.aws.amazon.com/STS/latest/APIReference/welcome.html>

mod caller_identity;
mod credentials;
mod form;
mod session_token;
mod web_identity;
pub(super) mod xml;

use hyper::{Method, StatusCode, http::request::Parts};

use self::form::Form;
use super::{AwsService, Call, Outcome, failure::Failure, identity};

/// The one version there is.
const VERSION: &str = "2011-06-15";

/// Answers one request.
pub(super) async fn serve(call: &Call) -> Outcome {
    if call.parts.uri.path() != "/" {
        return Err(Failure::new(StatusCode::NOT_FOUND, "InvalidAction", "The API is at the path /."));
    }
    let form = Form::parse(call)?;
    let text = |name| form.text(name).unwrap_or_default();
    match (text("Action"), text("Version")) {
        (_, version) if version != VERSION => Err(invalid_action("Version must be 2011-06-15.")),
        ("GetCallerIdentity", _) => {
            let verified = identity::identify(call, AwsService::Sts).await?;
            caller_identity::answer(call, &verified).await
        }
        ("AssumeRoleWithWebIdentity", _) => web_identity::answer(call, &form).await,
        ("GetSessionToken", _) => {
            let verified = identity::identify(call, AwsService::Sts).await?;
            session_token::answer(call, &verified, &form).await
        }
        _ => {
            identity::identify(call, AwsService::Sts).await?;
            Err(invalid_action("This server offers GetCallerIdentity, GetSessionToken and AssumeRoleWithWebIdentity."))
        }
    }
}

/// The action that a request names, as it is spelled: one of ours has nothing to escape.
pub(super) fn action<'a>(parts: &'a Parts, body: &'a [u8]) -> Option<&'a str> {
    let text = std::str::from_utf8(parameters(parts, body)).ok()?;
    text.split('&').find_map(|pair| pair.strip_prefix("Action="))
}

fn invalid_action(message: &str) -> Failure {
    Failure::client("InvalidAction", message)
}

/// Where the parameters stand: in the query of a GET, else in the body.
fn parameters<'a>(parts: &'a Parts, body: &'a [u8]) -> &'a [u8] {
    if parts.method == Method::GET { parts.uri.query().unwrap_or_default().as_bytes() } else { body }
}
