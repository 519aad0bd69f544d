//! `identity/oidc`: identity tokens, and what others need to verify them.

use keyturn_core::secret::SecretBytes;
use serde_json::json;

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

pub(in super::super) async fn read_config(call: Call<'_>) -> Outcome {
    let issuer = call.core.oidc().issuer(call.permit);
    let reply = Reply::data(&json!({ "issuer": issuer }))?;
    Ok(if issuer.is_empty() {
        reply.warn("No issuer is set: tokens name the address that the request was sent to")
    } else {
        reply
    })
}

pub(in super::super) async fn write_config(call: Call<'_>) -> Outcome {
    let Some(issuer) = call.fields()?.text("issuer")? else { return Ok(Reply::empty()) };
    call.core.oidc().set_issuer(call.permit, &issuer).await?;
    Ok(if issuer.is_empty() {
        Reply::empty()
    } else {
        Reply::empty().warn(
            "If \"issuer\" is set explicitly, all tokens must be validated against that address. Setting issuer to \
             \"\" will restore the default behavior of naming the address that the request was sent to.",
        )
    })
}

/// The token is written once, into memory that is wiped.
pub(in super::super) async fn issue(call: Call<'_>) -> Outcome {
    let role = call.part("name").to_owned();
    let issued = call.core.oidc().issue(call.permit, &role, &call.parsed.origin).await?;
    let rest = json!({ "client_id": issued.client_id, "ttl": issued.ttl }).to_string();
    let mut text = SecretBytes::new(Vec::with_capacity(rest.len() + issued.token.len() + 16));
    let out = text.expose_secret_mut();
    // It holds only letters, digits, '-', '_' and '.', none of which JSON escapes.
    out.extend_from_slice(b"{\"token\":\"");
    out.extend_from_slice(issued.token.expose_secret().as_bytes());
    out.extend_from_slice(b"\",");
    out.extend_from_slice(rest.as_bytes().get(1..).unwrap_or_default());
    let reply = Reply::raw(text);
    Ok(match issued.warning {
        Some(warning) => reply.warn(warning),
        None => reply,
    })
}

pub(in super::super) async fn introspect(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let token = fields.secret("token")?.ok_or_else(|| Failure::bad_request("missing token"))?;
    let client_id = fields.text("client_id")?.unwrap_or_default();
    let told = match call.core.oidc().introspect(call.permit, &token, &client_id, &call.parsed.origin) {
        Ok(()) => json!({ "active": true }),
        Err(why) => json!({ "active": false, "error": why }),
    };
    Ok(Reply::data(&told)?.bare())
}

pub(in super::super) async fn discovery(call: Call<'_>) -> Outcome {
    Ok(Reply::raw(call.core.oidc().discovery(call.permit, &call.parsed.origin)).bare())
}

pub(in super::super) async fn public_keys(call: Call<'_>) -> Outcome {
    Ok(Reply::raw(call.core.oidc().public_keys(call.permit)).bare())
}
