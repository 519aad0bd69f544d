//! Approving a login of a device on a page, which `approve_page.rs` writes. It holds nothing from elsewhere, no script and no cookie: whoever
//! approves proves who they are with each approval, so a page of somebody else has nothing to ride on. The code is typed,
//! not carried in the address, so that a link alone makes nobody approve a stranger's login.

use hyper::{
    HeaderMap, StatusCode,
    header::{HOST, HeaderName, ORIGIN},
};
use keyturn_core::{
    door::{Answer, Ask, Refusal},
    policy::Operation,
    secret::{SecretBytes, SecretString},
    token::Issued,
};
use keyturn_protocol::aws::sigv4::decode_form;
use serde::Serialize;

use super::{
    Outcome,
    approve_page::{View, page},
    call::{Call, checked},
    error::Failure,
    reply::Reply,
};

/// What is told of a login that failed, whyever it did.
const WRONG: &str = "Username or password is wrong, or the user is locked.";
/// Fields of the form at the most.
const MAX_FIELDS: usize = 10;

/// What somebody sent.
struct Form(Vec<(String, SecretString)>);

impl Form {
    fn parse(body: &SecretBytes) -> Option<Self> {
        let text = std::str::from_utf8(body.expose_secret()).ok()?;
        let mut form = Self(Vec::new());
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=')?;
            let decoded = |text| String::from_utf8(decode_form(text)?).ok();
            let (name, value) = (decoded(name)?, SecretString::new(decoded(value)?));
            if form.0.len() == MAX_FIELDS || form.get(&name).is_some() {
                return None;
            }
            form.0.push((name, value));
        }
        Some(form)
    }

    fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> &str {
        self.get(name).map_or("", |value| value.expose_secret().trim())
    }
}

/// Shows the page.
pub(super) async fn show(_: &Call) -> Outcome {
    Ok(page(StatusCode::OK, &View::Form { code: "", problem: None }))
}

/// Takes an approval.
pub(super) async fn submit(call: &Call) -> Outcome {
    if !is_own(&call.headers) {
        return Ok(page(StatusCode::FORBIDDEN, &View::Refused("This form was sent by another site.")));
    }
    let Some(form) = Form::parse(call.parameters.raw()) else {
        return Ok(page(
            StatusCode::BAD_REQUEST,
            &View::Form { code: "", problem: Some("The form could not be read.") },
        ));
    };
    let code = form.text("code").to_owned();
    let approved = match (form.get("token"), form.get("username")) {
        (Some(token), None) => by_token(call, &code, token).await,
        (None, Some(_)) => by_login(call, &code, &form).await,
        _ => Err(Failure::bad_request("Give either a token, or a username with its password.")),
    };
    Ok(match approved {
        Ok(host) => page(StatusCode::OK, &View::Approved { code: &code, host: &host }),
        Err(failure) => page(failure.status(), &View::Form { code: &code, problem: Some(&problem(&failure)) }),
    })
}

/// What somebody at a browser is told. The API's own words are for programs.
fn problem(failure: &Failure) -> String {
    match failure.status() {
        StatusCode::UNAUTHORIZED => {
            "This token is not good here: it was mistyped, has ended, or is of another server.".to_owned()
        }
        StatusCode::FORBIDDEN if failure.text().starts_with("This token") => {
            "This token may not approve logins: it needs update on auth/token/create.".to_owned()
        }
        _ => failure.text(),
    }
}

/// Whether a form comes from this very page, as far as the browser says.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let origin = text(ORIGIN).map(|origin| origin.split_once("://").map_or("?", |(_, host)| host));
    site.is_none_or(|site| matches!(site, "same-origin" | "none"))
        && origin.is_none_or(|origin| Some(origin) == text(HOST))
}

#[derive(Serialize)]
struct Approval<'a> {
    device_code: &'a str,
}

#[derive(Serialize)]
struct Login<'a> {
    password: &'a str,
    device_code: &'a str,
}

async fn by_token(call: &Call, code: &str, token: &SecretString) -> Result<String, Failure> {
    let token = SecretString::from(token.expose_secret().trim());
    let known = super::auth::know(&call.core, Some(&token)).await?;
    let told = SecretBytes::new(serde_json::to_vec(&Approval { device_code: code }).unwrap_or_default());
    let (exchange, permit) = call.admit_as(&known, Operation::Update, "auth/token/create", &told).await?;
    let host = call.core.device_logins().host_of(code).unwrap_or_default();
    let outcome = call.core.device_logins().approve(permit, code).await;
    let outcome = outcome.map(|()| Reply::nothing()).map_err(Failure::from);
    call.conclude(exchange, outcome).await.map(|_| host)
}

async fn by_login(call: &Call, code: &str, form: &Form) -> Result<String, Failure> {
    let logins = call.core.device_logins();
    let host = logins.host_of(code).ok_or(keyturn_core::device_login::DeviceLoginError::NoCode)?;
    let user = checked("user", form.text("username").to_lowercase())?;
    let mount = Some(form.text("mount").trim_matches('/')).filter(|mount| !mount.is_empty()).unwrap_or("userpass");
    mount.split('/').try_for_each(|part| checked("mount", part.to_owned()).map(|_| ()))?;
    let password = form.get("password").cloned().unwrap_or_default();
    let mut told = SecretBytes::new(Vec::with_capacity(6 * (password.len() + code.len()) + 64));
    serde_json::to_writer(told.expose_secret_mut(), &Login { password: password.expose_secret(), device_code: code })
        .map_err(|error| Failure::internal(&error, &call.request_id))?;
    let path = format!("auth/{mount}/login/{user}");
    let ask = Ask { credential: None, ..call.ask(Operation::Update, &path, &told) };
    let (exchange, admitted) = call.core.admit(ask).await;
    let made: Result<Issued, Failure> = match admitted {
        // Nothing may be mounted there.
        Err(refusal @ (Refusal::Denied | Refusal::NoRoute(_))) => {
            tracing::debug!(%refusal, "a login on the page of devices was turned away");
            Err(Failure::forbidden(WRONG))
        }
        Err(refusal) => Err(refusal.into()),
        Ok(permit) => call.core.logins().userpass().login(permit, password).await.map_err(|error| {
            // The same for a wrong password, an unknown user and a mount of another kind.
            tracing::debug!(%error, "a login on the page of devices failed");
            Failure::forbidden(WRONG)
        }),
    };
    let error = made.as_ref().err().map(Failure::text);
    let answer = Answer { issued: made.as_ref().ok(), error: error.as_deref(), ..Answer::default() };
    exchange.conclude(answer).await.map_err(|error| Failure::internal(&error, &call.request_id))?;
    logins.approve_by_login(&made?, code).await?;
    Ok(host)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn a_form_of_another_site_is_none_of_ours() {
        let own = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            is_own(&headers)
        };
        assert!(own(&[("host", "a:1")]) && own(&[("host", "a:1"), ("origin", "http://a:1")]));
        assert!(own(&[("host", "a"), ("sec-fetch-site", "same-origin")]));
        for pairs in [
            &[("host", "a:1"), ("origin", "http://b")][..],
            &[("host", "a:1"), ("origin", "null")],
            &[("host", "a:1"), ("sec-fetch-site", "cross-site")],
            &[("host", "a:1"), ("sec-fetch-site", "same-site")],
        ] {
            assert!(!own(pairs), "{pairs:?}");
        }
    }

    #[test]
    fn a_form_is_read_once() {
        let parse = |text: &str| Form::parse(&SecretBytes::new(text.as_bytes().to_vec()));
        let form = parse("code=ab+cd&token=hvs.%C3%BC&username=").expect("a form");
        assert_eq!((form.text("code"), form.text("token"), form.get("username").is_none()), ("ab cd", "hvs.ü", true));
        for text in ["code", "code=1&code=2", "code=%zz"] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
