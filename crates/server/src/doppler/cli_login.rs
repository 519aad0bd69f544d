//! `auth/cli`: how the command line gets a token through somebody's browser. The page is in `approve.rs`.

use hyper::{StatusCode, header::HOST};
use keyturn_core::{
    device_login::{DeviceLoginError, Polled},
    door::Answer,
    policy::Operation,
    secret::SecretBytes,
};
use serde::Serialize;
use serde_json::json;

use super::{Outcome, call::Call, error::Failure, reply::Reply};

/// The path that the log has for logins of devices; it needs no token.
const OPEN: &str = "sys/doppler/device-login";
/// The page's path.
pub(super) const PAGE: &str = "auth/cli/approve";

impl From<DeviceLoginError> for Failure {
    fn from(error: DeviceLoginError) -> Self {
        match error {
            DeviceLoginError::Full => Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()),
            DeviceLoginError::NoCode => Self::not_found(error.to_string()),
            DeviceLoginError::Token(error) => error.into(),
            DeviceLoginError::Store(error) => error.into(),
        }
    }
}

/// Where people reach this server.
pub(super) fn base_url(call: &Call) -> String {
    if let Some(url) = call.public_url() {
        return url.to_owned();
    }
    let scheme = if call.secure { "https" } else { "http" };
    let fits = |host: &&str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    let host = call.headers.get(HOST).and_then(|host| host.to_str().ok()).filter(fits);
    format!("{scheme}://{}", host.or(call.authority.as_deref()).unwrap_or("localhost"))
}

/// `generate/2`: begins a login.
pub(super) async fn generate(call: &Call) -> Outcome {
    let host = call.parameters.text("hostname")?.unwrap_or_else(|| "an unnamed machine".to_owned());
    call.through(Operation::Update, OPEN, |permit| async {
        permit.spend();
        let started = call.core.device_logins().start(&host)?;
        let told = Started {
            code: &started.code,
            polling_code: started.polling_code.expose_secret(),
            auth_url: &format!("{}/v3/{PAGE}", base_url(call)),
        };
        secret_json(&told)
    })
    .await
}

#[derive(Serialize)]
struct Started<'a> {
    code: &'a str,
    polling_code: &'a str,
    auth_url: &'a str,
}

#[derive(Serialize)]
struct Given<'a> {
    token: &'a str,
    name: &'a str,
    dashboard_url: &'a str,
}

/// `authorize`: whether somebody has approved it. 409 means not yet; the token is given once.
pub(super) async fn authorize(call: &Call) -> Outcome {
    let code = call.parameters.secret("code")?.ok_or_else(|| Failure::bad_request("code is missing"))?;
    match call.core.device_logins().poll(&code) {
        Polled::Waiting => Err(Failure::conflict("nobody has approved this login yet")),
        Polled::Unknown => Ok(Reply::ok(&json!({
            "error": "This login has ended: it was used, or nobody approved it within ten minutes. Start anew.",
        }))),
        Polled::Approved(token, name) => {
            call.through(Operation::Update, OPEN, |permit| async {
                permit.spend();
                let base = base_url(call);
                secret_json(&Given { token: token.expose_secret(), name: &name, dashboard_url: &base })
            })
            .await
        }
    }
}

#[derive(Serialize)]
struct Rolled<'a> {
    token: &'a str,
    success: bool,
}

/// `roll`: another token in the place of the one in the body.
pub(super) async fn roll(call: &Call) -> Outcome {
    let token = call.parameters.secret("token")?.ok_or_else(Failure::unauthenticated)?;
    let known = super::auth::know(&call.core, Some(&token)).await?;
    let told = SecretBytes::new(b"{}".to_vec());
    let (exchange, permit) = call.admit_as(&known, Operation::Update, "auth/token/renew-self", &told).await?;
    let outcome = match call.core.device_logins().roll(permit, &token).await {
        Ok(new) => secret_json(&Rolled { token: new.expose_secret(), success: true }),
        Err(error) => Err(error.into()),
    };
    call.conclude(exchange, outcome).await
}

/// `revoke`: ends the token in the body.
pub(super) async fn revoke(call: &Call) -> Outcome {
    let token = call.parameters.secret("token")?.ok_or_else(Failure::unauthenticated)?;
    let known = super::auth::know(&call.core, Some(&token)).await?;
    let told = SecretBytes::new(b"{}".to_vec());
    let (exchange, permit) = call.admit_as(&known, Operation::Update, "auth/token/revoke-self", &told).await?;
    let which = keyturn_core::token::Which::Token(&token);
    let outcome = match call.core.tokens().revoke(permit, which).await {
        Ok(_) => Ok(Reply::ok(&json!({ "success": true }))),
        Err(error) => Err(error.into()),
    };
    call.conclude(exchange, outcome).await
}

/// `auth/oidc`: the token of an identity provider for one of ours. An identity is a role of a JWT auth method: `ROLE` at
/// `auth/jwt/`, or `MOUNT/ROLE`.
pub(super) async fn oidc(call: &Call) -> Outcome {
    let identity = call.parameters.required("identity")?;
    let jwt = call.parameters.secret("token")?.ok_or_else(|| Failure::bad_request("token is missing"))?;
    let (mount, role) = identity.rsplit_once('/').unwrap_or(("jwt", &identity));
    for part in mount.split('/').chain([role]) {
        super::call::checked("identity", part.to_owned())?;
    }
    let path = format!("auth/{mount}/login");
    let (exchange, permit) = call.admit(Operation::Update, &path, call.parameters.told()).await?;
    let made = call.core.log_in_identity(permit, role, &jwt).await;
    let (issued, why) = match made {
        Ok(issued) => (Some(issued), None),
        Err(error) => (None, Some(error.to_string())),
    };
    // Why a trust did not hold is for those who read the audit log.
    let answer = Answer { issued: issued.as_ref(), error: why.as_deref(), ..Answer::default() };
    exchange.conclude(answer).await.map_err(|error| Failure::internal(&error, &call.request_id))?;
    let issued =
        issued.ok_or_else(|| Failure::forbidden("The token of the identity provider is not good for this identity"))?;
    let expires = issued.entry.expires.map(super::shape::time).unwrap_or_default();
    let base = base_url(call);
    let told =
        Identified { success: true, token: issued.token.expose_secret(), expires_at: &expires, dashboard_url: &base };
    secret_json(&told)
}

#[derive(Serialize)]
struct Identified<'a> {
    success: bool,
    token: &'a str,
    expires_at: &'a str,
    dashboard_url: &'a str,
}

/// JSON that holds a token: the buffer must not grow, or a copy of it stays behind.
fn secret_json(shape: &impl Serialize) -> Outcome {
    let mut text = SecretBytes::new(Vec::with_capacity(4096));
    serde_json::to_writer(text.expose_secret_mut(), shape).map_err(|error| Failure::internal(&error, ""))?;
    Ok(Reply::secret_json(StatusCode::OK, text))
}
