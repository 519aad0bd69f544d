//! Entries of tokens that are in use, as they were decoded.
//!
//! An entry holds no secret: the token itself is stored nowhere. It is taken from here only for the revision that the
//! barrier holds at that moment, so it is never older than what a read would find. Whether the token is still good, from
//! where and for how many requests is decided anew for each request.

use std::sync::Arc;

use foldhash::quality::RandomState;
use quick_cache::{
    UnitWeighter,
    sync::{Cache, DefaultLifecycle},
};

use super::{Entry, TokenId};
use crate::storage::Revision;

/// Entries that are kept: some 1 KiB each.
const KEPT: usize = 8 * 1024;

/// The most names and texts that an entry may have in order to be kept: one with more may be large.
const MAX_PARTS: usize = 64;

pub(super) struct Decoded(Cache<TokenId, (Revision, Arc<Entry>), UnitWeighter, RandomState>);

impl Decoded {
    pub(super) fn new() -> Self {
        let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
        Self(Cache::with(KEPT, KEPT as u64, UnitWeighter, hasher, lifecycle))
    }

    /// The entry as of `revision`.
    pub(super) fn get(&self, id: &TokenId, revision: Revision) -> Option<Arc<Entry>> {
        let (kept, entry) = self.0.get(id)?;
        (kept == revision).then_some(entry)
    }

    /// Keeps what was read at `revision`.
    pub(super) fn keep(&self, id: &TokenId, revision: Revision, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(entry);
        if entry.policies.len() + entry.meta.len() <= MAX_PARTS {
            self.0.insert(id.clone(), (revision, Arc::clone(&entry)));
        }
        entry
    }
}
