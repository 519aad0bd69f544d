//! A whole Keyturn in a test: in memory, initialised and unsealed, with a clock that the test moves and an audit log
//! that it can read. For the project's own tests and for those of its users.
//!
//! ```no_run
//! # async fn example() -> Result<(), keyturn_testing::StartError> {
//! let server = keyturn_testing::TestServer::start().await?;
//! // Point any Vault client at server.address() with server.root_token().
//! # Ok(()) }
//! ```

pub mod crash;
mod databases;
mod outbound;
mod principals;
mod recording;

use std::{net::SocketAddr, sync::Arc};

use keyturn_core::{
    alert::AlertConfig,
    audit::DeviceInfo,
    audit_devices::ConfiguredDevice,
    clock::{ManualClock, Timestamp},
    core::Core,
    node::{Node, NodeError, NotReady},
    secret::{SecretBytes, SecretString},
    storage::StorageError,
    surroundings::Surroundings,
};
use keyturn_server::{
    api::{Api, ApiSettings},
    limits::Limits,
    listener,
    shutdown::{self, ShutdownTrigger},
    vault,
};
use keyturn_storage::{backend::Embedded, barrier::BarrierOptions, seal::ShamirSeal};
use tokio::{net::TcpListener, task::JoinHandle};

pub use databases::{Databases, FAILING, User};
pub use outbound::Elsewhere;
pub use principals::{Mood, PrincipalIssuer, Principals};
pub use recording::{NoDevices, Recording};

/// The test server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be made or opened.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The store is not open after it was unsealed.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// No port on loopback.
    #[error("no listener on loopback: {0}")]
    Listen(#[from] std::io::Error),
    /// The table of routes contradicts itself.
    #[error("the table of routes contradicts itself: {0}")]
    Routes(String),
}

/// A store in memory: unsealed, with a clock that stands at 2026-01-01 until it is moved.
pub struct TestNode {
    /// The server's state.
    pub node: Arc<Node>,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// Its audit log.
    pub audit: Arc<Recording>,
    /// What lies below its barrier.
    pub storage: Arc<Embedded>,
    /// The other systems that it can reach.
    pub elsewhere: Arc<Elsewhere>,
    /// The databases that it can reach.
    pub databases: Databases,
    /// The one share that unseals it.
    pub share: SecretBytes,
    /// A token that may do everything.
    pub root_token: SecretString,
}

impl TestNode {
    /// Makes a store, unseals it and mounts versioned secrets at `secret/`.
    ///
    /// # Errors
    /// When a part of it fails, which is a bug.
    pub async fn start() -> Result<Self, StartError> {
        let start = Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH);
        let clock = Arc::new(ManualClock::new(start));
        let storage = Arc::new(Embedded::in_memory()?);
        let seal = Arc::new(ShamirSeal::new(storage.clone(), BarrierOptions::default(), clock.clone()));
        let audit = Arc::new(Recording::default());
        let info = DeviceInfo { path: "recording/".into(), kind: "recording".into(), ..DeviceInfo::default() };
        let device = ConfiguredDevice { info, device: audit.clone() };
        let elsewhere = Arc::new(Elsewhere::default());
        let databases = Databases::default();
        let node = Node::start(seal, surroundings(&clock, &elsewhere, &databases), vec![device]).await?;
        let made = node.initialize(1, 1, None).await?;
        let share = made.shares.into_iter().next().unwrap_or_default();
        node.unseal(share.clone()).await?;
        let root_token = node.prepare_development(None).await?;
        Ok(Self { node, clock, audit, storage, elsewhere, databases, share, root_token })
    }

    /// What another node needs to live in the same world: the same time, the same other systems.
    #[must_use]
    pub fn surroundings(&self) -> Surroundings {
        surroundings(&self.clock, &self.elsewhere, &self.databases)
    }

    /// The open store.
    ///
    /// # Errors
    /// When the test has sealed it.
    pub fn core(&self) -> Result<Arc<Core>, NotReady> {
        self.node.core()
    }
}

fn surroundings(clock: &Arc<ManualClock>, elsewhere: &Arc<Elsewhere>, databases: &Databases) -> Surroundings {
    Surroundings {
        clock: clock.clone(),
        devices: Arc::new(NoDevices),
        outbound: elsewhere.clone(),
        targets: Arc::new(databases.clone()),
        alerts: AlertConfig::default(),
    }
}

/// A [`TestNode`] that speaks HTTP on a free port of loopback. Dropping it closes the port.
pub struct TestServer {
    /// The store behind it.
    pub store: TestNode,
    address: SocketAddr,
    shutdown: ShutdownTrigger,
    serving: JoinHandle<()>,
}

impl TestServer {
    /// Starts a server.
    ///
    /// # Errors
    /// When a part of it fails.
    pub async fn start() -> Result<Self, StartError> {
        let store = TestNode::start().await?;
        let limits = Limits::default();
        let vault = vault::Api::new(Arc::clone(&store.node), limits.clone())
            .map_err(|error| StartError::Routes(error.to_string()))?;
        let api = Api::new(vault, Arc::clone(&store.node), limits.clone(), ApiSettings::default());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (shutdown, signal) = shutdown::channel();
        let serving = tokio::spawn(listener::serve(listener, None, api, limits, signal));
        Ok(Self { store, address, shutdown, serving })
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A token that may do everything.
    #[must_use]
    pub fn root_token(&self) -> &SecretString {
        &self.store.root_token
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.advance();
        self.serving.abort();
    }
}
