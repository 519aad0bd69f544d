//! Which versions of the server have opened the store, and when each did first.

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::{
    clock::{self, Timestamp},
    door::Permit,
    keys,
    store::StoreError,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A version of the server that has opened the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedBy {
    /// The server's own version, `0.1.0`.
    pub version: String,
    /// When it opened the store first.
    pub first: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(with = "clock::nanos")]
    first: Timestamp,
}

impl Settings {
    /// All versions that have opened the store, the earliest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn versions(&self, permit: Permit) -> Result<Vec<OpenedBy>, StoreError> {
        permit.spend();
        let stored = self.store.read_all::<Record>(keys::VERSIONS).await?;
        let told = |(name, record): (Vec<u8>, Record)| OpenedBy {
            version: String::from_utf8_lossy(&name).into_owned(),
            first: record.first,
        };
        let mut versions: Vec<OpenedBy> = stored.into_iter().map(told).collect();
        versions.sort_by_key(|opened| opened.first);
        Ok(versions)
    }

    /// Notes that this version has the store open, the first time.
    pub(super) async fn note_version(&self) -> Result<(), StoreError> {
        let key = keys::version(VERSION);
        if self.store.barrier.get(&key).await?.is_none() {
            self.store.write(key, &Record { first: self.store.now() }).await?;
        }
        Ok(())
    }
}
