//! The seal: what guards the root key, and the states that a store passes through.
//!
//! A [`Seal`] is implemented beside the barrier (in `keyturn-storage`). It hands out a [`Barrier`] only against the
//! right shares or key encryption key; while sealed there is no key in memory and nothing to call.

use std::sync::Arc;

use crate::{
    barrier::{Barrier, BarrierError},
    secret::SecretBytes,
    snapshot::{SnapshotError, SnapshotFile, SnapshotInfo},
    storage::{BoxFuture, Revision, StorageError},
};

/// How the root key is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealKind {
    /// Split into shares by Shamir's scheme; people bring the shares.
    Shamir,
    /// Wrapped by a key encryption key from a file or the environment; the server unseals itself.
    Static,
}

impl SealKind {
    /// The name that `sys/seal-status` shows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Shamir => "shamir",
            Self::Static => "static",
        }
    }
}

/// What an initialised store says about its seal, in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealConfig {
    /// How the root key is guarded.
    pub kind: SealKind,
    /// How many shares were made; 1 for a static seal.
    pub shares: u8,
    /// How many of them unseal; 1 for a static seal.
    pub threshold: u8,
    /// Identifies the store; random, made at initialisation.
    pub store_id: String,
}

/// What initialisation gave: the shares, shown once, and the open barrier.
pub struct Initialized {
    /// The shares of the root key; empty for a static seal.
    pub shares: Vec<SecretBytes>,
    /// What the store says about its seal from now on.
    pub config: SealConfig,
    /// The open store.
    pub barrier: Arc<dyn Barrier>,
}

/// A seal made anew that is not in force yet: the root key, wrapped under another key encryption key. It is as good as
/// stored, and opens nothing without the new shares or the new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reseal {
    /// What the store will say about its seal.
    pub config: SealConfig,
    /// The sealed record, as it will be stored.
    pub record: Arc<[u8]>,
    /// The record in whose place it is put.
    pub replaces: Revision,
}

/// A failure to initialise, unseal or reseal.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SealError {
    /// The store has been initialised before.
    #[error("the store is already initialized")]
    AlreadyInitialized,
    /// The store has not been initialised yet.
    #[error("the store is not initialized; run `keyturn operator init`")]
    NotInitialized,
    /// Shares or threshold are out of bounds.
    #[error("{0}")]
    InvalidShares(&'static str),
    /// The shares or the key encryption key do not open this store.
    #[error("the key does not open this store: {0}")]
    WrongKey(&'static str),
    /// The seal was changed by somebody else in the meantime.
    #[error("the store's seal was changed in the meantime, so nothing was done; start again")]
    Superseded,
    /// The store has no shares that could be given or made anew.
    #[error(
        "this store is unsealed by its own key, not by shares; `keyturn operator migrate-seal` exchanges the key, or \
         moves the store to shares"
    )]
    NoShares,
    /// The store is foreign, damaged or of a newer format.
    #[error("{0}")]
    Unusable(String),
    /// The barrier failed.
    #[error(transparent)]
    Barrier(#[from] BarrierError),
}

impl From<StorageError> for SealError {
    fn from(error: StorageError) -> Self {
        Self::Barrier(BarrierError::Storage(error))
    }
}

/// The guard of the root key of one store.
pub trait Seal: Send + Sync {
    /// What the store says about its seal; `None` while it is not initialised.
    fn config(&self) -> BoxFuture<'_, Result<Option<SealConfig>, SealError>>;

    /// How a store that is initialised now will be guarded.
    fn kind(&self) -> SealKind;

    /// Makes a root key, guards it, and opens the store. `shares` and `threshold` are for [`SealKind::Shamir`]
    /// (1 ≤ threshold ≤ shares ≤ 255, threshold ≥ 2 if shares ≥ 2); a static seal takes 1 and 1.
    fn initialize(&self, shares: u8, threshold: u8) -> BoxFuture<'_, Result<Initialized, SealError>>;

    /// Opens the store with at least `threshold` shares; a static seal takes none and uses its own key.
    ///
    /// A static seal given the shares of a store that Shamir's seal guards takes it over: the root key is wrapped under
    /// its key, and from then on the shares open nothing.
    fn open<'a>(&'a self, shares: &'a [SecretBytes]) -> BoxFuture<'a, Result<Arc<dyn Barrier>, SealError>>;

    /// Whether the store can be split into so many shares; see [`Seal::initialize`] for the rules.
    ///
    /// # Errors
    /// [`SealError::InvalidShares`] with the rule; [`SealError::NoShares`] from a static seal, as from the three below.
    fn check_numbers(&self, shares: u8, threshold: u8) -> Result<(), SealError>;

    /// Whether `shares` open the store, without opening it.
    fn check<'a>(&'a self, shares: &'a [SecretBytes]) -> BoxFuture<'a, Result<(), SealError>>;

    /// Makes new shares for the root key, which the old `shares` unwrap. Nothing is stored.
    fn reseal<'a>(
        &'a self,
        shares: &'a [SecretBytes],
        new_shares: u8,
        new_threshold: u8,
    ) -> BoxFuture<'a, Result<(Reseal, Vec<SecretBytes>), SealError>>;

    /// Whether `shares` open what `reseal` wraps.
    ///
    /// # Errors
    /// [`SealError::WrongKey`] when they do not.
    fn check_reseal(&self, reseal: &Reseal, shares: &[SecretBytes]) -> Result<(), SealError>;

    /// Puts `reseal` in force, in one commit: before it the old shares open the store, after it the new ones do.
    fn replace<'a>(&'a self, reseal: &'a Reseal) -> BoxFuture<'a, Result<(), SealError>>;

    /// Reads a snapshot to its end and says what it is, or what is wrong with it. With an `origin`, it must have been
    /// taken by that open store. Gives the file back, at its beginning.
    fn examine(
        &self,
        snapshot: SnapshotFile,
        origin: Option<Arc<dyn Barrier>>,
    ) -> BoxFuture<'_, Result<(SnapshotInfo, SnapshotFile), SnapshotError>>;

    /// Puts a snapshot in the place of the whole store, in one commit. Barriers that are open become useless.
    fn restore(&self, snapshot: SnapshotFile) -> BoxFuture<'_, Result<SealConfig, SnapshotError>>;

    /// The storage backend's name.
    fn storage_kind(&self) -> &'static str;
}
