//! What is due: the notes lie in the order of time, so that looking at the first is enough while none is. Rotations
//! run beside the upkeep, few at once, and none twice.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Notify, Semaphore};

use super::{Inner, Rotations, Site};
use crate::{
    barrier::Batch,
    keys,
    storage::Commit,
    store::{PAGE, StoreError},
};

/// Rotations that run at once.
const AT_ONCE: usize = 8;

/// Rotations that run or wait for their turn.
const MAX_WAITING: usize = 256;

/// What runs.
pub(super) struct Running {
    sites: Mutex<HashSet<Site>>,
    turns: Semaphore,
    ended: Notify,
}

impl Default for Running {
    fn default() -> Self {
        Self { sites: Mutex::default(), turns: Semaphore::new(AT_ONCE), ended: Notify::new() }
    }
}

impl Running {
    fn count(&self) -> usize {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn enter(&self, site: &Site, room: usize) -> bool {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        sites.len() < room && sites.insert(site.clone())
    }

    fn leave(&self, site: &Site) {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner).remove(site);
        self.ended.notify_waiters();
    }
}

/// Leaves what was entered, whatever happens in between.
pub(crate) struct Turn {
    pub(super) inner: Arc<Inner>,
    pub(super) site: Site,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.inner.running.leave(&self.site);
    }
}

impl Rotations {
    /// Starts what is due.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn tend(&self) -> Result<(), StoreError> {
        let now = format!("{:016x}", self.0.store.now().as_second().max(0));
        // Most of the time nothing is due, and the first note says so.
        let first = self.0.store.barrier.keys(keys::ROTATIONS_DUE, None, 1).await?;
        let is_due = |note: &Vec<u8>| note[keys::ROTATIONS_DUE.len()..] < *[now.as_bytes(), b"0"].concat();
        if !first.first().is_some_and(is_due) {
            return Ok(());
        }
        let mut after = None;
        while self.0.running.count() < MAX_WAITING {
            let page = self.0.store.barrier.keys(keys::ROTATIONS_DUE, after.as_deref(), PAGE).await?;
            let last = page.len() < PAGE;
            after = page.last().cloned();
            for note in page {
                let Some((at, site)) = Site::of_due_key(&note) else { continue };
                if at > now {
                    return Ok(());
                }
                self.0.forget_stale_note(&site, &note).await?;
                self.start(site);
            }
            if last {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Carries a rotation on in a task of its own, unless that is under way.
    pub(super) fn start(&self, site: Site) {
        if !self.0.running.enter(&site, MAX_WAITING) {
            return;
        }
        let turn = Turn { inner: Arc::clone(&self.0), site };
        tokio::spawn(async move {
            let Ok(_permit) = turn.inner.running.turns.acquire().await else { return };
            if let Err(error) = turn.inner.advance(&turn.site).await {
                tracing::error!(secret = turn.site.name, %error, "a rotation could not go on; it is tried again");
            }
        });
    }

    /// Waits until nobody else in this process works on a rotation, and keeps everybody from doing so.
    pub(crate) async fn turn(&self, site: &Site) -> Turn {
        loop {
            let ended = self.0.running.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.0.running.enter(site, usize::MAX) {
                return Turn { inner: Arc::clone(&self.0), site: site.clone() };
            }
            ended.await;
        }
    }

    /// Waits until nothing runs.
    pub async fn settled(&self) {
        loop {
            let ended = self.0.running.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.0.running.count() == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Inner {
    /// Removes a note that no rotation stands behind any more.
    async fn forget_stale_note(&self, site: &Site, note: &[u8]) -> Result<(), StoreError> {
        let held = self.hold(site).await?;
        let seen = held.as_ref().and_then(|held| held.revision);
        let noted = held.and_then(|held| held.rotation.wake).map(|at| site.due_key(at));
        if noted.as_deref() == Some(note) {
            return Ok(());
        }
        // Should the rotation change meanwhile, the note may be good again.
        let batch = Batch::new().expect(site.rotation_key(), seen).delete(note);
        let (Commit::Committed(_) | Commit::Conflict(_)) = self.store.commit(batch).await?;
        Ok(())
    }
}
