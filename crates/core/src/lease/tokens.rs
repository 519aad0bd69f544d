//! Tokens' leases: each that ends has one.
//!
//! ```text
//! auth/userpass/login/ann / h5d41…
//! the path that issued it  h and the token's keyed hash, in hex
//! ```
//!
//! Tokens that never end, and batch tokens, have none. The index `token/lease/` holds the ids in order, and changes in
//! one commit with the token, so that a prefix is listed and revoked without reading the other tokens.

use super::{LeaseError, Leases};
use crate::{
    barrier::Batch,
    keys,
    storage::Key,
    store::{PAGE, Store, StoreError},
    token::{Entry, MAX_ISSUER_PATH, TokenId, Tokens},
};

/// The length of a keyed hash in hex.
const HASH_CHARS: usize = 64;

impl Leases {
    /// The live token that a lease id is of.
    pub(super) async fn find_token(&self, id: &str) -> Result<Option<(TokenId, Entry)>, LeaseError> {
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
    pub(super) async fn drop_dangling_leases(&self) -> Result<usize, StoreError> {
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
