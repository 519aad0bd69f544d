//! What removes tokens that have ended. A token is refused from the second it ends, whether or not its record is
//! still there; this keeps the store small and takes children along.

use super::{TokenError, TokenId, Tokens};
use crate::{
    barrier::Batch,
    door::Permit,
    keys,
    store::{PAGE, StoreError},
};

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

    /// Removes tokens whose end has come. The index is ordered by time, so what is not due is not read.
    pub(crate) async fn expire_due(&self) -> Result<Tidied, StoreError> {
        let mut tidied = Tidied::default();
        let now = self.store.now();
        loop {
            let due = self.due(now.as_second()).await?;
            for (key, id) in &due {
                let ended = self.find(id).await?.filter(|seen| seen.value.expires.is_some_and(|end| end <= now));
                if ended.is_some() {
                    self.revoke_tree(id).await?;
                    tidied.expired += 1;
                } else {
                    tidied.dangling += 1;
                }
                self.store.apply(Batch::new().delete(key.clone())).await?;
            }
            if due.len() < PAGE {
                return Ok(tidied);
            }
        }
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
