//! `sys/leases`, and the older `sys/renew`, `sys/revoke`, `sys/revoke-prefix`, `sys/revoke-force`.

use hyper::StatusCode;
use keyturn_core::lease::{Forced, Lease};
use serde_json::json;

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

/// Irrevocable leases that are listed unless more are asked for, as with Vault.
const MOST_LISTED: usize = 10_000;

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
    let increment = call.fields()?.seconds("increment")?.unwrap_or(0);
    let lease = call.core.leases().renew(call.permit, &id, increment).await?;
    Ok(Reply::empty().leased(lease))
}

pub(in super::super) async fn revoke(call: Call<'_>) -> Outcome {
    let id = id_of(&call)?;
    let (waits, answer) = waiting(&call)?;
    call.core.leases().revoke(call.permit, &id, waits).await?;
    Ok(answer)
}

pub(in super::super) async fn revoke_prefix(call: Call<'_>) -> Outcome {
    let (waits, answer) = waiting(&call)?;
    call.core.leases().revoke_prefix(call.permit, waits).await?;
    Ok(answer)
}

/// By force: what cannot be revoked is forgotten. Who asked is told what that was.
pub(in super::super) async fn revoke_force(call: Call<'_>) -> Outcome {
    let (_, answer) = waiting(&call)?;
    let Forced { dropped, first } = call.core.leases().revoke_force(call.permit).await?;
    let Some(first) = first else { return Ok(answer) };
    let told = format!(
        "{dropped} leases were dropped although their credentials could not be revoked and may still be good; first {first}"
    );
    Ok(answer.warn(told).with_status(StatusCode::OK))
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
    let limit = match call.fields()?.raw("limit").map(|text| text.trim_matches('"')) {
        None | Some("") => MOST_LISTED,
        Some("none") => usize::MAX,
        Some(_) => {
            call.fields()?.natural("limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MOST_LISTED)
        }
    };
    let leases = call.core.leases();
    let found = leases.irrevocable(call.permit, limit.saturating_add(1)).await?;
    let listed = &found[..found.len().min(limit)];
    let told: Vec<_> = listed
        .iter()
        .map(|lease| json!({ "lease_id": lease.id, "mount_id": lease.mount, "error": lease.error }))
        .collect();
    let reply = Reply::data(&json!({ "lease_count": listed.len(), "leases": told }))?;
    if listed.len() == found.len() {
        return Ok(reply);
    }
    Ok(reply.warn("there are more leases of this kind: ask again with limit=none to list all of them"))
}

/// How many leases could not be revoked, by mount.
pub(in super::super) async fn count(call: Call<'_>) -> Outcome {
    check_type(&call)?;
    let count = call.core.leases().count_irrevocable(call.permit).await?;
    Reply::data(&json!({ "lease_count": count.total, "counts": count.by_mount }))
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

/// Whether the answer waits for the revocation, and what it is then. A token is dead in any case when it is answered.
fn waiting(call: &Call<'_>) -> Result<(bool, Reply), Failure> {
    let waits = call.fields()?.boolean("sync")?.unwrap_or(true);
    Ok((waits, if waits { Reply::empty() } else { Reply::empty().with_status(StatusCode::ACCEPTED) }))
}

fn told(lease: &Lease) -> Outcome {
    let mut data = json!({
        "id": lease.id,
        "issue_time": lease.issued,
        "expire_time": lease.expires,
        "last_renewal": lease.last_renewal,
        "renewable": lease.renewable,
        "ttl": lease.ttl,
    });
    if let (Some(error), Some(data)) = (&lease.error, data.as_object_mut()) {
        data.insert("revoke_error".to_owned(), json!(error));
    }
    Reply::data(&data)
}
