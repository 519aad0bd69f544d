//! Notes of when the version that readers get will be deleted, by time: so that it can be told of before.
//!
//! A note may outlive its reason (another version is current by now, the deletion was taken back); who reads it looks at
//! the secret, and it goes when its time has passed.

use super::{CURRENT, Secret};
use crate::{barrier::Batch, clock::Timestamp, keys, secret::SecretBytes};

/// Adds the note to a commit of the secret, if its current version will be deleted.
pub(super) fn note_end(batch: Batch, mount: &str, name: &str, secret: &Secret, now: Timestamp) -> Batch {
    let current = secret.staged(CURRENT).filter(|version| !version.destroyed);
    match current.and_then(|version| version.deletion_time).filter(|at| *at > now) {
        Some(at) => batch.put(keys::kv_expiry(mount, at, name), SecretBytes::new(vec![1])),
        None => batch,
    }
}
