//! What the cluster's API server says of a token (`TokenReview`, `authentication.k8s.io/v1`).

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::json;

use super::{Kubernetes, KubernetesConfig, account::Account};
use crate::{
    outbound::{Body, Credential, Request},
    secret::{SecretBytes, SecretString},
};

#[derive(Deserialize)]
struct Review {
    status: Option<Status>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    authenticated: bool,
    user: User,
    audiences: Vec<String>,
    error: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct User {
    username: String,
    uid: String,
}

impl Kubernetes {
    /// Asks the API server whether `jwt` is good for one of `audiences` (none: for the API server), and whether it is
    /// that of `account`.
    ///
    /// # Errors
    /// Why it is not; for the log.
    pub(super) async fn review(
        &self,
        config: &KubernetesConfig,
        jwt: &SecretString,
        audiences: &[String],
        account: &Account,
    ) -> Result<(), String> {
        let local = if config.disable_local_ca_jwt { None } else { self.outbound.service_account().await };
        let (local_ca, local_token) = local.map(|local| (local.ca_pem, local.token)).unwrap_or_default();
        let reviewer = [&config.token_reviewer_jwt, &local_token, jwt].into_iter().find(|token| !token.is_empty());
        let request = Request {
            url: review_url(&config.host),
            ca_pem: if config.ca_cert.is_empty() { local_ca } else { config.ca_cert.clone() },
            credential: reviewer.cloned().map_or(Credential::None, Credential::Bearer),
            headers: Vec::new(),
            body: Some(Body::Json(question(jwt, audiences))),
        };
        let reply = self.outbound.send(request).await.map_err(|error| error.to_string())?;
        if !matches!(reply.status, 200..=206) {
            return Err(format!("the API server answered with status {}", reply.status));
        }
        let review: Review =
            serde_json::from_slice(reply.body.as_ref()).map_err(|_| "the API server's answer is no TokenReview")?;
        judge(&review.status.unwrap_or_default(), audiences, account)
    }
}

fn judge(status: &Status, audiences: &[String], account: &Account) -> Result<(), String> {
    if !status.error.is_empty() {
        return Err("the API server says that it could not review the token".to_owned());
    }
    if !status.authenticated {
        return Err("service account jwt not valid".to_owned());
    }
    // A server that does not know audiences would answer for any.
    if !audiences.is_empty() && !audiences.iter().any(|audience| status.audiences.contains(audience)) {
        return Err("the API server does not say that the token is meant for the audience".to_owned());
    }
    let expected = format!("system:serviceaccount:{}:{}", account.namespace, account.name);
    if status.user.username != expected {
        return Err("the API server says that the token is somebody else's".to_owned());
    }
    if status.user.uid != account.uid {
        return Err("the API server says that the account was made anew".to_owned());
    }
    Ok(())
}

fn review_url(host: &str) -> String {
    let scheme = if host.contains("://") { "" } else { "https://" };
    format!("{scheme}{}/apis/authentication.k8s.io/v1/tokenreviews", host.trim_end_matches('/'))
}

/// A token has no character that JSON would escape: it was parsed as one.
fn question(jwt: &SecretString, audiences: &[String]) -> SecretBytes {
    let audiences = json!(audiences).to_string();
    let mut text = String::with_capacity(160 + jwt.len() + audiences.len());
    // Writing to memory cannot fail.
    _ = write!(
        text,
        r#"{{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{{"token":"{}","audiences":{audiences}}}}}"#,
        jwt.expose_secret().trim(),
    );
    SecretBytes::new(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account { name: "app".into(), namespace: "dev".into(), uid: "u".into(), secret: String::new() }
    }

    fn status() -> Status {
        Status {
            authenticated: true,
            user: User { username: "system:serviceaccount:dev:app".into(), uid: "u".into() },
            audiences: vec!["keyturn".into()],
            error: String::new(),
        }
    }

    #[test]
    fn the_review_must_be_of_the_same_account_and_audience() {
        let audiences = ["keyturn".to_owned()];
        assert!(judge(&status(), &audiences, &account()).is_ok());
        assert!(judge(&status(), &[], &account()).is_ok());
        let user = |username: &str, uid: &str| User { username: username.into(), uid: uid.into() };
        for other in [
            Status::default(),
            Status { authenticated: false, ..status() },
            Status { error: "x".into(), ..status() },
            Status { audiences: Vec::new(), ..status() },
            Status { audiences: vec!["other".into()], ..status() },
            Status { user: user("system:serviceaccount:dev:other", "u"), ..status() },
            Status { user: user("system:serviceaccount:prod:app", "u"), ..status() },
            Status { user: user("system:node:dev:app", "u"), ..status() },
            Status { user: user("system:serviceaccount:dev:app", "v"), ..status() },
        ] {
            assert!(judge(&other, &audiences, &account()).is_err());
        }
    }

    #[test]
    fn the_question_is_json() {
        let text = question(&"a.b.c".into(), &["x\"y".to_owned()]);
        let value: serde_json::Value = serde_json::from_slice(text.as_ref()).expect("JSON");
        assert_eq!((&value["spec"]["token"], &value["spec"]["audiences"][0]), (&json!("a.b.c"), &json!("x\"y")));
        assert_eq!(review_url("k8s:6443"), "https://k8s:6443/apis/authentication.k8s.io/v1/tokenreviews");
        assert!(review_url("http://k8s/").starts_with("http://k8s/apis/"));
    }
}
