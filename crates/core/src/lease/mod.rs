//! Leases: promises that a credential is good until a time. Tokens that end have one each; other credentials will have
//! theirs in the same tree of ids.
//!
//! ```text
//! auth/userpass/login/ann / h5d41…
//! the path that issued it  h and the token's keyed hash, in hex
//! ```
//!
//! Tokens that never end, and batch tokens, have none. The index `token/lease/` holds the ids in order, and changes in
//! one commit with the token, so that a prefix is listed and revoked without reading the other tokens.

use std::sync::Arc;

use crate::{
    barrier::Batch,
    clock::{Timestamp, seconds_until},
    door::Permit,
    keys,
    storage::Key,
    store::{PAGE, Store, StoreError},
    token::{Entry, MAX_ISSUER_PATH, TokenId, Tokens},
};

/// The length of a keyed hash in hex.
const HASH_CHARS: usize = 64;

/// A lease operation failed.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// No id was given.
    #[error("lease_id must be specified")]
    MissingId,
    /// There is no such lease, or it has ended.
    #[error("invalid lease")]
    Unknown,
    /// There is no such lease to renew.
    #[error("lease not found")]
    NotFound,
    /// It cannot be renewed at all.
    #[error("lease is not renewable")]
    NotRenewable,
    /// It is a token's.
    #[error("tokens cannot be renewed through this endpoint")]
    IsToken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is known of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its id.
    pub id: String,
    /// When it began.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// When it was last renewed.
    pub last_renewal: Option<Timestamp>,
    /// Whether it may be renewed.
    pub renewable: bool,
    /// Seconds left.
    pub ttl: u64,
}

/// All leases.
pub struct Leases {
    store: Arc<Store>,
    tokens: Arc<Tokens>,
}

impl Leases {
    pub(crate) fn new(store: Arc<Store>, tokens: Arc<Tokens>) -> Self {
        Self { store, tokens }
    }

    /// What is known of a lease that has not ended.
    ///
    /// # Errors
    /// When there is none of that id.
    pub async fn lookup(&self, permit: Permit, id: &str) -> Result<Lease, LeaseError> {
        permit.spend();
        let (_, entry) = self.find(id).await?.ok_or(LeaseError::Unknown)?;
        Ok(Lease {
            id: id.to_owned(),
            issued: entry.created,
            expires: entry.expires,
            last_renewal: entry.last_renewal,
            renewable: entry.renewable,
            ttl: entry.expires.map_or(0, |end| seconds_until(self.store.now(), end)),
        })
    }

    /// The ids, or their first segments with a trailing slash, directly below the prefix that the permit's path names
    /// (`sys/leases/lookup/<prefix>/`).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, permit: Permit) -> Result<Vec<String>, LeaseError> {
        let prefix = below(&permit, &["leases/lookup/"]);
        Ok(self.store.children(&keys::join(&[keys::TOKEN_LEASES, prefix.as_bytes()])).await?)
    }

    /// Renews a lease. A token's is renewed as a token, not here.
    ///
    /// # Errors
    /// When there is none of that id, or it is a token's.
    pub async fn renew(&self, permit: Permit, id: &str) -> Result<Lease, LeaseError> {
        permit.spend();
        let (_, entry) = self.find(id).await?.ok_or(LeaseError::NotFound)?;
        Err(if entry.renewable { LeaseError::IsToken } else { LeaseError::NotRenewable })
    }

    /// Ends a lease, with the children of the token that it is of. One that is not there has ended already.
    ///
    /// # Errors
    /// When no id is given, or the store fails.
    pub async fn revoke(&self, permit: Permit, id: &str) -> Result<(), LeaseError> {
        permit.spend();
        match self.find(id).await? {
            Some((token, _)) => Ok(self.tokens.revoke_tree(&token).await?),
            None => Ok(()),
        }
    }

    /// Ends all leases below the prefix that the permit's path names, or the one lease that has it as its id.
    ///
    /// # Errors
    /// When the store fails; what was revoked by then stays revoked.
    pub async fn revoke_prefix(&self, permit: Permit) -> Result<(), LeaseError> {
        const AREAS: &[&str] = &["leases/revoke-prefix/", "leases/revoke-force/", "revoke-prefix/", "revoke-force/"];
        let prefix = below(&permit, AREAS);
        permit.spend();
        if let Some((token, _)) = self.find(&prefix).await? {
            return Ok(self.tokens.revoke_tree(&token).await?);
        }
        Ok(self.tokens.revoke_issued_below(&format!("{}/", prefix.trim_end_matches('/'))).await?)
    }

    /// Removes what has ended, and ids that lead to no token; answers how many of those there were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tidy(&self, permit: Permit) -> Result<(), LeaseError> {
        permit.spend();
        self.tokens.expire_due().await?;
        let dangling = self.tokens.drop_dangling_leases().await?;
        tracing::info!(dangling, "leases tidied");
        Ok(())
    }

    /// The live token that a lease id is of.
    async fn find(&self, id: &str) -> Result<Option<(TokenId, Entry)>, LeaseError> {
        if id.is_empty() {
            return Err(LeaseError::MissingId);
        }
        let Some((path, token)) = parse(id) else { return Ok(None) };
        let Some(seen) = self.tokens.find(&token).await? else { return Ok(None) };
        let entry = seen.value;
        let live = entry.path == path && entry.expires.is_some() && entry.is_live(self.store.now());
        Ok(live.then_some((token, entry)))
    }
}

/// The path that a lease id begins with, and the token that it names.
fn parse(id: &str) -> Option<(&str, TokenId)> {
    let (path, last) = id.rsplit_once('/')?;
    let hash = last.strip_prefix('h')?;
    let is_hash = hash.len() == HASH_CHARS && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hash.then(|| (path, TokenId(hash.to_owned())))
}

/// What follows one of `areas` in the permit's path below its mount.
fn below(permit: &Permit, areas: &[&str]) -> String {
    areas.iter().find_map(|area| permit.rest().strip_prefix(area)).unwrap_or_default().to_owned()
}

impl Tokens {
    /// Revokes all tokens that were issued below `prefix`, which ends with a slash, with their children.
    pub(crate) async fn revoke_issued_below(&self, prefix: &str) -> Result<(), StoreError> {
        let below = keys::join(&[keys::TOKEN_LEASES, prefix.as_bytes()]);
        loop {
            let page = self.store().barrier.keys(&below, None, PAGE).await?;
            for (_, token) in page.iter().filter_map(|key| of_key(key)) {
                self.revoke_tree(&token).await?;
            }
            // Gone with their tokens but for those that led nowhere.
            self.store().apply(page.iter().cloned().fold(Batch::new(), Batch::delete)).await?;
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Completes the index of leases of a store that was written before there was one.
    pub(crate) async fn index_leases(&self) -> Result<(), StoreError> {
        let store = self.store();
        if store.barrier.get(keys::TOKEN_LEASES_INDEXED).await?.is_some() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for (id, entry) in store.read_all::<Entry>(keys::TOKENS).await? {
            if entry.expires.is_some() && entry.path.len() <= MAX_ISSUER_PATH {
                let key = keys::token_lease(&entry.path, &String::from_utf8_lossy(&id));
                batch = batch.put(key, Store::encode(&())?);
            }
            if batch.writes.len() >= PAGE {
                store.apply(std::mem::take(&mut batch)).await?;
            }
        }
        store.apply(batch.put(keys::TOKEN_LEASES_INDEXED, Store::encode(&())?)).await
    }

    /// Removes ids from the index that lead to no token of that path; answers how many.
    async fn drop_dangling_leases(&self) -> Result<usize, StoreError> {
        let (mut dropped, mut after) = (0, None::<Key>);
        loop {
            let page = self.store().barrier.keys(keys::TOKEN_LEASES, after.as_deref(), PAGE).await?;
            let mut batch = Batch::new();
            for key in &page {
                let found = match of_key(key) {
                    Some((path, token)) => self.find(&token).await?.is_some_and(|seen| seen.value.path == path),
                    None => false,
                };
                if !found {
                    batch = batch.delete(key.clone());
                }
            }
            dropped += batch.writes.len();
            if !batch.writes.is_empty() {
                self.store().apply(batch).await?;
            }
            if page.len() < PAGE {
                return Ok(dropped);
            }
            after = page.last().cloned();
        }
    }
}

fn of_key(key: &[u8]) -> Option<(&str, TokenId)> {
    parse(std::str::from_utf8(key.get(keys::TOKEN_LEASES.len()..)?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_path_and_a_hash() {
        let hash = "0f".repeat(32);
        let id = format!("auth/userpass/login/ann/h{hash}");
        assert_eq!(parse(&id), Some(("auth/userpass/login/ann", TokenId(hash.clone()))));
        for id in [
            "",
            "h",
            &format!("h{hash}"),
            &format!("auth/x/{hash}"),
            &format!("auth/x/h{hash}0"),
            &format!("auth/x/h{}", "0F".repeat(32)),
            &format!("auth/x/h{hash}/"),
        ] {
            assert_eq!(parse(id), None, "{id}");
        }
    }
}
