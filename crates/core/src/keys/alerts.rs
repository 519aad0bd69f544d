//! What alerts go by: notes of what they look at, and what fires.

use super::join;
use crate::{clock::Timestamp, storage::Key};

/// The prefix of the notes of secrets whose current version will be deleted.
pub(crate) fn kv_expiries(mount: &str) -> Key {
    join(&[b"kv/", mount.as_bytes(), b"/expiry/"])
}

pub(crate) fn kv_expiry(mount: &str, at: Timestamp, name: &str) -> Key {
    format!("kv/{mount}/expiry/{:016x}/{name}", at.as_second().max(0)).into_bytes()
}

/// The prefix of the notes of rotations that do not simply wait for their time.
pub(crate) const ROTATIONS_WATCHED: &[u8] = b"secret-rotation/watch/";

pub(crate) fn rotation_watched(mount: &str, name: &str) -> Key {
    join(&[ROTATIONS_WATCHED, mount.as_bytes(), b"/", name.as_bytes()])
}

/// The prefix of all alerts that fire.
pub(crate) const ALERTS: &[u8] = b"alert/";

pub(crate) fn alert(id: &str) -> Key {
    join(&[ALERTS, id.as_bytes()])
}
