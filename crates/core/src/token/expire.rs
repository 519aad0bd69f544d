//! What removes tokens that have ended. A token is refused from the second it ends, whether or not its record is
//! still there; this keeps the store small and takes children along.

use super::{TokenError, TokenId, Tokens};
use crate::{
    clock::Timestamp,
    door::Permit,
    keys,
    storage::Key,
    store::{PAGE, StoreError},
};

/// Pages of the index that one round reads.
const PAGES_PER_ROUND: usize = 16;

/// Tokens that one commit removes.
const CHUNK: usize = 64;

/// What a tidy found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tidied {
    /// Tokens that had ended and were removed.
    pub(crate) expired: usize,
    /// Index records that led nowhere.
    pub(crate) dangling: usize,
}

impl Tokens {
    /// Removes what has ended, on somebody's request.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tidy(&self, permit: Permit) -> Result<(), TokenError> {
        permit.spend();
        let tidied = self.expire_due().await?;
        tracing::info!(expired = tidied.expired, dangling = tidied.dangling, "tokens tidied");
        Ok(())
    }

    /// Removes tokens whose end has come. The index is ordered by time, so what is not due is not read. One round is
    /// bounded: what is left is due again in the next.
    pub(crate) async fn expire_due(&self) -> Result<Tidied, StoreError> {
        let mut tidied = Tidied::default();
        let now = self.store.now();
        for _ in 0..PAGES_PER_ROUND {
            let due = self.due(now.as_second()).await?;
            for chunk in due.chunks(CHUNK) {
                self.expire_chunk(chunk, now, &mut tidied).await?;
            }
            if due.len() < PAGE {
                break;
            }
        }
        Ok(tidied)
    }

    /// Tokens without children go together, in one commit with their index records; one with children goes with
    /// them. A record that cannot be read is passed over: it opens no door, and must not keep the others.
    async fn expire_chunk(
        &self,
        chunk: &[(Key, TokenId)],
        now: Timestamp,
        tidied: &mut Tidied,
    ) -> Result<(), StoreError> {
        let mut leaves = Vec::new();
        let index: Vec<Key> = chunk.iter().map(|(key, _)| key.clone()).collect();
        for (_, id) in chunk {
            match self.find(id).await {
                // Ended, or used up by a request that did not live to remove it.
                Ok(Some(seen)) if !seen.value.is_live(now) => {
                    tidied.expired += 1;
                    if self.has_children(id).await? {
                        self.revoke_tree(id).await?;
                    } else {
                        leaves.push(id.clone());
                    }
                }
                Ok(_) => tidied.dangling += 1,
                Err(error) => tracing::error!(%error, "a token's record cannot be read; it stays where it is"),
            }
        }
        self.remove(&leaves, &index).await?;
        // A child that was being created meanwhile.
        for id in leaves {
            if self.has_children(&id).await? {
                self.revoke_tree(&id).await?;
            }
        }
        Ok(())
    }

    async fn due(&self, now: i64) -> Result<Vec<(Vec<u8>, TokenId)>, StoreError> {
        let page = self.store.barrier.keys(keys::TOKEN_EXPIRY, None, PAGE).await?;
        let parse = |key: Vec<u8>| {
            let rest = std::str::from_utf8(&key[keys::TOKEN_EXPIRY.len()..]).ok()?;
            let (second, id) = rest.split_once('/')?;
            let second = i64::from_str_radix(second, 16).ok()?;
            // A token that ends within this second is left for the next round: its record is compared to the
            // nanosecond, its index to the second.
            (second < now).then(|| (key.clone(), TokenId(id.to_owned())))
        };
        Ok(page.into_iter().map_while(parse).collect())
    }
}
