//! `sys/wrapping`: answers that are had once, for a token.

use keyturn_core::secret::{SecretBytes, SecretString};
use serde_json::json;

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

/// Answers what was sent; that is wrapped as any other answer is.
pub(in super::super) async fn wrap(call: Call<'_>) -> Outcome {
    if call.parsed.wrap_ttl.is_none() {
        return Err(Failure::bad_request("endpoint requires response wrapping to be used"));
    }
    call.permit.spend();
    let data = call.parsed.data.clone();
    Ok(Reply::raw(if data.is_empty() { SecretBytes::new(b"{}".to_vec()) } else { data }))
}

pub(in super::super) async fn unwrap(call: Call<'_>) -> Outcome {
    let named = named(&call)?;
    Reply::unwrapped(call.core.wrapping().unwrap(call.permit, named.as_ref()).await?)
}

pub(in super::super) async fn lookup(call: Call<'_>) -> Outcome {
    let named = named(&call)?;
    let view = call.core.wrapping().lookup(call.permit, named.as_ref()).await?;
    Reply::data(&json!({
        "creation_ttl": view.ttl,
        "creation_time": view.created,
        "creation_path": view.path,
    }))
}

pub(in super::super) async fn rewrap(call: Call<'_>) -> Outcome {
    let token = named(&call)?.or_else(|| call.parsed.token.clone()).unwrap_or_default();
    let ttl = call.parsed.wrap_ttl;
    Ok(Reply::wrapped(call.core.wrapping().rewrap(call.permit, &token, ttl).await?))
}

fn named(call: &Call<'_>) -> Result<Option<SecretString>, Failure> {
    Ok(call.fields()?.secret("token")?.filter(|token| !token.is_empty()))
}
