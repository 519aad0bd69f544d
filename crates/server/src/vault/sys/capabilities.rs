//! `sys/capabilities`, `-self`, `-accessor`: what a token may do on paths.

use keyturn_core::token::Which;
use serde_json::{Map, json};

use super::super::{Outcome, call::Call, error::Failure, fields::Fields, reply::Reply};

pub(in super::super) async fn of_self(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let own = call.parsed.token.clone().unwrap_or_default();
    of(call, Which::Token(&own), &fields).await
}

pub(in super::super) async fn of_token(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let token = fields.secret("token")?.filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| Failure::bad_request("missing token"))?;
    of(call, Which::Token(&token), &fields).await
}

pub(in super::super) async fn of_accessor(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let accessor = fields.required_text("accessor")?;
    of(call, Which::Accessor(&accessor), &fields).await
}

async fn of(call: Call<'_>, which: Which<'_>, fields: &Fields<'_>) -> Outcome {
    let paths = match fields.list("paths")?.filter(|paths| !paths.is_empty()) {
        Some(paths) => paths,
        None => fields.list("path")?.unwrap_or_default(),
    };
    if paths.is_empty() {
        return Err(Failure::bad_request("paths must be supplied"));
    }
    let acl = call.core.acl_of(call.permit, which).await?;
    let mut told = Map::new();
    for path in &paths {
        told.insert(path.clone(), json!(acl.capabilities(path)));
    }
    if let [only] = paths.as_slice() {
        told.insert("capabilities".to_owned(), json!(acl.capabilities(only)));
    }
    Ok(Reply::data(&told)?.at_top())
}
