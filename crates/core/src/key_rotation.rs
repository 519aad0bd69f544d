//! `sys/rotate/config`: when data keys are followed by the next by themselves. Kept in the record `rotation`.

use serde::{Deserialize, Serialize};

use crate::{
    barrier::{KeyRotation, MAX_OPERATIONS},
    core::Core,
    door::Permit,
    keys,
    store::{Store, StoreError},
};

/// The lowest bound on records under one data key; the other is [`MAX_OPERATIONS`].
pub const MIN_OPERATIONS: u64 = 1_000_000;

/// The shortest use of a data key, in seconds: a day.
pub const MIN_INTERVAL: u64 = 24 * 60 * 60;

/// The longest that makes sense to write down: a thousand years.
const MAX_INTERVAL: u64 = 1000 * 365 * MIN_INTERVAL;

/// What is to change; `None` leaves a setting as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyRotationChange {
    /// Whether data keys are rotated by themselves.
    pub enabled: Option<bool>,
    /// Records under one data key.
    pub max_operations: Option<u64>,
    /// Seconds of use; 0: no bound.
    pub interval: Option<u64>,
}

/// A setting that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum KeyRotationError {
    /// Too many or too few records.
    #[error("max_operations must be in the range [{MIN_OPERATIONS},{MAX_OPERATIONS}]")]
    Operations,
    /// Too short or too long.
    #[error("interval must be greater or equal to 24h0m0s, or 0 for none, and at most a thousand years")]
    Interval,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Serialize, Deserialize)]
struct Record {
    enabled: bool,
    max_operations: u64,
    interval: u64,
}

/// Puts what was configured in force on a store that was just opened.
pub(crate) async fn load(store: &Store) -> Result<(), StoreError> {
    if let Some(seen) = store.read::<Record>(keys::KEY_ROTATION).await? {
        let Record { enabled, max_operations, interval } = seen.value;
        store.barrier.set_key_rotation(KeyRotation { enabled, max_operations, interval });
    }
    Ok(())
}

impl Core {
    /// When data keys are rotated by themselves.
    #[must_use]
    pub fn key_rotation(&self, permit: Permit) -> KeyRotation {
        permit.spend();
        self.barrier().key_rotation()
    }

    /// Changes when data keys are rotated by themselves.
    ///
    /// # Errors
    /// When a setting is out of bounds, or the store fails; nothing has changed then.
    pub async fn configure_key_rotation(
        &self,
        permit: Permit,
        change: KeyRotationChange,
    ) -> Result<(), KeyRotationError> {
        permit.spend();
        let _lock = self.store().lock(keys::KEY_ROTATION).await;
        let now = self.barrier().key_rotation();
        let next = KeyRotation {
            enabled: change.enabled.unwrap_or(now.enabled),
            max_operations: change.max_operations.unwrap_or(now.max_operations),
            interval: change.interval.unwrap_or(now.interval),
        };
        if !(MIN_OPERATIONS..=MAX_OPERATIONS).contains(&next.max_operations) {
            return Err(KeyRotationError::Operations);
        }
        if next.interval != 0 && !(MIN_INTERVAL..=MAX_INTERVAL).contains(&next.interval) {
            return Err(KeyRotationError::Interval);
        }
        let KeyRotation { enabled, max_operations, interval } = next;
        self.store().write(keys::KEY_ROTATION.to_vec(), &Record { enabled, max_operations, interval }).await?;
        self.barrier().set_key_rotation(next);
        Ok(())
    }
}
