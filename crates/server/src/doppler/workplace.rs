//! `workplace`: what clients are told of the place that they talk to.

use keyturn_core::policy::Operation;
use serde_json::json;

use super::{Outcome, call::Call, reply::Reply};

/// What names this place. There is one for each server.
pub(super) const SLUG: &str = "keyturn";

/// Whoever has a token may know where it is good.
pub(super) async fn read(call: &Call) -> Outcome {
    call.through(Operation::Read, "auth/token/lookup-self", |permit| async {
        permit.spend();
        Ok(Reply::ok(&json!({
            "workplace": { "id": SLUG, "name": call.workplace(), "billing_email": "", "security_email": "" },
            "success": true,
        })))
    })
    .await
}
