//! The page on which a login of a device is approved. It holds nothing from elsewhere, no script and no cookie: whoever
//! approves proves who they are with each approval, so a page of somebody else has nothing to ride on. The code is typed,
//! not carried in the address, so that a link alone makes nobody approve a stranger's login.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{
    HeaderMap, StatusCode,
    header::{self, HOST, HeaderName, HeaderValue, ORIGIN},
};
use keyturn_core::{
    door::{Answer, Ask},
    policy::Operation,
    secret::{SecretBytes, SecretString},
    token::Issued,
};
use keyturn_protocol::aws::sigv4::{decode_form, hash};
use serde::Serialize;

use super::{Outcome, activity::escaped, call::Call, call::checked, error::Failure, reply::Reply};

/// Fields of the form at the most.
const MAX_FIELDS: usize = 10;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0;background:#f4f5f7;color:#1c2330}\
main{max-width:26rem;margin:8vh auto;padding:2rem;background:#fff;border:1px solid #d8dce3;border-radius:8px}\
h1{font-size:1.25rem;margin:0 0 1rem}label{display:block;margin:1rem 0 .25rem;font-weight:600}\
input{box-sizing:border-box;width:100%;padding:.5rem;font:inherit;border:1px solid #9aa3b2;border-radius:4px}\
input[name=code]{font-family:ui-monospace,monospace;letter-spacing:.15em;text-transform:uppercase}\
fieldset{border:1px solid #d8dce3;border-radius:4px;margin:1rem 0 0;padding:0 1rem 1rem}legend{padding:0 .25rem}\
button{margin-top:1.5rem;width:100%;padding:.6rem;font:inherit;font-weight:600;color:#fff;background:#1f5fd0;border:0;\
border-radius:4px;cursor:pointer}.bad{color:#a11212}.good{color:#0c6b33}p{margin:.5rem 0}";

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
    Ok(page(StatusCode::OK, "", true))
}

/// Takes an approval.
pub(super) async fn submit(call: &Call) -> Outcome {
    if !is_own(&call.headers) {
        return Ok(page(StatusCode::FORBIDDEN, &bad("This form was sent by another site."), false));
    }
    let Some(form) = Form::parse(call.parameters.raw()) else {
        return Ok(page(StatusCode::BAD_REQUEST, &bad("The form could not be read."), true));
    };
    let code = form.text("code").to_owned();
    let approved = match (form.get("token"), form.get("username")) {
        (Some(token), None) => by_token(call, &code, token).await,
        (None, Some(_)) => by_login(call, &code, &form).await,
        _ => Err(Failure::bad_request("Give either a token, or a username with its password.")),
    };
    Ok(match approved {
        Ok(host) => page(
            StatusCode::OK,
            &format!("<p class=\"good\">Approved. {} is logged in; you can close this page.</p>", escaped(&host)),
            false,
        ),
        Err(failure) => page(failure.status(), &bad(&failure.text()), true),
    })
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
        Err(refusal) => Err(refusal.into()),
        Ok(permit) => call.core.logins().userpass().login(permit, password).await.map_err(|error| {
            // The same for a wrong password, an unknown user and a mount of another kind.
            tracing::debug!(%error, "a login on the page of devices failed");
            Failure::forbidden("Username or password is wrong, or the user is locked.")
        }),
    };
    let error = made.as_ref().err().map(Failure::text);
    let answer = Answer { issued: made.as_ref().ok(), error: error.as_deref(), ..Answer::default() };
    exchange.conclude(answer).await.map_err(|error| Failure::internal(&error, &call.request_id))?;
    logins.approve_by_login(&made?, code).await?;
    Ok(host)
}

fn bad(text: &str) -> String {
    format!("<p class=\"bad\" role=\"alert\">{}</p>", escaped(text))
}

fn page(status: StatusCode, note: &str, with_form: bool) -> Reply {
    let mut html = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
        <meta name=\"viewport\" content=\"width=device-width\"><title>Approve a login</title><style>",
    );
    html.push_str(STYLE);
    let _ = write!(html, "</style><main><h1>Approve a login</h1>{note}");
    if with_form {
        html.push_str(
            "<p>A command line asks to act as you. Type the code that it shows, and only a code that you see on a machine of \
             yours: whoever sent you here with a code of their own would get your access.</p>\
             <form method=\"post\" action=\"approve\" autocomplete=\"off\">\
             <label for=\"code\">Code</label><input id=\"code\" name=\"code\" required maxlength=\"20\" \
             placeholder=\"ABCD-EFGH\" autofocus>\
             <fieldset><legend>Your token</legend><label for=\"token\">Token</label>\
             <input id=\"token\" name=\"token\" type=\"password\"></fieldset>\
             <fieldset><legend>or your username</legend><label for=\"username\">Username</label>\
             <input id=\"username\" name=\"username\"><label for=\"password\">Password</label>\
             <input id=\"password\" name=\"password\" type=\"password\">\
             <label for=\"mount\">Auth method</label><input id=\"mount\" name=\"mount\" placeholder=\"userpass\"></fieldset>\
             <button>Approve</button></form>",
        );
    }
    html.push_str("</main></html>");
    let digest = STANDARD.encode(hex::decode(hash(STYLE.as_bytes())).unwrap_or_default());
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    let audited = SecretBytes::new(b"{}".to_vec());
    let reply = Reply::text(status, "text/html; charset=utf-8", SecretBytes::new(html.into_bytes()), audited)
        .with(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"))
        .with(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    match HeaderValue::from_str(&policy) {
        Ok(policy) => reply.with(header::CONTENT_SECURITY_POLICY, policy),
        Err(_) => reply,
    }
}

#[cfg(test)]
mod tests {
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
