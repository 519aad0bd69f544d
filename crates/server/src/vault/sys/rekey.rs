//! `sys/rekey/…` and, with an envelope and for those with a token, `sys/rotate/root/…`: new shares in the place of the
//! old ones.

use keyturn_core::{
    ceremony::{RekeyPlan, RekeyProgress, RekeyStatus, VerifyProgress, VerifyStatus},
    secret::SecretBytes,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::{
    Outcome,
    call::Call,
    error::Failure,
    fields::Fields,
    reply::Reply,
    share::{self, Shown},
};

/// Room for 255 shares in two encodings: the buffer must not grow, or a copy of them stays behind.
const ROOM: usize = 64 * 1024;

/// Whether the answer stands alone, as those of the old spellings do. Such an answer cannot be wrapped, and whoever
/// wants that must not get it in the clear.
pub(super) fn is_bare(call: &Call<'_>) -> Result<bool, Failure> {
    let rest = call.permit.rest();
    let bare = !rest.starts_with("rotate/") && !rest.starts_with("generate-root-token/");
    if bare && call.parsed.wrap_ttl.is_some() {
        return Err(Failure::bad_request(
            "the answers of this path cannot be wrapped: leave X-Vault-Wrap-TTL out, or use sys/rotate/root or \
             sys/generate-root-token",
        ));
    }
    Ok(bare)
}

/// An answer in the shape of its path.
pub(super) fn tell(bare: bool, data: &impl Serialize) -> Outcome {
    let mut text = SecretBytes::new(Vec::with_capacity(ROOM));
    serde_json::to_writer(text.expose_secret_mut(), data).map_err(|error| Failure::internal(&error, ""))?;
    let reply = Reply::raw(text);
    Ok(if bare { reply.bare() } else { reply })
}

/// The share and the nonce that each step names.
pub(super) fn step(fields: &Fields<'_>) -> Result<(SecretBytes, String), Failure> {
    let key = fields.secret("key")?.filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| Failure::bad_request("'key' must be specified in request body as JSON"))?;
    let share = share::decode(key.expose_secret().trim())
        .ok_or_else(|| Failure::bad_request("'key' must be a valid hex or base64 string"))?;
    Ok((share, fields.text("nonce")?.unwrap_or_default()))
}

/// Whether something was asked for that would have been encrypted to a PGP key.
pub(super) fn refuse_pgp(fields: &Fields<'_>, names: &[&str]) -> Result<(), Failure> {
    for name in names {
        if fields.raw(name).is_some_and(|text| !matches!(text, "[]" | "\"\"" | "false")) {
            return Err(Failure::bad_request(format!(
                "{name}: encrypting to PGP keys is not offered by this server; leave it out"
            )));
        }
    }
    Ok(())
}

pub(in super::super) async fn status(call: Call<'_>) -> Outcome {
    let bare = is_bare(&call)?;
    tell(bare, &status_of(&call.node.rekey_status(call.permit).await?))
}

pub(in super::super) async fn start(call: Call<'_>) -> Outcome {
    let bare = is_bare(&call)?;
    let fields = call.fields()?;
    refuse_pgp(&fields, &["pgp_keys", "backup"])?;
    let number = |name: &str| -> Result<u8, Failure> {
        let number = fields.natural(name)?.unwrap_or(0);
        u8::try_from(number).map_err(|_| Failure::bad_request(format!("{name} must be between 1 and 255")))
    };
    let plan = RekeyPlan {
        shares: number("secret_shares")?,
        threshold: number("secret_threshold")?,
        verify: fields.boolean("require_verification")?.unwrap_or(false),
    };
    tell(bare, &status_of(&call.node.start_rekey(call.permit, plan).await?))
}

pub(in super::super) async fn cancel(call: Call<'_>) -> Outcome {
    call.node.cancel_rekey(call.permit).await?;
    Ok(Reply::empty())
}

#[derive(Serialize)]
struct Made<'a> {
    nonce: &'a str,
    complete: bool,
    keys: &'a [String],
    keys_base64: &'a [String],
    pgp_fingerprints: Option<()>,
    backup: bool,
    verification_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_nonce: Option<&'a str>,
}

pub(in super::super) async fn update(call: Call<'_>) -> Outcome {
    let bare = is_bare(&call)?;
    let (share, nonce) = step(&call.fields()?)?;
    match call.node.give_rekey_share(call.permit, share, &nonce).await? {
        RekeyProgress::More(status) => tell(bare, &status_of(&status)),
        RekeyProgress::Made { nonce, shares, verification_nonce } => {
            let shares = Shown::new(&shares);
            let made = Made {
                nonce: &nonce,
                complete: true,
                keys: &shares.hex,
                keys_base64: &shares.base64,
                pgp_fingerprints: None,
                backup: false,
                verification_required: verification_nonce.is_some(),
                verification_nonce: verification_nonce.as_deref(),
            };
            tell(bare, &made)
        }
    }
}

pub(in super::super) async fn verify_status(call: Call<'_>) -> Outcome {
    let bare = is_bare(&call)?;
    tell(bare, &verify_status_of(&call.node.verify_status(call.permit).await?))
}

pub(in super::super) async fn verify(call: Call<'_>) -> Outcome {
    let bare = is_bare(&call)?;
    let (share, nonce) = step(&call.fields()?)?;
    match call.node.give_verify_share(call.permit, share, &nonce).await? {
        VerifyProgress::More(status) => tell(bare, &verify_status_of(&status)),
        VerifyProgress::Done { nonce } => tell(bare, &json!({ "nonce": nonce, "complete": true })),
    }
}

pub(in super::super) async fn restart_verify(call: Call<'_>) -> Outcome {
    let bare = is_bare(&call)?;
    tell(bare, &verify_status_of(&call.node.restart_verify(call.permit).await?))
}

/// Copies of shares are kept only if they are encrypted to PGP keys, which is not offered: there never are any.
pub(in super::super) async fn read_backup(call: Call<'_>) -> Outcome {
    call.permit.spend();
    Err(Failure::bad_request("no backed-up keys found"))
}

pub(in super::super) async fn delete_backup(call: Call<'_>) -> Outcome {
    call.permit.spend();
    Ok(Reply::empty())
}

/// A static seal has no recovery keys, and shares are no recovery keys.
pub(in super::super) async fn recovery(call: Call<'_>) -> Outcome {
    call.permit.spend();
    Err(Failure::bad_request("recovery rekeying not supported: no seal of this server has recovery keys"))
}

fn status_of(status: &RekeyStatus) -> Value {
    let plan = status.plan;
    let mut told = json!({
        "nonce": status.nonce,
        "started": plan.is_some(),
        "t": plan.map_or(0, |plan| plan.threshold),
        "n": plan.map_or(0, |plan| plan.shares),
        "progress": status.progress,
        "required": status.required,
        "pgp_fingerprints": null,
        "backup": false,
        "verification_required": plan.is_some_and(|plan| plan.verify),
    });
    if !status.verification_nonce.is_empty() {
        told["verification_nonce"] = status.verification_nonce.as_str().into();
    }
    told
}

fn verify_status_of(status: &VerifyStatus) -> Value {
    json!({
        "nonce": status.nonce,
        "started": status.started,
        "t": status.plan.threshold,
        "n": status.plan.shares,
        "progress": status.progress,
    })
}
