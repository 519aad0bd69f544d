//! One at a time works on a lease: a renewal must not meet a revocation half-way. Claims are of this process; a commit
//! names the revision it is based on all the same.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(super) struct Claims {
    held: Mutex<HashSet<String>>,
    freed: Notify,
}

/// The right to work on a lease, until it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    claims: Arc<Claims>,
    id: String,
}

impl Claims {
    /// Waits until nobody else works on a lease.
    pub(super) async fn claim(self: &Arc<Self>, id: &str) -> Claim {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Before the look, so that one who lets go after it is heard.
            freed.as_mut().enable();
            if let Some(claim) = self.try_claim(id) {
                return claim;
            }
            freed.await;
        }
    }

    /// The claim on a lease that nobody works on.
    pub(super) fn try_claim(self: &Arc<Self>, id: &str) -> Option<Claim> {
        self.held().insert(id.to_owned()).then(|| Claim { claims: Arc::clone(self), id: id.to_owned() })
    }

    fn held(&self) -> MutexGuard<'_, HashSet<String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.held().remove(&self.id);
        self.claims.freed.notify_waiters();
    }
}
