//! `cert`: logins by a TLS client certificate. The handshake has proven that the client has the key; whether the
//! certificate is to be trusted, and for what, is decided here.
//!
//! ```text
//! certs/<name>: a CA's certificate, or one client's own     crls/<name>: serial numbers that are revoked
//!
//! login: the client's certificate -> valid now, for clients
//!                                 -> itself registered, or a chain to a registered CA, none of it revoked
//!                                 -> the names that the entry demands
//! ```

mod certificate;
mod chain;
mod config;
mod crl;
mod entry;
mod login;

use std::sync::Arc;

pub use certificate::{public_key_of, validity_of};
pub use config::CertConfig;
pub use entry::CertEntry;
pub(super) use login::terms;

use super::{InvalidName, IssueError, SettingsError, issue::Issuer, name_of};
use crate::{
    door::Permit,
    mount::{Engine, Mount},
    store::{Store, StoreError},
};

/// An operation on an entry or revocation list, or a login, failed.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// The path is none of this method's.
    #[error("unsupported path")]
    UnsupportedPath,
    /// No entry can have this name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The request is not possible, or the certificate is not trusted; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// The entry's token settings contradict each other.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The login comes from the wrong place.
    #[error("permission denied")]
    Denied,
    /// The login proved itself, but there is no token for it.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CertError {
    fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}

/// The entries of all certificate mounts.
pub struct Cert {
    store: Arc<Store>,
    issuer: Arc<Issuer>,
}

impl Cert {
    pub(super) fn new(store: Arc<Store>, issuer: Arc<Issuer>) -> Self {
        Self { store, issuer }
    }
}

/// The mount and the name below `area`. Always taken from a permit: an operation cannot touch anything but what the
/// policy was asked about.
fn place(permit: &Permit, area: &str) -> Result<(Arc<Mount>, String), CertError> {
    let mount = mount_of(permit)?;
    let name = name_of(permit.rest().strip_prefix(area).ok_or(CertError::UnsupportedPath)?)?;
    Ok((mount, name))
}

fn mount_of(permit: &Permit) -> Result<Arc<Mount>, CertError> {
    match permit.mount().engine {
        Engine::Cert => Ok(Arc::clone(permit.mount())),
        _ => Err(CertError::UnsupportedPath),
    }
}
