//! Crashes at will: everything that a process does to the outside passes a [`Fuse`], which blows at the step that a test
//! chose. From then on nothing that the process does has any effect or is answered, as if it had been killed there; the
//! test drops it and starts another over what the store and the targets hold by then.
//!
//! Each commit to the store and each call at a target is two steps: before it is carried out, and after, when its answer
//! is lost. A test that tries step 1, 2, 3 … until a run ends without a blown fuse has seen every point at which this
//! work can be cut short.
//!
//! ```no_run
//! # use keyturn_testing::crash::{Fuse, World};
//! # async fn example() -> Result<(), keyturn_testing::StartError> {
//! for step in 1.. {
//!     let world = World::new().await?;
//!     let fuse = Fuse::new();
//!     let node = world.boot(&fuse).await?;
//!     fuse.blow_at(step);
//!     // … the work, whose errors do not matter …
//!     let finished = !fuse.is_blown();
//!     fuse.kill().await;
//!     drop(node);
//!     let node = world.boot(&Fuse::new()).await?;
//!     // … what must hold now …
//!     if finished {
//!         break;
//!     }
//! }
//! # Ok(()) }
//! ```

mod storage;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use keyturn_core::{
    clock::ManualClock,
    node::Node,
    secret::{SecretBytes, SecretString},
};
use keyturn_storage::{backend::Embedded, barrier::BarrierOptions, seal::ShamirSeal};

use crate::{Databases, Elsewhere, StartError, TestNode};

pub use storage::FusedStorage;

/// The process was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the test killed the process here")]
pub struct Crashed;

/// Counts steps, and blows at one of them.
#[derive(Debug)]
pub struct Fuse {
    steps: AtomicUsize,
    last: AtomicUsize,
    blown: AtomicBool,
    acting: AtomicUsize,
}

/// An act under way, until it is dropped.
struct Acting<'a>(&'a AtomicUsize);

impl Drop for Acting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Fuse {
    /// A fuse that does not blow until it is told to.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            steps: AtomicUsize::new(0),
            last: AtomicUsize::new(usize::MAX),
            blown: AtomicBool::new(false),
            acting: AtomicUsize::new(0),
        })
    }

    /// Blows at the `step`-th step from now on, counted from 1.
    pub fn blow_at(&self, step: usize) {
        self.steps.store(0, Ordering::SeqCst);
        self.last.store(step, Ordering::SeqCst);
    }

    /// Kills the process now: blows, and waits until what it was doing outside has happened. A process that is killed
    /// does nothing more once the next one is there.
    pub async fn kill(&self) {
        self.blown.store(true, Ordering::SeqCst);
        while self.acting.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Whether it has blown.
    #[must_use]
    pub fn is_blown(&self) -> bool {
        self.blown.load(Ordering::SeqCst)
    }

    /// The steps since it was told when to blow.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps.load(Ordering::SeqCst)
    }

    /// What only looks needs a process that lives.
    ///
    /// # Errors
    /// When the fuse has blown.
    pub fn look(&self) -> Result<(), Crashed> {
        if self.is_blown() { Err(Crashed) } else { Ok(()) }
    }

    /// One step.
    fn pass(&self) -> Result<(), Crashed> {
        self.look()?;
        if self.steps.fetch_add(1, Ordering::SeqCst) + 1 >= self.last.load(Ordering::SeqCst) {
            self.blown.store(true, Ordering::SeqCst);
        }
        self.look()
    }

    /// Something that has an effect outside: a step before it and one after.
    ///
    /// # Errors
    /// When the fuse blows before it, so that it is not done, or after it, so that its answer is lost.
    pub async fn act<T>(&self, act: impl Future<Output = T>) -> Result<T, Crashed> {
        self.acting.fetch_add(1, Ordering::SeqCst);
        let _acting = Acting(&self.acting);
        self.pass()?;
        let answer = act.await;
        self.pass()?;
        Ok(answer)
    }
}

/// What outlives a process: the store, the time, the keys that open it.
pub struct World {
    /// The clock, for all processes.
    pub clock: Arc<ManualClock>,
    /// What lies below the barrier.
    pub storage: Arc<Embedded>,
    /// A token that may do everything.
    pub root_token: SecretString,
    share: SecretBytes,
    elsewhere: Arc<Elsewhere>,
    databases: Databases,
}

impl World {
    /// A new store.
    ///
    /// # Errors
    /// When it cannot be made, which is a bug.
    pub async fn new() -> Result<Self, StartError> {
        let TestNode { clock, storage, elsewhere, databases, share, root_token, .. } = TestNode::start().await?;
        Ok(Self { clock, storage, root_token, share, elsewhere, databases })
    }

    /// Starts a process, whose commits pass `fuse`, and opens the store.
    ///
    /// # Errors
    /// When the fuse blows meanwhile, or the store does not open.
    pub async fn boot(&self, fuse: &Arc<Fuse>) -> Result<Arc<Node>, StartError> {
        let storage = Arc::new(FusedStorage::new(self.storage.clone(), Arc::clone(fuse)));
        let seal = Arc::new(ShamirSeal::new(storage, BarrierOptions::default(), self.clock.clone()));
        let surroundings = crate::surroundings(&self.clock, &self.elsewhere, &self.databases);
        let node = Node::start(seal, surroundings, Vec::new()).await?;
        node.unseal(self.share.clone()).await?;
        Ok(node)
    }
}
