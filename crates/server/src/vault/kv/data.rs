//! KV v2: `<mount>/data/<name>` and `<mount>/subkeys/<name>`.

use std::collections::BTreeMap;

use hyper::StatusCode;
use keyturn_core::{
    clock::Timestamp,
    kv::{NewVersion, Payload, Reading, VersionView, json},
    secret::SecretBytes,
};
use serde::Serialize;

use super::super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply};

/// What Vault's clients are told of a version.
#[derive(Serialize)]
struct Told<'a> {
    created_time: Timestamp,
    custom_metadata: Option<&'a BTreeMap<String, String>>,
    deletion_time: String,
    destroyed: bool,
    version: u64,
}

impl<'a> Told<'a> {
    fn of(view: &'a VersionView) -> Self {
        Self {
            created_time: view.version.created,
            custom_metadata: (!view.custom_metadata.is_empty()).then_some(&view.custom_metadata),
            deletion_time: view.version.deletion_time.map(|at| at.to_string()).unwrap_or_default(),
            destroyed: view.version.destroyed,
            version: view.version.number,
        }
    }
}

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let number = call.fields()?.natural("version")?;
    match call.core.kv().read(call.permit, number).await? {
        Reading::Nothing => Err(Failure::nothing()),
        Reading::Gone(view) => gone("data", &view),
        Reading::Live(view, payload) => {
            Ok(Reply::raw(with_metadata("data", payload.into_json_object().expose_secret(), &view)))
        }
    }
}

pub(in super::super) async fn subkeys(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let (number, depth) = (fields.natural("version")?, fields.natural("depth")?.unwrap_or(0));
    let depth = usize::try_from(depth).unwrap_or(usize::MAX);
    match call.core.kv().subkeys(call.permit, number, depth).await? {
        (Reading::Nothing, _) => Err(Failure::nothing()),
        (Reading::Gone(view) | Reading::Live(view, _), None) => gone("subkeys", &view),
        (Reading::Gone(view) | Reading::Live(view, _), Some(names)) => {
            Ok(Reply::raw(with_metadata("subkeys", names.as_bytes(), &view)))
        }
    }
}

pub(in super::super) async fn write(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let cas = cas_of(&fields)?;
    let data = data_of(&fields)?;
    let content = json::normalize(data.as_bytes())
        .map_err(|_| Failure::bad_request("error converting input for field \"data\": expected an object"))?;
    let written = call.core.kv().write(call.permit, NewVersion { payload: Payload::Fields(content), cas }).await?;
    Reply::data(&Told::of(&written))
}

pub(in super::super) async fn patch(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let cas = cas_of(&fields)?;
    let patch = SecretBytes::new(data_of(&fields)?.as_bytes().to_vec());
    let written = call.core.kv().patch(call.permit, &patch, cas).await?;
    Reply::data(&Told::of(&written))
}

pub(in super::super) async fn delete(call: Call<'_>) -> Outcome {
    call.core.kv().delete_current(call.permit).await?;
    Ok(Reply::empty())
}

fn cas_of(fields: &Fields<'_>) -> Result<Option<u64>, Failure> {
    let invalid = |_| Failure::bad_request("error parsing check-and-set parameter");
    match fields.object("options")? {
        None => Ok(None),
        Some(options) => options.natural("cas").map_err(invalid),
    }
}

fn data_of<'a>(fields: &Fields<'a>) -> Result<&'a str, Failure> {
    fields.raw("data").ok_or_else(|| Failure::bad_request("no data provided"))
}

/// A deleted or destroyed version: 404, but with what is known of it.
fn gone(name: &str, view: &VersionView) -> Outcome {
    Ok(Reply::raw(with_metadata(name, b"null", view)).with_status(StatusCode::NOT_FOUND))
}

/// `{"<name>": <value>, "metadata": {…}}`, in one buffer that does not grow: growing would leave a copy behind.
fn with_metadata(name: &str, value: &[u8], view: &VersionView) -> SecretBytes {
    let metadata = serde_json::to_vec(&Told::of(view)).unwrap_or_default();
    let mut out = SecretBytes::new(Vec::with_capacity(value.len() + metadata.len() + name.len() + 32));
    let buffer = out.expose_secret_mut();
    for part in [b"{\"".as_slice(), name.as_bytes(), b"\":", value, b",\"metadata\":", &metadata, b"}"] {
        buffer.extend_from_slice(part);
    }
    out
}
