//! Reading and writing the records of leases: the one place where they are committed, so that they are counted.

use super::{
    Leases,
    record::{Change, LeaseRecord},
};
use crate::{
    barrier::Batch,
    keys,
    storage::Commit,
    store::{Seen, StoreError},
};

impl Leases {
    /// The record of a credential's lease.
    pub(crate) async fn record(&self, id: &str) -> Result<Option<LeaseRecord>, StoreError> {
        Ok(self.find(id).await?.map(|seen| seen.value))
    }

    pub(super) async fn find(&self, id: &str) -> Result<Option<Seen<LeaseRecord>>, StoreError> {
        if id.is_empty() || id.len() > super::issue::MAX_ID {
            return Ok(None);
        }
        self.store.read(&keys::lease(id)).await
    }

    /// Commits changes, and what is in `batch` already, all or nothing.
    pub(super) async fn commit(&self, changes: &[Change], batch: Batch) -> Result<Commit, StoreError> {
        let mut batch = batch;
        for change in changes {
            batch = change.add_to(batch)?;
        }
        let _changing = self.census.changing().await;
        let committed = self.store.commit(batch).await?;
        if let Commit::Committed(_) = committed {
            self.census.note(changes);
        }
        Ok(committed)
    }

    /// Changes a lease as `step` says, however often others change it meanwhile. Answers the record as it was written;
    /// `None`: there is none, or nothing to change.
    pub(super) async fn change(
        &self,
        id: &str,
        step: impl Fn(&LeaseRecord) -> Option<LeaseRecord> + Send,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        loop {
            let Some(seen) = self.find(id).await? else { return Ok(None) };
            let Some(after) = step(&seen.value) else { return Ok(None) };
            let change = Change::update(seen, after);
            if let Commit::Committed(_) = self.commit(std::slice::from_ref(&change), Batch::new()).await? {
                return Ok(change.after);
            }
        }
    }
}
