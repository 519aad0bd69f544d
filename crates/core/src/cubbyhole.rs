//! Cubbyholes: what a token keeps for itself. Nobody else gets at it, root included, and it goes with the token.
//!
//! An entry lies under the keyed hash of its token, which comes from the permit's caller and from nowhere else. A write
//! also writes the token's record, unchanged, so that the token's removal, which names that record's revision, cannot
//! miss an entry that is written at the same moment.

use std::sync::Arc;

use crate::{
    barrier::Batch,
    door::{Caller, Permit},
    keys,
    kv::{self, KvError},
    mount::Engine,
    secret::SecretBytes,
    storage::Commit,
    store::{Store, StoreError},
    token::{TokenKind, Tokens},
    wrapping,
};

/// Entries of one cubbyhole at the most: they are removed in one commit with their token.
pub const MAX_ENTRIES: usize = 1024;

/// An operation on a cubbyhole failed.
#[derive(Debug, thiserror::Error)]
pub enum CubbyholeError {
    /// The caller's token is not stored, so nothing can be kept with it.
    #[error("cubbyhole operations are only supported by \"service\" type tokens")]
    BatchToken,
    /// The token ended meanwhile, or may not do what this has become.
    #[error("permission denied")]
    Denied,
    /// The cubbyhole is full.
    #[error("a cubbyhole has at most {MAX_ENTRIES} entries: delete some, or use a kv mount")]
    Full,
    /// The name or the payload is not possible.
    #[error(transparent)]
    Entry(#[from] KvError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All cubbyholes.
pub struct Cubbyhole {
    store: Arc<Store>,
    tokens: Arc<Tokens>,
}

impl Cubbyhole {
    pub(crate) fn new(store: Arc<Store>, tokens: Arc<Tokens>) -> Self {
        Self { store, tokens }
    }

    /// Whether a write to `name` by `caller` would change something that is there.
    pub(crate) async fn exists(&self, caller: &Caller, name: &str) -> Result<bool, StoreError> {
        if caller.entry().is_wrapping() || kv::check_name(name).is_err() {
            return Ok(true);
        }
        let key = keys::cubbyhole_entry(&caller.id().0, name);
        Ok(self.store.barrier.get(&key).await?.is_some())
    }

    /// An entry of the caller's: the text of a JSON object.
    ///
    /// # Errors
    /// When the caller's is a batch token, the name is unfit, or the store fails.
    pub async fn read(&self, permit: Permit) -> Result<Option<SecretBytes>, CubbyholeError> {
        let (caller, name) = owner(&permit)?;
        permit.spend();
        if caller.entry().is_wrapping() {
            let answer =
                if name == wrapping::RESPONSE { wrapping::read(&self.store, caller.id()).await? } else { None };
            return Ok(answer.map(|answer| answer.as_entry()));
        }
        kv::check_name(&name)?;
        let record = self.store.barrier.get(&keys::cubbyhole_entry(&caller.id().0, &name)).await;
        Ok(record.map_err(StoreError::from)?.map(|record| record.plaintext))
    }

    /// Replaces an entry of the caller's by `fields`, the text of a JSON object.
    ///
    /// # Errors
    /// When the caller's is a batch token, the name or the fields are unfit, the cubbyhole is full, the token has ended
    /// meanwhile, or the store fails.
    pub async fn write(&self, permit: Permit, fields: &SecretBytes) -> Result<(), CubbyholeError> {
        let (caller, name) = owner(&permit)?;
        kv::check_name(&name)?;
        let fields = kv::flat_payload(fields)?;
        if caller.entry().is_wrapping() {
            return Err(CubbyholeError::Denied);
        }
        let (token, key) = (keys::token(&caller.id().0), keys::cubbyhole_entry(&caller.id().0, &name));
        let _lock = self.store.lock(&token).await;
        loop {
            let seen = self.tokens.find(caller.id()).await?.ok_or(CubbyholeError::Denied)?;
            let there = self.store.barrier.get(&key).await.map_err(StoreError::from)?.map(|record| record.revision);
            if !permit.still_fits(there.is_some()) {
                return Err(CubbyholeError::Denied);
            }
            if there.is_none() && self.is_full(&caller).await? {
                return Err(CubbyholeError::Full);
            }
            let batch = Batch::new()
                .expect(token.clone(), Some(seen.revision))
                .put(token.clone(), Store::encode(&seen.value)?)
                .expect(key.clone(), there)
                .put(key.clone(), fields.clone());
            if let Commit::Committed(_) = self.store.commit(batch).await? {
                permit.spend();
                return Ok(());
            }
        }
    }

    /// Removes an entry of the caller's. One that is not there is no error.
    ///
    /// # Errors
    /// When the caller's is a batch token, the name is unfit, or the store fails.
    pub async fn delete(&self, permit: Permit) -> Result<(), CubbyholeError> {
        let (caller, name) = owner(&permit)?;
        permit.spend();
        kv::check_name(&name)?;
        Ok(self.store.delete(keys::cubbyhole_entry(&caller.id().0, &name)).await?)
    }

    /// The names directly below a folder of the caller's; folders end with a slash.
    ///
    /// # Errors
    /// When the caller's is a batch token, the name is unfit, or the store fails.
    pub async fn list(&self, permit: Permit) -> Result<Vec<String>, CubbyholeError> {
        let (caller, folder) = owner(&permit)?;
        permit.spend();
        kv::check_prefix(&folder)?;
        Ok(self.store.children(&keys::cubbyhole_entry(&caller.id().0, &folder)).await?)
    }

    async fn is_full(&self, caller: &Caller) -> Result<bool, StoreError> {
        let taken = self.store.barrier.keys(&keys::cubbyhole(&caller.id().0), None, MAX_ENTRIES).await?;
        Ok(taken.len() >= MAX_ENTRIES)
    }
}

/// Whose cubbyhole a permit is for, and the name in it.
fn owner(permit: &Permit) -> Result<(Arc<Caller>, String), CubbyholeError> {
    if permit.mount().engine != Engine::Cubbyhole {
        return Err(KvError::UnsupportedPath.into());
    }
    let caller = permit.caller().ok_or(CubbyholeError::Denied)?;
    if caller.entry().kind == TokenKind::Batch {
        return Err(CubbyholeError::BatchToken);
    }
    Ok((Arc::clone(caller), permit.rest().to_owned()))
}
