//! `sys/audit-chain`: what `keyturn audit verify` asks. A path of Keyturn's own.
//!
//! A verifier reads the log, and asks here whether the hashes in it are true, so that the chain's key stays here.

use keyturn_core::audit::Claim;
use serde_json::json;

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

/// Claims of one request at the most.
const MOST_CLAIMS: usize = 20_000;

/// How far the device's chain has come: a log that is whole has this entry.
pub(in super::super) async fn head(call: Call<'_>) -> Outcome {
    let path = call.part("path").to_owned();
    let head = call.core.audit_devices().head(call.permit, &path)?;
    Reply::data(&json!({ "segment": head.segment, "entries": head.entries }))
}

/// Which of `claims`, a line of text each, are not true, by their position from 0.
pub(in super::super) async fn refute(call: Call<'_>) -> Outcome {
    let path = call.part("path").to_owned();
    let text = call.fields()?.required_text("claims")?;
    if text.lines().count() > MOST_CLAIMS {
        return Err(Failure::bad_request(format!("claims has more than {MOST_CLAIMS} lines; send them in parts")));
    }
    let claims: Option<Vec<Claim>> = text.lines().map(Claim::parse).collect();
    let claims = claims.ok_or_else(|| {
        Failure::bad_request("claims must be lines of a link, a digest and the hash before it, separated by spaces")
    })?;
    let refuted = call.core.audit_devices().refute(call.permit, &path, &claims)?;
    Reply::data(&json!({ "refuted": refuted }))
}
