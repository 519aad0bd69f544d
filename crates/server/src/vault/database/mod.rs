//! The database engine: connections, roles, credentials, static roles.

pub(super) mod config;
pub(super) mod creds;
pub(super) mod roles;
pub(super) mod rotate;
pub(super) mod static_creds;
pub(super) mod static_roles;

use super::{error::Failure, fields::Fields};

/// What a credential may be: this server makes passwords.
fn check_credential_type(fields: &Fields<'_>) -> Result<(), Failure> {
    match fields.text("credential_type")?.as_deref() {
        None | Some("password") => Ok(()),
        Some(kind @ ("rsa_private_key" | "client_certificate")) => {
            Err(Failure::bad_request(format!("unsupported credential_type: {kind:?}; this server makes passwords")))
        }
        Some(kind) => Err(Failure::bad_request(format!("invalid credential_type {kind:?}"))),
    }
}

/// The policy that `credential_config` names, if it is given.
fn password_policy(fields: &Fields<'_>) -> Result<Option<String>, Failure> {
    let Some(mut config) = fields.pairs("credential_config")? else { return Ok(None) };
    let policy = config.remove("password_policy").unwrap_or_default();
    match config.into_keys().next() {
        None => Ok(Some(policy)),
        Some(other) => Err(Failure::bad_request(format!(
            "credential_config validation failed: {other:?} is not offered, \"password_policy\" is"
        ))),
    }
}
