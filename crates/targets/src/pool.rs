//! Connections: a bounded number, kept for a while, looked at before they are used again.

use std::{
    future::Future,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use keyturn_core::target::{Access, TargetError};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// Connections open at once, if the settings do not say.
const DEFAULT_OPEN: u32 = 4;
/// Seconds that a call may take, if the settings do not say.
const DEFAULT_TIMEOUT: u64 = 20;

/// What makes connections and knows whether one is still good.
pub(crate) trait Connect: Send + Sync + 'static {
    /// A logged-in connection.
    type Connection: Send + 'static;

    /// Makes one.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, TargetError>> + Send;

    /// Whether one that lay idle still answers; makes its session as new.
    fn is_alive(&self, connection: &mut Self::Connection) -> impl Future<Output = bool> + Send;
}

/// The bounds of a pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    open: usize,
    idle: usize,
    lifetime: Option<Duration>,
    /// How long one call may take.
    pub(crate) timeout: u64,
}

impl Limits {
    pub(crate) fn of(access: &Access) -> Self {
        let or = |value, default| if value == 0 { default } else { value };
        let open = or(access.max_open_connections, DEFAULT_OPEN) as usize;
        Self {
            open,
            idle: (or(access.max_idle_connections, u32::MAX) as usize).min(open),
            lifetime: Some(access.max_connection_lifetime).filter(|&seconds| seconds > 0).map(Duration::from_secs),
            timeout: match access.timeout {
                0 => DEFAULT_TIMEOUT,
                seconds => seconds,
            },
        }
    }

    /// Runs a call under the deadline.
    pub(crate) async fn within<T>(
        self,
        call: impl Future<Output = Result<T, TargetError>> + Send,
    ) -> Result<T, TargetError> {
        let limit = Duration::from_secs(self.timeout);
        tokio::time::timeout(limit, call).await.unwrap_or(Err(TargetError::TimedOut(self.timeout)))
    }
}

struct Idle<C> {
    connection: C,
    made: Instant,
}

/// Connections to one target.
pub(crate) struct Pool<M: Connect> {
    maker: M,
    limits: Limits,
    open: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Idle<M::Connection>>>>,
}

impl<M: Connect> Pool<M> {
    pub(crate) fn new(maker: M, limits: Limits) -> Self {
        Self { maker, limits, open: Arc::new(Semaphore::new(limits.open)), idle: Arc::default() }
    }

    /// What makes the connections.
    pub(crate) fn maker(&self) -> &M {
        &self.maker
    }

    /// The bounds.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// A connection that answered just now. One that was lost while it lay idle is replaced here, before anything is
    /// asked of it; so nothing is ever done twice.
    pub(crate) async fn get(&self) -> Result<Lease<M::Connection>, TargetError> {
        let closed = |_| TargetError::Unreachable("it is closed".to_owned());
        let permit = Arc::clone(&self.open).acquire_owned().await.map_err(closed)?;
        while let Some(mut idle) = self.take_idle() {
            let is_young = self.limits.lifetime.is_none_or(|lifetime| idle.made.elapsed() < lifetime);
            if is_young && self.maker.is_alive(&mut idle.connection).await {
                return Ok(self.lease(idle, permit));
            }
        }
        let connection = self.maker.connect().await?;
        Ok(self.lease(Idle { connection, made: Instant::now() }, permit))
    }

    fn take_idle(&self) -> Option<Idle<M::Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn lease(&self, idle: Idle<M::Connection>, permit: OwnedSemaphorePermit) -> Lease<M::Connection> {
        Lease { idle, store: Arc::clone(&self.idle), keep: self.limits.idle, _permit: permit }
    }
}

/// A connection in use. It is closed when dropped, for nobody knows in what state a call left it that was given up;
/// [`Lease::settle`] puts it back.
pub(crate) struct Lease<C> {
    idle: Idle<C>,
    store: Arc<Mutex<Vec<Idle<C>>>>,
    keep: usize,
    _permit: OwnedSemaphorePermit,
}

impl<C> Lease<C> {
    /// Ends the use with a call's outcome: the connection is kept, unless it was lost or its state is unknown.
    pub(crate) fn settle<T>(self, outcome: Result<T, TargetError>) -> Result<T, TargetError> {
        match outcome {
            Err(TargetError::Unreachable(_) | TargetError::TimedOut(_) | TargetError::Denied(_)) => {}
            Ok(_) | Err(TargetError::Settings(_) | TargetError::Statement { .. } | TargetError::Unsupported(_)) => {
                self.keep();
            }
        }
        outcome
    }

    fn keep(self) {
        let Self { idle, store, keep, _permit } = self;
        let mut kept = store.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < keep {
            kept.push(idle);
        }
    }
}

impl<C> Deref for Lease<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.idle.connection
    }
}

impl<C> DerefMut for Lease<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.idle.connection
    }
}
