//! `webhooks`: who is told when a config of a project has changed.

use keyturn_core::{
    policy::Operation,
    project::{Webhook, WebhookAuth, WebhookChange},
    secret::SecretString,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Outcome, call::Call, error::Failure, reply::Reply};

/// What clients send of `authentication`.
#[derive(Deserialize)]
struct Authentication {
    r#type: String,
    #[serde(default)]
    token: Option<SecretString>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<SecretString>,
}

pub(super) async fn list(call: &Call) -> Outcome {
    let project = call.project()?;
    call.through(Operation::List, &call.project_path(&project), |permit| async {
        let webhooks = call.core.projects().webhooks(permit).await?;
        let webhooks: Vec<_> = webhooks.iter().map(|(slug, webhook)| told(slug, webhook)).collect();
        Ok(Reply::ok(&json!({ "webhooks": webhooks, "success": true })))
    })
    .await
}

pub(super) async fn create(call: &Call) -> Outcome {
    let (project, wanted) = (call.project()?, wanted(call)?);
    call.through(Operation::Update, &call.project_path(&project), |permit| async {
        let (slug, webhook) = call.core.projects().create_webhook(permit, wanted).await?;
        one(&slug, &webhook)
    })
    .await
}

pub(super) async fn read(call: &Call, slug: &str) -> Outcome {
    let project = call.project()?;
    call.through(Operation::List, &call.project_path(&project), |permit| async {
        one(slug, &call.core.projects().webhook(permit, slug).await?)
    })
    .await
}

pub(super) async fn update(call: &Call, slug: &str) -> Outcome {
    let wanted = wanted(call)?;
    change(call, slug, wanted).await
}

/// `enable` and `disable`.
pub(super) async fn switch(call: &Call, slug: &str, enabled: bool) -> Outcome {
    change(call, slug, WebhookChange { enabled: Some(enabled), ..WebhookChange::default() }).await
}

async fn change(call: &Call, slug: &str, wanted: WebhookChange) -> Outcome {
    let project = call.project()?;
    call.through(Operation::Update, &call.project_path(&project), |permit| async {
        one(slug, &call.core.projects().change_webhook(permit, slug, wanted).await?)
    })
    .await
}

pub(super) async fn delete(call: &Call, slug: &str) -> Outcome {
    let project = call.project()?;
    call.through(Operation::Update, &call.project_path(&project), |permit| async {
        call.core.projects().delete_webhook(permit, slug).await?;
        Ok(Reply::ok(&json!({ "success": true })))
    })
    .await
}

fn wanted(call: &Call) -> Result<WebhookChange, Failure> {
    let parameters = &call.parameters;
    let names = |name| parameters.value::<Vec<String>>(name, "a list of names").map(Option::unwrap_or_default);
    Ok(WebhookChange {
        name: parameters.text("name")?,
        url: parameters.text("url")?,
        secret: parameters.secret("secret")?,
        auth: parameters
            .value::<Authentication>("authentication", "an object with a type of None, Bearer or Basic")?
            .map(authentication)
            .transpose()?,
        payload: parameters.value::<String>("payload", "a text")?,
        enabled: None,
        enable: names("enableConfigs")?,
        disable: names("disableConfigs")?,
    })
}

fn authentication(sent: Authentication) -> Result<WebhookAuth, Failure> {
    let missing = |name: &str| Failure::bad_request(format!("authentication.{name} is missing"));
    match sent.r#type.as_str() {
        "None" => Ok(WebhookAuth::None),
        "Bearer" => Ok(WebhookAuth::Bearer(sent.token.ok_or_else(|| missing("token"))?)),
        "Basic" => {
            let username = sent.username.ok_or_else(|| missing("username"))?;
            Ok(WebhookAuth::Basic(username, sent.password.ok_or_else(|| missing("password"))?))
        }
        _ => Err(Failure::bad_request("authentication.type must be None, Bearer or Basic")),
    }
}

fn one(slug: &str, webhook: &Webhook) -> Outcome {
    Ok(Reply::ok(&json!({ "webhook": told(slug, webhook), "success": true })))
}

/// What is told of a webhook: neither its secret nor how it says who it is.
fn told(slug: &str, webhook: &Webhook) -> Value {
    json!({
        "id": slug,
        "slug": slug,
        "name": webhook.name,
        "url": webhook.url,
        "enabled": webhook.enabled,
        "enabledConfigs": webhook.configs,
        "payload": webhook.payload,
        "hasSecret": !webhook.secret.is_empty(),
        "authentication": { "type": webhook.auth.name() },
    })
}
