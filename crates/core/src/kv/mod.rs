//! Secrets: versioned ones ([`Kv`]'s main part) and, for KV v1 mounts, plain ones.
//!
//! The name of a secret always comes from the permit's path, so an operation cannot touch another secret than the
//! one that the policy was asked about.

mod access;
mod config;
mod diff;
mod expiry;
mod fields;
mod fingerprint;
mod flat;
mod history;
pub mod json;
mod json_check;
mod labelled;
mod lifecycle;
mod link;
mod metadata;
mod ordered;
mod payload;
mod read;
pub(crate) mod relocate;
mod replica;
mod rotating;
mod rotation;
mod secret;
mod staging;
mod tags;
mod versions;
mod write;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

pub use config::MountSettings;
pub use diff::{Change, DiffError, FieldDiff, VersionDiff};
pub(crate) use fields::{FieldsCommit, Held};
pub use fingerprint::Fingerprint;
pub(crate) use flat::flat_payload;
pub(crate) use history::names_and_values;
pub use history::{FieldChange, FieldValue};
pub use labelled::{Changed, MAX_STAGES, PutVersion, Restriction, SecretChange, SecretError, Select, Verdict};
pub use lifecycle::RotationChange;
pub use link::{Followed, Follower, Link, LinkState};
pub use metadata::{MetadataChange, SecretView};
pub use ordered::{Browse, Order, Position, Step};
pub use payload::Payload;
pub use read::{Reading, VersionView};
pub use replica::{NewReplica, Replica};
pub(crate) use rotating::RotatingError;
pub use rotation::RotationSettings;
pub use secret::{CURRENT, DEFAULT_MAX_VERSIONS, PENDING, PREVIOUS, Recovery, Secret, Version, VersionState};
pub use tags::MAX_TAGS;
pub use write::NewVersion;

use crate::{
    consumers::{Consumers, Reader},
    door::Permit,
    keys,
    mount::{Engine, Mount},
    storage::Key,
    store::{Seen, Store, StoreError},
};

/// The longest name of a secret, in bytes.
pub const MAX_NAME_LEN: usize = 1024;

/// The largest payload, in bytes: that of Vault's default storage limit.
pub const MAX_PAYLOAD_LEN: usize = 1 << 20;

/// An operation on a secret failed.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// The name cannot be a secret's.
    #[error("{name:?} cannot be the name of a secret: {reason}")]
    InvalidName {
        /// The name, cut to 80 characters.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The path is none of this engine's.
    #[error("unsupported path")]
    UnsupportedPath,
    /// The version that the writer wanted to replace is not the current one.
    #[error("check-and-set parameter did not match the current version")]
    CasMismatch,
    /// The writer must say which version it replaces.
    #[error("check-and-set parameter required for this call")]
    CasRequired,
    /// Another request made or removed the secret meanwhile, and the caller may not do what this has become.
    #[error("permission denied")]
    Denied,
    /// The payload is too large.
    #[error("the secret has {0} bytes, more than the {MAX_PAYLOAD_LEN} that one may have: keep large files elsewhere")]
    TooLarge(usize),
    /// There is no such secret or version to change.
    #[error("no value found")]
    NotFound,
    /// The request is not possible; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All secrets of all mounts.
pub struct Kv {
    store: Arc<Store>,
    /// Secrets whose first read of the day is yet to be written down: mount and name.
    accessed: Mutex<HashSet<(String, String)>>,
    /// Secrets in other orders than that of their names, for listings that want one.
    orders: tokio::sync::Mutex<ordered::Orders>,
    consumers: Arc<Consumers>,
}

impl Kv {
    pub(crate) fn new(store: Arc<Store>, consumers: Arc<Consumers>) -> Self {
        let orders = tokio::sync::Mutex::new(ordered::Orders::following(&*store.barrier));
        Self { store, accessed: Mutex::default(), orders, consumers }
    }

    /// Whether a write to this path would change something that is there.
    pub(crate) async fn exists(&self, mount: &Mount, rest: &str) -> Result<bool, StoreError> {
        let key = match (mount.engine, rest.split_once('/')) {
            (Engine::Kv1, _) => keys::kv_flat(&mount.uuid, rest),
            // No secret's name ends with a slash, but a project's place does.
            (_, Some(("metadata", name))) if name.ends_with('/') => {
                keys::project(&mount.uuid, name.trim_end_matches('/'))
            }
            (_, Some(("data" | "metadata", name))) => keys::kv_meta(&mount.uuid, name),
            // The engine has no say for its other paths: a write is an update.
            _ => return Ok(true),
        };
        if key.len() > crate::storage::MAX_KEY_LEN {
            return Ok(false);
        }
        Ok(self.store.barrier.get(&key).await.map_err(StoreError::from)?.is_some())
    }

    /// The secret that a permit is for, below one of the engine's areas (`data`, `metadata`, …).
    fn locate(permit: &Permit, areas: &[&str]) -> Result<Place, KvError> {
        if permit.mount().engine != Engine::Kv2 {
            return Err(KvError::UnsupportedPath);
        }
        let (area, name) = permit.rest().split_once('/').ok_or(KvError::UnsupportedPath)?;
        if !areas.contains(&area) {
            return Err(KvError::UnsupportedPath);
        }
        check_name(name)?;
        Ok(Place::new(Arc::clone(permit.mount()), name.to_owned()))
    }

    async fn find(&self, place: &Place) -> Result<Option<Seen<Secret>>, StoreError> {
        self.store.read(&place.key()).await
    }
}

fn check_size(payload: &[u8]) -> Result<(), KvError> {
    if payload.len() > MAX_PAYLOAD_LEN { Err(KvError::TooLarge(payload.len())) } else { Ok(()) }
}

/// Where a secret is.
struct Place {
    mount: Arc<Mount>,
    name: String,
    /// The mount that has its records, by its uuid, if that is another.
    held_by: Option<String>,
}

impl Place {
    fn new(mount: Arc<Mount>, name: String) -> Self {
        Self { mount, name, held_by: None }
    }

    fn uuid(&self) -> &str {
        self.held_by.as_deref().unwrap_or(&self.mount.uuid)
    }

    fn key(&self) -> Key {
        keys::kv_meta(self.uuid(), &self.name)
    }

    fn data_key(&self, version: u64) -> Key {
        keys::kv_data(self.uuid(), &self.name, version)
    }
}

const REPLICA: &str = "the secret is a replica of one in another mount: change that one";

/// Whether a secret can be changed through this mount now.
fn check_changeable(secret: &Secret) -> Result<(), KvError> {
    if secret.origin.is_some() {
        return Err(KvError::Invalid(REPLICA.to_owned()));
    }
    if secret.recovery.is_some() {
        return Err(KvError::Invalid("the secret is scheduled for deletion: undelete it first".to_owned()));
    }
    Ok(())
}

/// Checks a name: 1 to [`MAX_NAME_LEN`] bytes, segments of visible text between single slashes, none of them dots. One
/// slash may stand in front, as clients of AWS like to have it; a path of Vault's cannot name such a secret.
pub(crate) fn check_name(name: &str) -> Result<(), KvError> {
    let mut segments = name.strip_prefix('/').unwrap_or(name).split('/');
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME_LEN {
        "it is longer than 1024 bytes"
    } else if name.chars().any(char::is_control) {
        "it has control characters"
    } else {
        match segments.find(|segment| matches!(*segment, "" | "." | "..")) {
            None => return Ok(()),
            Some("") => "it ends with a slash or has two in a row",
            Some(_) => "it has a segment of dots",
        }
    };
    Err(KvError::InvalidName { name: name.chars().take(80).collect(), reason })
}

/// Checks the prefix of a listing: empty, or a name that ends with a slash.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), KvError> {
    match prefix.strip_suffix('/') {
        None if prefix.is_empty() => Ok(()),
        None => Err(KvError::UnsupportedPath),
        Some(folder) => check_name(folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_mislead_are_refused() {
        for name in ["", "a//b", "//a", "/", "a/", "a/../b", ".", "a\0b", "a\nb", &"x".repeat(1025)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["a", "/a", "a/b c", "…/ü", "a.b/..c", &"x".repeat(1024)] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }
}
