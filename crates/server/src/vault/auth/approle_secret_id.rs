//! `auth/approle/role/<name>/{secret-id, secret-id-accessor, custom-secret-id}`.

use hyper::StatusCode;
use keyturn_core::{
    clock::Timestamp,
    login::approle::{AppRoleError, IssuedSecretId, NewSecretId, SecretId},
    secret::{SecretBytes, SecretString},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply};

/// How Go's clients write "no time".
const NO_TIME: &str = "0001-01-01T00:00:00Z";

pub(in super::super) async fn generate(call: Call<'_>) -> Outcome {
    make(call, None).await
}

pub(in super::super) async fn custom(call: Call<'_>) -> Outcome {
    let chosen = secret_id_of(&call.fields()?)?;
    make(call, Some(chosen)).await
}

async fn make(call: Call<'_>, secret_id: Option<SecretString>) -> Outcome {
    let fields = call.fields()?;
    let new = NewSecretId {
        secret_id,
        num_uses: fields.natural("num_uses")?,
        ttl: fields.seconds("ttl")?,
        metadata: fields.map("metadata")?.unwrap_or_default(),
        cidr_list: fields.cidrs("cidr_list")?.unwrap_or_default(),
        token_bound_cidrs: fields.cidrs("token_bound_cidrs")?.unwrap_or_default(),
    };
    let issued = call.core.logins().approle().generate_secret_id(call.permit, new).await?;
    Ok(Reply::raw(issued_text(&issued)).with_accessor(&issued.entry.accessor))
}

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    let mut accessors = call.core.logins().approle().list_accessors(call.permit).await?;
    accessors.sort();
    Reply::keys(&accessors)
}

/// An unknown secret id is answered by nothing at all.
pub(in super::super) async fn lookup(call: Call<'_>) -> Outcome {
    let secret_id = secret_id_of(&call.fields()?)?;
    match call.core.logins().approle().lookup_secret_id(call.permit, &secret_id).await? {
        Some(entry) => Reply::data(&told(&entry)),
        None => Ok(Reply::empty()),
    }
}

pub(in super::super) async fn destroy(call: Call<'_>) -> Outcome {
    let secret_id = secret_id_of(&call.fields()?)?;
    call.core.logins().approle().destroy_secret_id(call.permit, &secret_id).await?;
    Ok(Reply::empty())
}

/// An unknown accessor is a 404 whose text stands in `data.error`, where clients look for it.
pub(in super::super) async fn lookup_accessor(call: Call<'_>) -> Outcome {
    let accessor = call.fields()?.required_text("secret_id_accessor")?;
    match call.core.logins().approle().lookup_accessor(call.permit, &accessor).await? {
        Some(entry) => Reply::data(&told(&entry)),
        None => {
            let error = AppRoleError::NoAccessor(accessor).to_string();
            Ok(Reply::data(&json!({ "error": error }))?.with_status(StatusCode::NOT_FOUND))
        }
    }
}

pub(in super::super) async fn destroy_accessor(call: Call<'_>) -> Outcome {
    let accessor = call.fields()?.required_text("secret_id_accessor")?;
    call.core.logins().approle().destroy_accessor(call.permit, &accessor).await?;
    Ok(Reply::empty())
}

fn secret_id_of(fields: &Fields<'_>) -> Result<SecretString, Failure> {
    let given = fields.secret("secret_id")?.filter(|secret_id| !secret_id.is_empty());
    given.ok_or_else(|| AppRoleError::MissingSecretId.into())
}

fn told(entry: &SecretId) -> Value {
    let expires = entry.expires.map_or_else(|| NO_TIME.to_owned(), |end: Timestamp| end.to_string());
    json!({
        "secret_id_accessor": entry.accessor,
        "secret_id_num_uses": entry.num_uses,
        "secret_id_ttl": entry.ttl,
        "creation_time": entry.created,
        "expiration_time": expires,
        "last_updated_time": entry.updated,
        "metadata": entry.metadata,
        "cidr_list": entry.cidr_list,
        "token_bound_cidrs": entry.token_bound_cidrs,
    })
}

/// Written once, into a buffer that does not grow: growing would leave a copy of the secret id behind.
fn issued_text(issued: &IssuedSecretId) -> SecretBytes {
    #[derive(Serialize)]
    struct Told<'a> {
        secret_id: &'a str,
        secret_id_accessor: &'a str,
        secret_id_num_uses: u64,
        secret_id_ttl: u64,
    }
    let told = Told {
        secret_id: issued.secret_id.expose_secret(),
        secret_id_accessor: &issued.entry.accessor,
        secret_id_num_uses: issued.entry.num_uses,
        secret_id_ttl: issued.entry.ttl,
    };
    // A character takes six bytes at the most, as \u0000.
    let mut text = SecretBytes::new(Vec::with_capacity(256 + 6 * issued.secret_id.len()));
    // Writing plain text and numbers to memory cannot fail.
    _ = serde_json::to_writer(text.expose_secret_mut(), &told);
    text
}
