//! The server's state: not initialised, sealed, or unsealed. Each state is a type; only the unsealed one has anything
//! to call, and leaving it drops the keys.
//!
//! ```text
//! Uninitialized --initialize--> Sealed --offer(share)…--> Unsealed --seal--> Sealed
//!                          (a static seal goes on to Unsealed by itself)
//! ```

mod restore;

use std::{
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use tokio::sync::Mutex;

use crate::{
    audit_devices::ConfiguredDevice,
    ceremony::Ceremonies,
    clock::Clock,
    core::{Core, OpenError},
    door::Permit,
    random::{Random, RandomError},
    seal::{Seal, SealConfig, SealError, SealKind},
    secret::{SecretBytes, SecretString},
    surroundings::Surroundings,
};

/// How often upkeep runs.
const UPKEEP: Duration = Duration::from_secs(1);

/// Why a request cannot be served at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// There is no store yet.
    #[error("Vault is not initialized")]
    Uninitialized,
    /// The store is sealed.
    #[error("Vault is sealed")]
    Sealed,
}

/// A change of state failed.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The seal refused.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store could not be prepared.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A share was offered to a store that unseals itself.
    #[error("this store is unsealed by its own key, not by shares")]
    NoShares,
    /// A share was offered for a migration that the configuration does not ask for.
    #[error(
        "can't perform a seal migration, no migration seal found: the configuration names the seal that the store has"
    )]
    NoMigration,
    /// A share was offered to open the store, but the configuration names another seal.
    #[error(
        "migrate option not provided and seal migration is pending: the configuration names a static seal, and the shares \
         move the store to it; set migrate on every share, or configure seal type shamir again"
    )]
    MigrationPending,
}

/// Sealed: a configuration in the clear and the shares offered so far.
struct Sealed {
    config: SealConfig,
    offered: Vec<SecretBytes>,
    nonce: String,
}

/// What an offered share leads to.
enum Offered {
    /// More shares are needed.
    More(Sealed),
    /// There are enough: the sealed state is used up.
    Enough { config: SealConfig, shares: Vec<SecretBytes> },
}

impl Sealed {
    fn new(config: SealConfig) -> Self {
        Self { config, offered: Vec::new(), nonce: String::new() }
    }

    fn offer(mut self, share: SecretBytes, random: &Random) -> Result<Offered, RandomError> {
        let known =
            |offered: &SecretBytes| verify_slices_are_equal(offered.expose_secret(), share.expose_secret()).is_ok();
        if !self.offered.iter().any(known) {
            self.offered.push(share);
        }
        if self.offered.len() >= usize::from(self.config.threshold) {
            return Ok(Offered::Enough { config: self.config, shares: self.offered });
        }
        if self.nonce.is_empty() {
            self.nonce = random.uuid()?.to_string();
        }
        Ok(Offered::More(self))
    }
}

enum Phase {
    Uninitialized,
    Sealed(Sealed),
    Unsealed { config: SealConfig, core: Arc<Core> },
}

/// What anybody may know of the server's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// How the root key is guarded.
    pub kind: SealKind,
    /// Whether there is a store.
    pub initialized: bool,
    /// Whether it is sealed.
    pub sealed: bool,
    /// Shares needed to unseal.
    pub threshold: u8,
    /// Shares made.
    pub shares: u8,
    /// Shares offered so far.
    pub progress: usize,
    /// Names the attempt to unseal that is under way.
    pub nonce: String,
    /// Identifies the store; empty before there is one.
    pub store_id: String,
    /// Whether the configuration names another seal than the store has: shares move it there.
    pub migration: bool,
    /// The storage backend.
    pub storage: &'static str,
}

/// What a node may be told beside what it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeOptions {
    /// Whether the paths of key ceremonies answer without a token, as with Vault. The shares are asked for either way.
    pub open_ceremonies: bool,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self { open_ceremonies: true }
    }
}

/// What initialisation shows, once.
pub struct Initialization {
    /// The shares of the root key; empty for a static seal.
    pub shares: Vec<SecretBytes>,
    /// The first token.
    pub root_token: SecretString,
}

/// One server process and its store.
pub struct Node {
    pub(crate) seal: Arc<dyn Seal>,
    surroundings: Surroundings,
    configured: Vec<ConfiguredDevice>,
    options: NodeOptions,
    pub(crate) random: Random,
    phase: RwLock<Phase>,
    /// Held over a change of state, which takes several steps, and over each step of a ceremony.
    pub(crate) changing: Mutex<Ceremonies>,
}

impl Node {
    /// Finds out which state the store is in; a static seal is opened at once. Must run inside a Tokio runtime.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn start(
        seal: Arc<dyn Seal>,
        surroundings: Surroundings,
        configured: Vec<ConfiguredDevice>,
    ) -> Result<Arc<Self>, NodeError> {
        Self::start_with(seal, surroundings, configured, NodeOptions::default()).await
    }

    /// Like [`Node::start`], with options.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn start_with(
        seal: Arc<dyn Seal>,
        surroundings: Surroundings,
        configured: Vec<ConfiguredDevice>,
        options: NodeOptions,
    ) -> Result<Arc<Self>, NodeError> {
        let config = seal.config().await?;
        let phase = config.clone().map_or(Phase::Uninitialized, |config| Phase::Sealed(Sealed::new(config)));
        let node = Arc::new(Self {
            seal,
            surroundings,
            configured,
            options,
            random: Random::default(),
            phase: RwLock::new(phase),
            changing: Mutex::default(),
        });
        if let Some(config) = config.filter(|config| config.kind == SealKind::Static) {
            node.open(config, &[]).await?;
        }
        Ok(node)
    }

    /// The open store.
    ///
    /// # Errors
    /// When there is none, or it is sealed.
    pub fn core(&self) -> Result<Arc<Core>, NotReady> {
        match &*self.phase.read().unwrap_or_else(PoisonError::into_inner) {
            Phase::Uninitialized => Err(NotReady::Uninitialized),
            Phase::Sealed(_) => Err(NotReady::Sealed),
            Phase::Unsealed { core, .. } => Ok(Arc::clone(core)),
        }
    }

    /// The clock that the server lives by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.surroundings.clock
    }

    /// What anybody may know.
    #[must_use]
    pub fn status(&self) -> Status {
        let empty = Status {
            kind: self.seal.kind(),
            initialized: false,
            sealed: true,
            threshold: 0,
            shares: 0,
            progress: 0,
            nonce: String::new(),
            store_id: String::new(),
            migration: false,
            storage: self.seal.storage_kind(),
        };
        let of = |config: &SealConfig| Status {
            kind: config.kind,
            initialized: true,
            threshold: config.threshold,
            shares: config.shares,
            store_id: config.store_id.clone(),
            migration: config.kind != self.seal.kind(),
            ..empty.clone()
        };
        match &*self.phase.read().unwrap_or_else(PoisonError::into_inner) {
            Phase::Uninitialized => empty,
            Phase::Sealed(sealed) => {
                Status { progress: sealed.offered.len(), nonce: sealed.nonce.clone(), ..of(&sealed.config) }
            }
            Phase::Unsealed { config, .. } => Status { sealed: false, ..of(config) },
        }
    }

    /// Makes a store. With Shamir's seal it is sealed afterwards; with a static seal it is open.
    ///
    /// # Errors
    /// When there is one already, or the numbers are out of bounds.
    pub async fn initialize(
        &self,
        shares: u8,
        threshold: u8,
        root_token: Option<SecretString>,
    ) -> Result<Initialization, NodeError> {
        let _changing = self.changing.lock().await;
        let made = self.seal.initialize(shares, threshold).await?;
        let core = self.build(made.barrier).await?;
        let root_token = core.issue_root(root_token).await.map_err(OpenError::from)?.token;
        if made.config.kind == SealKind::Static {
            self.enter(made.config, core);
        } else {
            self.set(Phase::Sealed(Sealed::new(made.config)));
        }
        Ok(Initialization { shares: made.shares, root_token })
    }

    /// Offers one share. The last one needed opens the store; if they do not, all are forgotten.
    ///
    /// # Errors
    /// When the shares do not open the store, or it takes none.
    pub async fn unseal(&self, share: SecretBytes) -> Result<Status, NodeError> {
        self.offer(share, false).await
    }

    /// Offers one share of a store that is to move to the seal that the configuration names. The last one needed moves
    /// it, in one commit, and opens it.
    ///
    /// # Errors
    /// When the shares do not open the store, or it does not move.
    pub async fn unseal_migrating(&self, share: SecretBytes) -> Result<Status, NodeError> {
        self.offer(share, true).await
    }

    async fn offer(&self, share: SecretBytes, migrate: bool) -> Result<Status, NodeError> {
        let _changing = self.changing.lock().await;
        let status = self.status();
        match (migrate, status.migration) {
            (true, false) if status.sealed => return Err(NodeError::NoMigration),
            (false, true) => return Err(NodeError::MigrationPending),
            (false, false) if self.seal.kind() == SealKind::Static => return Err(NodeError::NoShares),
            _ => {}
        }
        match self.take_sealed()? {
            None => {}
            Some(sealed) => {
                let fallback = sealed.config.clone();
                match sealed.offer(share, &self.random) {
                    Ok(Offered::More(sealed)) => self.set(Phase::Sealed(sealed)),
                    Ok(Offered::Enough { config, shares }) => self.open(config, &shares).await?,
                    Err(error) => {
                        self.set(Phase::Sealed(Sealed::new(fallback)));
                        return Err(error.into());
                    }
                }
            }
        }
        Ok(self.status())
    }

    /// Forgets the shares offered so far.
    ///
    /// # Errors
    /// When there is no store.
    pub async fn reset_unseal(&self) -> Result<Status, NodeError> {
        let _changing = self.changing.lock().await;
        if let Some(sealed) = self.take_sealed()? {
            self.set(Phase::Sealed(Sealed::new(sealed.config)));
        }
        Ok(self.status())
    }

    /// Seals the store. Requests under way finish; then the keys are wiped.
    pub async fn seal(&self, permit: Permit) {
        permit.spend();
        self.close().await;
    }

    /// Seals the store when the process ends. No request is admitted from here on; what waits to be written down is
    /// written before the keys are wiped.
    pub async fn close(&self) {
        let mut ceremonies = self.changing.lock().await;
        *ceremonies = Ceremonies::default();
        let Some(core) = self.leave() else { return };
        if let Err(error) = core.write_down().await {
            tracing::warn!(%error, "access dates and the audit logs' heads could not be written down before sealing");
        }
    }

    /// Takes the open store out and leaves a sealed state behind.
    fn leave(&self) -> Option<Arc<Core>> {
        let mut phase = self.phase.write().unwrap_or_else(PoisonError::into_inner);
        let Phase::Unsealed { config, core } = &*phase else { return None };
        let (config, core) = (config.clone(), Arc::clone(core));
        *phase = Phase::Sealed(Sealed::new(config));
        Some(core)
    }

    /// Prepares a development server: `secret/` is mounted and `token`, or a fresh one, is a root token.
    ///
    /// # Errors
    /// When the store is not open or fails.
    pub async fn prepare_development(&self, token: Option<SecretString>) -> Result<SecretString, NodeError> {
        let core = self.core().map_err(|_| SealError::NotInitialized)?;
        core.ensure_secret_mount().await.map_err(OpenError::from)?;
        if let Some(token) = token {
            let known = core.tokens().resolve(&token).await.map_err(OpenError::from)?;
            if known.is_some_and(|known| known.entry.is_root()) {
                return Ok(token);
            }
            return Ok(core.issue_root(Some(token)).await.map_err(OpenError::from)?.token);
        }
        Ok(core.issue_root(None).await.map_err(OpenError::from)?.token)
    }

    async fn open(&self, config: SealConfig, shares: &[SecretBytes]) -> Result<(), NodeError> {
        let opened = match self.seal.open(shares).await {
            Ok(barrier) => self.build(barrier).await,
            Err(error) => Err(error.into()),
        };
        // A store that moved to another seal says other things about it now, even if it could not be opened after that.
        let moving = config.kind != self.seal.kind();
        let told = if moving { self.seal.config().await.ok().flatten() } else { None };
        let config = told.unwrap_or(config);
        match opened {
            Ok(core) => self.enter(config, core),
            Err(error) => {
                self.set(Phase::Sealed(Sealed::new(config)));
                return Err(error);
            }
        }
        Ok(())
    }

    async fn build(&self, barrier: Arc<dyn crate::barrier::Barrier>) -> Result<Core, NodeError> {
        // Boxed: opening takes kilobytes, which no request's future is to carry for the one that unseals.
        let mut core = Box::pin(Core::open(barrier, self.surroundings.clone(), &self.configured)).await?;
        core.open_ceremonies = self.options.open_ceremonies;
        Ok(core)
    }

    /// The open store and what it says about its seal.
    pub(crate) fn opened(&self) -> Result<(SealConfig, Arc<Core>), NotReady> {
        match &*self.phase.read().unwrap_or_else(PoisonError::into_inner) {
            Phase::Uninitialized => Err(NotReady::Uninitialized),
            Phase::Sealed(_) => Err(NotReady::Sealed),
            Phase::Unsealed { config, core } => Ok((config.clone(), Arc::clone(core))),
        }
    }

    /// Notes what the store says about its seal from now on.
    pub(crate) fn reconfigure(&self, to: &SealConfig) {
        if let Phase::Unsealed { config, .. } = &mut *self.phase.write().unwrap_or_else(PoisonError::into_inner) {
            config.clone_from(to);
        }
    }

    fn enter(&self, config: SealConfig, core: Core) {
        let core = Arc::new(core);
        tokio::spawn(upkeep(Arc::downgrade(&core)));
        self.set(Phase::Unsealed { config, core });
    }

    fn set(&self, phase: Phase) {
        *self.phase.write().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// Takes the sealed state out, to be used up; `None`: the store is open. A sealed state without shares stands in
    /// until the caller sets the next one.
    fn take_sealed(&self) -> Result<Option<Sealed>, SealError> {
        let mut phase = self.phase.write().unwrap_or_else(PoisonError::into_inner);
        match &mut *phase {
            Phase::Uninitialized => Err(SealError::NotInitialized),
            Phase::Unsealed { .. } => Ok(None),
            Phase::Sealed(sealed) => {
                let empty = Sealed::new(sealed.config.clone());
                Ok(Some(std::mem::replace(sealed, empty)))
            }
        }
    }
}

/// Tends the store until it is sealed.
async fn upkeep(core: Weak<Core>) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        let Some(core) = core.upgrade() else { return };
        if let Err(error) = core.tend().await {
            tracing::warn!(%error, "upkeep failed; it goes on with the next round");
        }
    }
}
