//! A store behind a fuse.

use std::sync::Arc;

use keyturn_core::storage::{
    BoxFuture, ChangeFeed, Commit, Entry, Key, Replacement, Revision, Storage, StorageError, Transaction, View,
};

use super::{Crashed, Fuse};

/// Reads while the process lives; a commit is two steps.
pub struct FusedStorage {
    inner: Arc<dyn Storage>,
    fuse: Arc<Fuse>,
}

impl FusedStorage {
    /// Puts `fuse` before `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Storage>, fuse: Arc<Fuse>) -> Self {
        Self { inner, fuse }
    }
}

fn killed(_: Crashed) -> StorageError {
    StorageError::Engine { doing: "being killed", reason: Crashed.to_string() }
}

impl Storage for FusedStorage {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Entry>, StorageError>> {
        Box::pin(async move {
            self.fuse.look().map_err(killed)?;
            self.inner.get(key).await
        })
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Entry)>, StorageError>> {
        Box::pin(async move {
            self.fuse.look().map_err(killed)?;
            self.inner.scan(prefix, after, limit).await
        })
    }

    fn keys<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Key>, StorageError>> {
        Box::pin(async move {
            self.fuse.look().map_err(killed)?;
            self.inner.keys(prefix, after, limit).await
        })
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, StorageError>> {
        Box::pin(async move { self.fuse.act(self.inner.commit(transaction)).await.map_err(killed)? })
    }

    fn view(&self) -> BoxFuture<'_, Result<Box<dyn View>, StorageError>> {
        Box::pin(async move {
            self.fuse.look().map_err(killed)?;
            self.inner.view().await
        })
    }

    fn replace(&self, content: Replacement) -> BoxFuture<'_, Result<Revision, StorageError>> {
        Box::pin(async move { self.fuse.act(self.inner.replace(content)).await.map_err(killed)? })
    }

    fn changes(&self) -> ChangeFeed {
        self.inner.changes()
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }
}
