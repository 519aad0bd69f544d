//! `sys/aws-keys`: the access keys of AWS's clients. A key's secret is in the answer that makes it, and in no other.

use keyturn_core::{
    access_key::{AccessKeyView, CreateAccessKey, IssuedAccessKey},
    secret::SecretBytes,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    let views = call.core.access_keys().list(call.permit).await?;
    if views.is_empty() {
        return Err(Failure::nothing());
    }
    let info: Map<String, Value> = views.iter().map(|view| (view.id.clone(), shown(view))).collect();
    Reply::data(&json!({ "keys": views.iter().map(|view| &view.id).collect::<Vec<_>>(), "key_info": info }))
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let id = call.part("id").to_owned();
    Reply::data(&shown(&call.core.access_keys().read(call.permit, &id).await?))
}

pub(in super::super) async fn create(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let ask = CreateAccessKey {
        name: fields.text("name")?.unwrap_or_default(),
        policies: fields.list("policies")?.unwrap_or_default(),
        ttl: fields.seconds("ttl")?.unwrap_or_default(),
        bound_cidrs: fields.cidrs("bound_cidrs")?.unwrap_or_default(),
        no_default_policy: fields.boolean("no_default_policy")?.unwrap_or_default(),
        account: fields.text("account")?.unwrap_or_default(),
    };
    let issued = call.core.access_keys().create(call.permit, ask).await?;
    let reply = Reply::raw(issued_text(&issued)?);
    Ok(issued.warnings.into_iter().fold(reply, Reply::warn))
}

pub(in super::super) async fn revoke(call: Call<'_>) -> Outcome {
    let id = call.part("id").to_owned();
    call.core.access_keys().revoke(call.permit, &id).await?;
    Ok(Reply::empty())
}

fn shown(view: &AccessKeyView) -> Value {
    let last_use = view.last_use.as_ref();
    json!({
        "access_key_id": view.id,
        "name": view.name,
        "account": view.account,
        "accessor": view.accessor,
        "policies": view.policies,
        "creation_time": view.created.to_string(),
        "expire_time": view.expires.map(|time| time.to_string()),
        "temporary": view.temporary,
        "bound_cidrs": view.bound_cidrs,
        "last_used_time": last_use.map(|last| last.time.to_string()),
        "last_used_region": last_use.map(|last| &last.region),
        "last_used_service": last_use.map(|last| &last.service),
    })
}

#[derive(Serialize)]
struct Issued<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    name: &'a str,
    accessor: &'a str,
    policies: &'a [String],
    expire_time: Option<String>,
}

fn issued_text(issued: &IssuedAccessKey) -> Result<SecretBytes, Failure> {
    let shown = Issued {
        access_key_id: &issued.id,
        secret_access_key: issued.secret.expose_secret(),
        name: &issued.name,
        accessor: &issued.entry.accessor,
        policies: &issued.entry.policies,
        expire_time: issued.entry.expires.map(|time| time.to_string()),
    };
    // The buffer must not grow, or a copy of the secret stays behind; escaping makes at most six bytes of one.
    let policies: usize = issued.entry.policies.iter().map(|name| name.len() * 6 + 8).sum();
    let mut text = SecretBytes::new(Vec::with_capacity(1024 + policies));
    let written = serde_json::to_writer(text.expose_secret_mut(), &shown);
    written.map_err(|error| Failure::internal(&error, ""))?;
    Ok(text)
}
