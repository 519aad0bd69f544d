//! `workplace/service_accounts`: asked about at `sys/doppler/service-accounts`. A role is a policy: its identifier is the
//! policy's name.

use hyper::StatusCode;
use keyturn_core::{
    policy::Operation,
    secret::SecretBytes,
    service_account::{ServiceAccount, ServiceAccountError},
    token::NamedView,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Outcome, call::Call, error::Failure, reply::Reply, roles, shape, tokens::expiry};

const PATH: &str = "sys/doppler/service-accounts";

impl From<ServiceAccountError> for Failure {
    fn from(error: ServiceAccountError) -> Self {
        match error {
            ServiceAccountError::Store(error) => error.into(),
            ServiceAccountError::Token(error) => error.into(),
            ServiceAccountError::NotFound(_) => Self::not_found(error.to_string()),
            ServiceAccountError::Denied => Self::forbidden(error.to_string()),
            ServiceAccountError::Invalid(_) => Self::bad_request(error.to_string()),
        }
    }
}

#[derive(Deserialize)]
struct Role {
    #[serde(default)]
    identifier: Option<String>,
    #[serde(default)]
    permissions: Option<Vec<String>>,
}

/// The policies that a client means; none: only `default`.
fn policies(call: &Call) -> Result<Option<Vec<String>>, Failure> {
    let role = call.parameters.value::<Role>("workplace_role", "an object with the identifier of a role")?;
    let Some(role) = role else { return Ok(None) };
    match (role.identifier, role.permissions) {
        (Some(identifier), None) if identifier == roles::NO_ACCESS => Ok(Some(Vec::new())),
        (Some(identifier), None) => Ok(Some(vec![identifier])),
        (None, Some(permissions)) if permissions.is_empty() => Ok(Some(Vec::new())),
        _ => Err(Failure::bad_request(
            "workplace_role must name a role by its identifier, which is the name of a policy of this server; lists of permissions \
             are not offered",
        )),
    }
}

pub(super) async fn list(call: &Call) -> Outcome {
    let page = call.parameters.page()?;
    call.through(Operation::List, PATH, |permit| async {
        let accounts = call.core.service_accounts().list(permit).await?;
        let accounts: Vec<_> = page.of(accounts).iter().map(|(slug, account)| told(slug, account)).collect();
        Ok(Reply::ok(&json!({ "page": page.number, "service_accounts": accounts, "success": true })))
    })
    .await
}

pub(super) async fn create(call: &Call) -> Outcome {
    let (name, policies) = (call.parameters.required("name")?, policies(call)?.unwrap_or_default());
    call.through(Operation::Update, PATH, |permit| async {
        let (slug, account) = call.core.service_accounts().create(permit, &name, &policies).await?;
        one(&slug, &account)
    })
    .await
}

pub(super) async fn read(call: &Call, slug: &str) -> Outcome {
    call.through(Operation::Read, PATH, |permit| async {
        one(slug, &call.core.service_accounts().read(permit, slug).await?)
    })
    .await
}

pub(super) async fn update(call: &Call, slug: &str) -> Outcome {
    let (name, policies) = (call.parameters.text("name")?, policies(call)?);
    call.through(Operation::Update, PATH, |permit| async {
        let accounts = call.core.service_accounts();
        one(slug, &accounts.change(permit, slug, name.as_deref(), policies.as_deref()).await?)
    })
    .await
}

pub(super) async fn delete(call: &Call, slug: &str) -> Outcome {
    call.through(Operation::Delete, PATH, |permit| async {
        call.core.service_accounts().delete(permit, slug).await?;
        Ok(Reply::nothing())
    })
    .await
}

pub(super) async fn list_tokens(call: &Call, slug: &str) -> Outcome {
    let page = call.parameters.page()?;
    call.through(Operation::Read, PATH, |permit| async {
        let tokens = call.core.service_accounts().tokens(permit, slug).await?;
        let tokens: Vec<_> = page.of(tokens).iter().map(token).collect();
        Ok(Reply::ok(&json!({ "page": page.number, "api_tokens": tokens, "success": true })))
    })
    .await
}

#[derive(Serialize)]
pub(super) struct Made<'a> {
    pub(super) api_token: Value,
    pub(super) api_key: &'a str,
    pub(super) success: bool,
}

pub(super) async fn create_token(call: &Call, slug: &str) -> Outcome {
    let name = call.parameters.text("name")?.unwrap_or_else(|| "token".to_owned());
    let expires = expiry(call, "expires_at")?;
    call.through(Operation::Update, PATH, |permit| async {
        let (key, made) = call.core.service_accounts().create_token(permit, slug, &name, expires).await?;
        // The buffer must not grow, or a copy of the token stays behind.
        let mut text = SecretBytes::new(Vec::with_capacity(2048 + 6 * name.len()));
        let made = Made { api_token: token(&made), api_key: key.expose_secret(), success: true };
        serde_json::to_writer(text.expose_secret_mut(), &made).map_err(|error| Failure::internal(&error, ""))?;
        Ok(Reply::secret_json(StatusCode::OK, text))
    })
    .await
}

pub(super) async fn read_token(call: &Call, slug: &str, id: &str) -> Outcome {
    call.through(Operation::Read, PATH, |permit| async {
        let found = call.core.service_accounts().token(permit, slug, id).await?;
        Ok(Reply::ok(&json!({ "api_token": token(&found), "success": true })))
    })
    .await
}

pub(super) async fn revoke_token(call: &Call, slug: &str, id: &str) -> Outcome {
    call.through(Operation::Update, PATH, |permit| async {
        call.core.service_accounts().revoke_token(permit, slug, id).await?;
        Ok(Reply::nothing())
    })
    .await
}

fn one(slug: &str, account: &ServiceAccount) -> Outcome {
    Ok(Reply::ok(&json!({ "service_account": told(slug, account), "success": true })))
}

fn told(slug: &str, account: &ServiceAccount) -> Value {
    let role = account.policies.iter().find(|policy| *policy != "default");
    json!({
        "name": account.name,
        "slug": slug,
        "created_at": shape::time(account.created),
        "workplace_role": roles::told(role.map_or(roles::NO_ACCESS, String::as_str)),
    })
}

pub(super) fn token(view: &NamedView) -> Value {
    json!({
        "name": view.name,
        "slug": view.slug,
        "created_at": shape::time(view.created),
        "last_seen_at": null,
        "expires_at": view.expires.map(shape::time),
    })
}
