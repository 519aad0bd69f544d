//! The proof that a request was checked and recorded.

use std::{net::IpAddr, sync::Arc};

use super::Caller;
use crate::{mount::Mount, policy::Operation};

/// One checked and audited request. Only the door makes it, and an operation consumes it.
#[must_use]
#[derive(Debug)]
pub struct Permit {
    pub(super) path: String,
    pub(super) operation: Operation,
    pub(super) caller: Option<Arc<Caller>>,
    pub(super) sudo: bool,
    /// Whether a write is permitted both to what exists and to what does not.
    pub(super) either_write: bool,
    pub(super) mount: Arc<Mount>,
    pub(super) remote: Option<IpAddr>,
    /// The certificates that the client proved in the handshake, its own first, in DER.
    pub(super) certificates: Option<Arc<Vec<Vec<u8>>>>,
}

impl Permit {
    /// What was permitted.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The path that was permitted.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The mount that serves the path.
    #[must_use]
    pub fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// The path below the mount.
    #[must_use]
    pub fn rest(&self) -> &str {
        self.path.strip_prefix(self.mount.path.as_str()).unwrap_or("")
    }

    /// Where the request came from.
    #[must_use]
    pub fn remote(&self) -> Option<IpAddr> {
        self.remote
    }

    /// The same permit, with the certificates of the client: its own first, in DER. The handshake must have proven that
    /// the client has the key of the first.
    pub fn presenting(self, certificates: Option<Arc<Vec<Vec<u8>>>>) -> Self {
        Self { certificates, ..self }
    }

    /// The client's certificates, its own first; empty if it showed none.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        self.certificates.as_ref().map_or(&[], |certificates| certificates)
    }

    /// Whether the caller has root or sudo on this path.
    #[must_use]
    pub fn has_sudo(&self) -> bool {
        self.sudo
    }

    /// Whether the write that was permitted is still so, now that it is known for sure whether something is there.
    /// Between the door's look and the operation's, another request may have made or removed it.
    pub(crate) fn still_fits(&self, exists: bool) -> bool {
        let checked_for = match self.operation {
            Operation::Create => false,
            Operation::Update => true,
            _ => return true,
        };
        self.either_write || checked_for == exists
    }

    /// Who asks; `None` where no token is needed, such as a login.
    #[must_use]
    pub fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }

    /// Uses the permit up, for an operation that needs no more of it.
    pub fn spend(self) {
        drop(self);
    }

    /// Uses the permit up and keeps who asked.
    pub(crate) fn spend_as_caller(self) -> Option<Arc<Caller>> {
        self.caller
    }
}
