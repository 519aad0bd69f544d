//! `me`: whose token this is.

use keyturn_core::policy::Operation;
use serde_json::json;

use super::{Outcome, call::Call, reply::Reply, shape, workplace};

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
