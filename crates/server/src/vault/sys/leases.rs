//! `sys/leases`, and the older `sys/renew`, `sys/revoke`, `sys/revoke-prefix`, `sys/revoke-force`.

use hyper::StatusCode;
use keyturn_core::lease::Lease;
use serde_json::json;

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

pub(in super::super) async fn lookup(call: Call<'_>) -> Outcome {
    let id = call.fields()?.text("lease_id")?.unwrap_or_default();
    let lease = call.core.leases().lookup(call.permit, &id).await?;
    told(&lease)
}

pub(in super::super) async fn list(call: Call<'_>) -> Outcome {
    Reply::keys(&call.core.leases().list(call.permit).await?)
}

pub(in super::super) async fn renew(call: Call<'_>) -> Outcome {
    let id = id_of(&call)?;
    let lease = call.core.leases().renew(call.permit, &id).await?;
    told(&lease)
}

pub(in super::super) async fn revoke(call: Call<'_>) -> Outcome {
    let id = id_of(&call)?;
    let answer = done(&call)?;
    call.core.leases().revoke(call.permit, &id).await?;
    Ok(answer)
}

/// By force or not: there is nothing outside that could refuse to let a token go.
pub(in super::super) async fn revoke_prefix(call: Call<'_>) -> Outcome {
    let answer = done(&call)?;
    call.core.leases().revoke_prefix(call.permit).await?;
    Ok(answer)
}

/// Removes what has ended. The upkeep does so anyway; this answers once it is done.
pub(in super::super) async fn tidy(call: Call<'_>) -> Outcome {
    call.core.leases().tidy(call.permit).await?;
    let warning = "Tidy operation successfully started. Any information from the operation will be printed to the \
                   server's log.";
    Ok(Reply::empty().warn(warning).with_status(StatusCode::ACCEPTED))
}

/// Leases that could not be revoked. A token's always can.
pub(in super::super) async fn irrevocable(call: Call<'_>) -> Outcome {
    check_type(&call)?;
    call.permit.spend();
    Reply::data(&json!({ "lease_count": 0, "leases": [] }))
}

/// How many leases could not be revoked, by mount.
pub(in super::super) async fn count(call: Call<'_>) -> Outcome {
    check_type(&call)?;
    call.permit.spend();
    Reply::data(&json!({ "lease_count": 0, "counts": {} }))
}

fn check_type(call: &Call<'_>) -> Result<(), Failure> {
    match call.fields()?.text("type")?.as_deref() {
        Some("irrevocable") => Ok(()),
        _ => Err(Failure::bad_request("type must be \"irrevocable\"")),
    }
}

/// The id in the body, or else the one in the path.
fn id_of(call: &Call<'_>) -> Result<String, Failure> {
    let given = call.fields()?.text("lease_id")?.filter(|id| !id.is_empty());
    Ok(given.unwrap_or_else(|| call.part("id").to_owned()))
}

/// Revocation is done when it is answered; who asked not to wait for it is told so as Vault does.
fn done(call: &Call<'_>) -> Result<Reply, Failure> {
    let waits = call.fields()?.boolean("sync")?.unwrap_or(true);
    Ok(if waits { Reply::empty() } else { Reply::empty().with_status(StatusCode::ACCEPTED) })
}

fn told(lease: &Lease) -> Outcome {
    Reply::data(&json!({
        "id": lease.id,
        "issue_time": lease.issued,
        "expire_time": lease.expires,
        "last_renewal": lease.last_renewal,
        "renewable": lease.renewable,
        "ttl": lease.ttl,
    }))
}
