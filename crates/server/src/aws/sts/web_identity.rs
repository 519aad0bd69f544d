//! `AssumeRoleWithWebIdentity`: temporary credentials for whoever has a token of an identity provider that a JWT auth
//! method trusts. It is not signed: the token says who asks.
//!
//! ```text
//! RoleArn  arn:aws:iam::<account>:role/<mount>/<role>     the mount is `auth/<mount>/`; without one, `auth/jwt/`
//! ```

use hyper::StatusCode;
use keyturn_core::{
    access_key::{AssumeRole, AssumeRoleError, AssumedRole},
    door::{Answer, Ask, Refusal},
    login::{TokenFault, jwt::JwtError},
    policy::Operation,
    secret::SecretBytes,
};
use serde::Serialize;

use super::{
    super::{Call, Outcome, failure::Failure, settings::AwsSettings},
    credentials,
    form::Form,
    xml,
};

/// Seconds that the credentials live if the request says nothing, and the bounds of what it may say: as AWS's.
const DEFAULT: u64 = 3600;
const SHORTEST: u64 = 900;
const LONGEST: u64 = 12 * 3600;
/// The longest provider's token, in bytes.
const MAX_TOKEN: usize = 20_000;

/// The request as the audit log has it: that of a login.
#[derive(Serialize)]
struct Login<'a> {
    role: &'a str,
    jwt: &'a str,
    role_session_name: &'a str,
}

pub(super) async fn answer(call: &Call, form: &Form) -> Outcome {
    let required = |name: &'static str| {
        form.text(name).filter(|text| !text.is_empty()).ok_or_else(|| invalid(format!("{name} is missing.")))
    };
    // A restriction that is not applied must not be taken for one that is.
    if let Some(name) = form.names().find(|name| name.starts_with("Policy") || *name == "ProviderId") {
        return Err(invalid(format!("{} is not offered by this server.", name.chars().take(40).collect::<String>())));
    }
    let (account, mount, role) = parse_arn(required("RoleArn")?, &call.settings)?;
    let session_name = required("RoleSessionName")?;
    let token = form.secret("WebIdentityToken").filter(|token| (4..=MAX_TOKEN).contains(&token.len()));
    let token = token.ok_or_else(|| invalid("WebIdentityToken must have 4 to 20000 characters."))?;
    let seconds = credentials::duration(form, DEFAULT, SHORTEST..=LONGEST)?;
    let assume = AssumeRole { role, session_name, token, seconds, account };
    exchange(call, &format!("auth/{mount}/login"), assume).await
}

async fn exchange(call: &Call, path: &str, assume: AssumeRole<'_>) -> Outcome {
    let data = recorded(&assume)?;
    let ask = Ask {
        request_id: &call.request_id,
        operation: Operation::Update,
        path,
        credential: None,
        remote: call.remote,
        data: &data,
        headers: &call.headers,
        wrap_ttl: None,
    };
    let account = assume.account;
    let (exchange, admitted) = call.core.admit(ask).await;
    let outcome = match admitted {
        Err(Refusal::Denied | Refusal::NoRoute(_)) => Err((not_authorized(), "permission denied".to_owned())),
        Err(refusal) => Err((Failure::from(refusal), "internal error".to_owned())),
        Ok(permit) => {
            let assumed = call.core.assume_role(permit, assume).await;
            assumed.map_err(|error| (failure(&error, &call.request_id), error.to_string()))
        }
    };
    // The client hears what AWS would say; why a trust did not hold is for those who read the audit log.
    let error = outcome.as_ref().err().map(|(_, why)| why.as_str());
    let audited = outcome.as_ref().ok().map(|assumed| credentials::audited(&assumed.credentials));
    let told = Answer { data: audited.as_ref(), error, ..Answer::default() };
    exchange.conclude(told).await.map_err(|error| Failure::internal(&error, &call.request_id))?;
    let assumed = outcome.map_err(|(told, _)| told)?;
    Ok(xml::answer("AssumeRoleWithWebIdentity", &element(&assumed, account), &call.request_id))
}

/// The account, the mount below `auth/` and the role that an ARN names.
fn parse_arn<'a>(arn: &'a str, settings: &AwsSettings) -> Result<(&'a str, &'a str, &'a str), Failure> {
    let parts = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/"));
    let (account, path) =
        parts.filter(|(account, _)| settings.mount_at(account, &settings.region).is_some()).unwrap_or_default();
    let (mount, role) = path.rsplit_once('/').unwrap_or(("jwt", path));
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-/".contains(c);
    let is_path = !mount.split('/').any(|part| matches!(part, "" | "." | ".."));
    if role.is_empty() || arn.len() > 512 || !is_path || !path.chars().all(fits) {
        return Err(invalid(format!("RoleArn must be arn:aws:iam::{}:role/MOUNT/ROLE.", settings.account_id)));
    }
    Ok((account, mount, role))
}

fn recorded(assume: &AssumeRole<'_>) -> Result<SecretBytes, Failure> {
    let login = Login { role: assume.role, jwt: assume.token.expose_secret(), role_session_name: assume.session_name };
    // Escaping makes at most six bytes of one; the buffer must not grow, or a copy of the token stays behind.
    let room = 6 * (login.role.len() + login.jwt.len() + login.role_session_name.len()) + 64;
    let mut text = SecretBytes::new(Vec::with_capacity(room));
    serde_json::to_writer(text.expose_secret_mut(), &login).map_err(|error| Failure::internal(&error, ""))?;
    Ok(text)
}

fn element(assumed: &AssumedRole, account: &str) -> SecretBytes {
    let claim = |name: &str| assumed.trusted.claims.get(name);
    let text = |value: Option<&serde_json::Value>| xml::escaped(value.and_then(|value| value.as_str()).unwrap_or(""));
    let audience = match claim("aud") {
        Some(serde_json::Value::Array(all)) => text(all.first()),
        one => text(one),
    };
    let who = format!(
        "<SubjectFromWebIdentityToken>{}</SubjectFromWebIdentityToken><Audience>{audience}</Audience>\
         <Provider>{}</Provider><AssumedRoleUser><Arn>arn:aws:sts::{account}:assumed-role/{}</Arn>\
         <AssumedRoleId>{}</AssumedRoleId></AssumedRoleUser>",
        text(claim("sub")),
        text(claim("iss")),
        xml::escaped(&assumed.credentials.key.name),
        xml::escaped(&assumed.user_id),
    );
    let credentials = credentials::element(&assumed.credentials);
    let mut whole = SecretBytes::new(Vec::with_capacity(who.len() + credentials.len()));
    whole.expose_secret_mut().extend_from_slice(who.as_bytes());
    whole.expose_secret_mut().extend_from_slice(credentials.expose_secret());
    whole
}

/// What is wrong, in AWS's words.
fn failure(error: &AssumeRoleError, request_id: &str) -> Failure {
    match error {
        AssumeRoleError::SessionName => invalid(error.to_string()),
        AssumeRoleError::AccessKey(error) => Failure::internal(error, request_id),
        AssumeRoleError::Login(JwtError::Store(error)) => Failure::internal(error, request_id),
        AssumeRoleError::Login(JwtError::Token(TokenFault::Expired)) => {
            Failure::client("ExpiredTokenException", "Token must be redeemed within its time: it is expired")
        }
        AssumeRoleError::Login(JwtError::Token(
            TokenFault::Malformed(_) | TokenFault::Signature | TokenFault::Algorithm,
        )) => Failure::client("InvalidIdentityToken", "The web identity token could not be validated."),
        AssumeRoleError::Login(JwtError::Keys(_)) => {
            Failure::client("IDPCommunicationError", "The keys of the identity provider could not be had; try again.")
        }
        AssumeRoleError::Login(_) => not_authorized(),
    }
}

fn not_authorized() -> Failure {
    let text = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
    Failure::new(StatusCode::FORBIDDEN, "AccessDenied", text)
}

fn invalid(text: impl Into<String>) -> Failure {
    Failure::client("ValidationError", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_names_a_mount_and_a_role() {
        let settings = AwsSettings {
            account_mounts: [("210987654321".to_owned(), "other/".to_owned())].into(),
            ..AwsSettings::default()
        };
        let parse = |path: &str| {
            parse_arn(&format!("arn:aws:iam::000000000000:{path}"), &settings)
                .ok()
                .map(|(_, mount, role)| format!("{mount} {role}"))
        };
        assert_eq!(parse("role/ci").as_deref(), Some("jwt ci"));
        assert_eq!(parse("role/github/ci").as_deref(), Some("github ci"));
        assert_eq!(parse("role/team/github/ci").as_deref(), Some("team/github ci"));
        for path in ["role/", "role/a/", "role//a", "role/../a", "role/./a", "user/a", "role/a b", "role/a%2fb", ""] {
            assert_eq!(parse(path), None, "{path}");
        }
        assert!(parse_arn("arn:aws:iam::123456789012:role/ci", &settings).is_err(), "another account");
        let other = parse_arn("arn:aws:iam::210987654321:role/ci", &settings);
        assert!(matches!(other, Ok(("210987654321", "jwt", "ci"))), "an account that has a mount");
    }
}
