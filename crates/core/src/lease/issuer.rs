//! What a secrets engine does about the leases of its credentials.

use super::LeaseRecord;
use crate::{clock::Timestamp, storage::BoxFuture};

/// What an engine answers for its credentials: how they end, and how they are given more time. One for each engine that
/// issues any ([`super::Leases::register`]).
///
/// Each call may be repeated after a crash, and may come for a lease whose credential was never made: what is already
/// as it should be is no error. A call must end by itself, within [`super::ACT_SECONDS`].
pub trait Issuer: Send + Sync {
    /// Takes the credential back: nobody can use it once this answers.
    fn revoke<'a>(&'a self, lease: &'a LeaseRecord) -> BoxFuture<'a, Result<(), IssuerError>>;

    /// How long the credential may live, by the engine's settings as they are now.
    fn terms<'a>(&'a self, lease: &'a LeaseRecord) -> BoxFuture<'a, Result<Terms, IssuerError>>;

    /// Makes the credential good until `until`. The lease is changed after that.
    fn renew<'a>(&'a self, lease: &'a LeaseRecord, until: Timestamp) -> BoxFuture<'a, Result<(), IssuerError>>;
}

/// How long a credential may live, in seconds; 0: as its mount says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// What it gets if nothing was asked.
    pub ttl: u64,
    /// Its longest life, from when it was issued.
    pub max_ttl: u64,
}

/// An engine could not do what a lease asks for. The texts hold no secret: they are stored, shown and logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// The target does not answer at all, so no other lease there has a better chance now.
    #[error("{0}")]
    Unreachable(String),
    /// It failed for this lease; the same may succeed later.
    #[error("{0}")]
    Failed(String),
    /// Trying again will not help until somebody changes something: the connection's settings are gone, for example.
    #[error("{0}")]
    Hopeless(String),
}
