//! `me`: whose token this is; personal tokens, which people make of their own.

use hyper::StatusCode;
use keyturn_core::{policy::Operation, secret::SecretBytes};
use serde_json::json;

use super::{
    Outcome,
    call::Call,
    error::Failure,
    reply::Reply,
    service_accounts::{Made, token},
    shape,
    tokens::expiry,
    workplace,
};

/// What the tokens are called that begin so.
const KINDS: [(&str, &str); 5] = [
    ("dp.st.", "service_token"),
    ("dp.said.", "service_account_identity"),
    ("dp.sa.", "service_account"),
    ("dp.pt.", "personal"),
    ("dp.ct.", "cli"),
];

/// Characters at a token's end that its owner is shown, to tell one from another.
const SHOWN: usize = 6;

pub(super) async fn read(call: &Call) -> Outcome {
    call.through(Operation::Read, "auth/token/lookup-self", |permit| async {
        permit.spend();
        let known = call.known()?;
        let (entry, token) = (known.entry(), known.token().expose_secret());
        let (prefix, kind) =
            KINDS.into_iter().find(|(prefix, _)| token.starts_with(prefix)).unwrap_or(("", "personal"));
        // A token of somebody's own choosing may be short.
        let end = if token.len() >= 24 { token.get(token.len() - SHOWN..).unwrap_or_default() } else { "" };
        Ok(Reply::ok(&json!({
            "slug": entry.accessor,
            "name": entry.display_name,
            "created_at": shape::time(entry.created),
            "last_seen_at": shape::time(call.core.now()),
            "type": kind,
            "token_preview": format!("{}...{end}", prefix.trim_end_matches('.')),
            "workplace": { "slug": workplace::SLUG, "name": call.workplace() },
        })))
    })
    .await
}

/// Makes a personal token: a child of the caller's own.
pub(super) async fn create_token(call: &Call) -> Outcome {
    let (name, expires) = (call.parameters.required("name")?, expiry(call, "expires_at")?);
    call.through(Operation::Update, "auth/token/create", |permit| async {
        let (key, made) = call.core.tokens().create_personal(permit, &name, expires).await?;
        // The buffer must not grow, or a copy of the token stays behind.
        let mut text = SecretBytes::new(Vec::with_capacity(2048 + 6 * name.len()));
        let made = Made { api_token: token(&made), api_key: key.expose_secret(), success: true };
        serde_json::to_writer(text.expose_secret_mut(), &made).map_err(|error| Failure::internal(&error, ""))?;
        Ok(Reply::secret_json(StatusCode::OK, text))
    })
    .await
}

pub(super) async fn list_tokens(call: &Call) -> Outcome {
    let page = call.parameters.page()?;
    call.through(Operation::Read, "auth/token/lookup-self", |permit| async {
        let tokens = call.core.tokens().personal(permit).await?;
        let tokens: Vec<_> = page.of(tokens).iter().map(token).collect();
        Ok(Reply::ok(&json!({ "page": page.number, "api_tokens": tokens, "success": true })))
    })
    .await
}

pub(super) async fn revoke_token(call: &Call, slug: &str) -> Outcome {
    call.through(Operation::Update, "auth/token/revoke-self", |permit| async {
        call.core.tokens().revoke_personal(permit, slug).await?;
        Ok(Reply::nothing())
    })
    .await
}
