//! Crashes at will. Everything that a process does to the outside passes its [`Faults`]: each commit to the store and
//! each call to another system is a step, and at the step that a test chose the process dies, before it is done or
//! after, or lives on without the answer.
//!
//! A process that has died is one for which nothing works any more: what it would still do changes nothing, so that the
//! store and the other systems are as the death left them. The process that follows it has faults of its own.
//!
//! [`everywhere`] tries one point after the other until a run ends without reaching it: then this work has been cut short
//! at every point at which it can be.
//!
//! ```no_run
//! # use keyturn_testing::crash::{Faults, World, everywhere};
//! # async fn example() -> Result<(), keyturn_testing::StartError> {
//! everywhere(async |point| {
//!     let world = World::new().await.expect("a world");
//!     let faults = Faults::default();
//!     let node = world.boot(&faults).await.expect("a process");
//!     faults.arm_at(point.place, point.step, point.fault);
//!     // … the work, whose errors do not matter …
//!     let reached = faults.has_struck();
//!     faults.kill().await;
//!     drop(node);
//!     let node = world.boot(&Faults::default()).await.expect("another process");
//!     // … what must hold now …
//!     reached
//! })
//! .await;
//! # Ok(()) }
//! ```

mod faults;
mod interposed;
mod outbound;
mod storage;
mod targets;

use std::sync::Arc;

use keyturn_core::{
    alert::AlertConfig,
    clock::ManualClock,
    node::Node,
    outbound::Outbound,
    secret::{SecretBytes, SecretString},
    surroundings::Surroundings,
    target::Targets,
};
use keyturn_storage::{backend::Embedded, barrier::BarrierOptions, seal::ShamirSeal};

use crate::{Databases, Elsewhere, NoDevices, StartError, TestNode};

pub use faults::{Fault, Faults, Place, Point, everywhere};
pub use interposed::InterposedStorage;
pub use outbound::MortalOutbound;
pub use storage::MortalStorage;
pub use targets::MortalTargets;

/// What outlives a process: the store, the time, the keys that open it, the other systems.
#[derive(Clone)]
pub struct World {
    /// The clock, for all processes.
    pub clock: Arc<ManualClock>,
    /// What lies below the barrier.
    pub storage: Arc<Embedded>,
    /// A token that may do everything.
    pub root_token: SecretString,
    /// The databases in memory.
    pub databases: Databases,
    /// What processes open targets with: by default, the databases in memory.
    pub targets: Arc<dyn Targets>,
    /// The systems in memory that answer to requests.
    pub elsewhere: Arc<Elsewhere>,
    /// What processes send requests by: by default, to the systems in memory.
    pub outbound: Arc<dyn Outbound>,
    share: SecretBytes,
}

impl World {
    /// A new store, with versioned secrets at `secret/`.
    ///
    /// # Errors
    /// When it cannot be made, which is a bug.
    pub async fn new() -> Result<Self, StartError> {
        let TestNode { clock, storage, elsewhere, databases, share, root_token, .. } = TestNode::start().await?;
        let (targets, outbound) = (Arc::new(databases.clone()), elsewhere.clone());
        Ok(Self { clock, storage, root_token, databases, targets, elsewhere, outbound, share })
    }

    /// Starts a process, whose commits, calls at targets and requests pass `faults`, and opens the store.
    ///
    /// # Errors
    /// When the process dies meanwhile, or the store does not open.
    pub async fn boot(&self, faults: &Faults) -> Result<Arc<Node>, StartError> {
        self.boot_over(Arc::new(MortalStorage::new(self.storage.clone(), faults.clone())), faults).await
    }

    /// The same over storage that a test has put before that of this world.
    ///
    /// # Errors
    /// As [`World::boot`].
    pub async fn boot_over(
        &self,
        storage: Arc<dyn keyturn_core::storage::Storage>,
        faults: &Faults,
    ) -> Result<Arc<Node>, StartError> {
        let seal = Arc::new(ShamirSeal::new(storage, BarrierOptions::default(), self.clock.clone()));
        let surroundings = Surroundings {
            clock: self.clock.clone(),
            devices: Arc::new(NoDevices),
            outbound: Arc::new(MortalOutbound::new(self.outbound.clone(), faults.clone())),
            targets: Arc::new(MortalTargets::new(self.targets.clone(), faults.clone())),
            alerts: AlertConfig::default(),
        };
        let node = Node::start(seal, surroundings, Vec::new()).await?;
        node.unseal(self.share.clone()).await?;
        Ok(node)
    }
}
