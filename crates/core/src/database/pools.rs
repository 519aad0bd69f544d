//! The open targets. One belongs to one revision of its connection's record: when the record changes in any way, the
//! next use opens another, and the old one's connections end with its last use.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::{Connection, Database, DatabaseError, Place};
use crate::{
    rotation,
    storage::{Key, Revision},
    store::Seen,
    target::{Target, TargetError, Targets},
};

/// How many connections may be forgotten about before those that nobody uses are thrown away.
const ROOM: usize = 256;

type Opened = (Revision, Arc<dyn Target>);

pub(super) struct Pools {
    pub(super) targets: Arc<dyn Targets>,
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
}

#[derive(Default)]
struct Slot {
    /// Held for reading while the target is used, for writing while the administrator gets another password.
    gate: Arc<RwLock<()>>,
    /// Held over each change of the connection's record.
    turn: Arc<Turn<()>>,
    opened: Mutex<Option<Opened>>,
}

/// A target in use. The administrator's password stays as it is for so long.
pub(super) struct Using {
    target: Arc<dyn Target>,
    _gate: OwnedRwLockReadGuard<()>,
}

impl Using {
    /// The same, for work elsewhere in core.
    pub(super) fn into_opened(self) -> rotation::Opened {
        rotation::Opened::new(self.target, self._gate)
    }
}

impl Deref for Using {
    type Target = dyn Target;

    fn deref(&self) -> &Self::Target {
        &*self.target
    }
}

impl Pools {
    pub(super) fn new(targets: Arc<dyn Targets>) -> Self {
        Self { targets, slots: Mutex::default() }
    }

    fn slot(&self, place: &Place) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= ROOM {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.is_open());
        }
        Arc::clone(slots.entry(place.key()).or_default())
    }

    /// Waits until nobody else changes the connection. It may be used meanwhile.
    pub(super) async fn turn(&self, place: &Place) -> OwnedMutexGuard<()> {
        Arc::clone(&self.slot(place).turn).lock_owned().await
    }

    /// Waits until nobody uses the target, and keeps everybody from doing so. Whoever has its turn may.
    pub(super) async fn stop(&self, place: &Place) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.slot(place).gate).write_owned().await
    }

    /// Lets go of an open target; who uses it may end.
    pub(super) fn close(&self, place: &Place) {
        self.slot(place).opened.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn open(&self, slot: &Slot, seen: &Seen<Connection>) -> Result<Arc<dyn Target>, TargetError> {
        let mut opened = slot.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((revision, target)) = &*opened
            && *revision == seen.revision
        {
            return Ok(Arc::clone(target));
        }
        let target = self.targets.open(seen.value.access(&seen.value.password)?)?;
        *opened = Some((seen.revision, Arc::clone(&target)));
        Ok(target)
    }
}

impl Slot {
    fn is_open(&self) -> bool {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Database {
    /// A connection and its target, to be used at once. A password that a crash or a lost answer left in doubt is
    /// settled first.
    pub(super) async fn open(&self, place: &Place) -> Result<(Connection, Using), DatabaseError> {
        loop {
            let slot = self.pools.slot(place);
            let gate = Arc::clone(&slot.gate).read_owned().await;
            let seen = self.store.read::<Connection>(&place.key()).await?;
            let seen = seen.ok_or_else(|| DatabaseError::NoConnection(place.name.clone()))?;
            if seen.value.candidate.is_some() {
                drop(gate);
                self.settle_root(place).await?;
                continue;
            }
            let target = self.pools.open(&slot, &seen)?;
            return Ok((seen.value, Using { target, _gate: gate }));
        }
    }
}
