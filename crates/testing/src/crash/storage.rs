//! The storage of a process that may die.

use std::sync::Arc;

use keyturn_core::storage::{
    BoxFuture, ChangeFeed, Commit, Entry, Key, Replacement, Revision, Storage, StorageError, Transaction, View,
};

use super::{Faults, Place};

/// Reads while the process lives; each commit is a step.
pub struct MortalStorage {
    below: Arc<dyn Storage>,
    faults: Faults,
}

impl MortalStorage {
    /// Storage over `below`, which outlives the process.
    #[must_use]
    pub fn new(below: Arc<dyn Storage>, faults: Faults) -> Self {
        Self { below, faults }
    }

    fn look(&self) -> Result<(), StorageError> {
        if self.faults.is_dead() { Err(dead()) } else { Ok(()) }
    }
}

fn dead() -> StorageError {
    StorageError::Engine { doing: "a test", reason: "the process is dead".to_owned() }
}

impl Storage for MortalStorage {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Entry>, StorageError>> {
        Box::pin(async move {
            self.look()?;
            self.below.get(key).await
        })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Entry)>, StorageError>> {
        Box::pin(async move {
            self.look()?;
            self.below.scan(prefix, after, limit).await
        })
    }

    fn keys<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Key>, StorageError>> {
        Box::pin(async move {
            self.look()?;
            self.below.keys(prefix, after, limit).await
        })
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, StorageError>> {
        Box::pin(async move {
            let commit = async { self.below.commit(transaction).await };
            self.faults.take(Place::Commit, commit).await.ok_or_else(dead)?
        })
    }

    fn view(&self) -> BoxFuture<'_, Result<Box<dyn View>, StorageError>> {
        Box::pin(async move {
            self.look()?;
            self.below.view().await
        })
    }

    fn replace(&self, content: Replacement) -> BoxFuture<'_, Result<Revision, StorageError>> {
        Box::pin(async move {
            let replace = async { self.below.replace(content).await };
            self.faults.take(Place::Commit, replace).await.ok_or_else(dead)?
        })
    }

    fn changes(&self) -> ChangeFeed {
        self.below.changes()
    }

    fn kind(&self) -> &'static str {
        self.below.kind()
    }
}
