//! Storage before whose commits a test does something, as if somebody else had been a moment faster.

use std::sync::{Arc, Mutex, PoisonError};

use keyturn_core::storage::{
    BoxFuture, ChangeFeed, Commit, Entry, Key, Replacement, Revision, Storage, StorageError, Transaction, View,
};

/// What is done before a commit.
type Act = BoxFuture<'static, ()>;

/// Storage over another. Clones are of the same.
#[derive(Clone)]
pub struct InterposedStorage {
    below: Arc<dyn Storage>,
    act: Arc<Mutex<Option<Act>>>,
}

impl InterposedStorage {
    /// Storage over `below`.
    #[must_use]
    pub fn new(below: Arc<dyn Storage>) -> Self {
        Self { below, act: Arc::default() }
    }

    /// Does `act`, once, when the next commit has been decided on and is not carried out yet.
    pub fn before_next(&self, act: impl Future<Output = ()> + Send + 'static) {
        *self.act.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(act));
    }

    /// Whether what was to be done has been.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.act.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl Storage for InterposedStorage {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Entry>, StorageError>> {
        self.below.get(key)
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Entry)>, StorageError>> {
        self.below.scan(prefix, after, limit)
    }

    fn keys<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Key>, StorageError>> {
        self.below.keys(prefix, after, limit)
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, StorageError>> {
        Box::pin(async move {
            let act = self.act.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(act) = act {
                act.await;
            }
            self.below.commit(transaction).await
        })
    }

    fn view(&self) -> BoxFuture<'_, Result<Box<dyn View>, StorageError>> {
        self.below.view()
    }

    fn replace(&self, content: Replacement) -> BoxFuture<'_, Result<Revision, StorageError>> {
        self.below.replace(content)
    }

    fn changes(&self) -> ChangeFeed {
        self.below.changes()
    }

    fn kind(&self) -> &'static str {
        self.below.kind()
    }
}
