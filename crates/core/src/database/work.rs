//! Who works on which static role: one at a time, and in the background a few at once.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use super::Place;
use crate::storage::Key;

/// Rotations that run at once in the background.
const CONCURRENT: usize = 8;
/// How many turns may be remembered before those that nobody waits for are forgotten.
const ROOM: usize = 256;

#[derive(Default)]
pub(super) struct Work {
    turns: Mutex<HashMap<Key, Arc<Turn<()>>>>,
    running: Arc<Mutex<HashSet<Key>>>,
}

/// A rotation in the background. Dropped, it is done.
pub(super) struct Running {
    running: Arc<Mutex<HashSet<Key>>>,
    key: Key,
}

impl Work {
    /// Waits until nobody else works on the role.
    pub(super) async fn turn(&self, place: &Place) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            if turns.len() >= ROOM {
                turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            }
            Arc::clone(turns.entry(place.key()).or_default())
        };
        turn.lock_owned().await
    }

    /// Takes a place in the background; `None`: there is none left, or the role is being worked on there.
    pub(super) fn begin(&self, place: &Place) -> Option<Running> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let key = place.key();
        if running.len() >= CONCURRENT || !running.insert(key.clone()) {
            return None;
        }
        Some(Running { running: Arc::clone(&self.running), key })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
