//! Revoking by hand: one lease, all below a path, and by force.

use std::sync::Arc;

use super::{
    LeaseError, Leases,
    attempt::{Came, Why},
    ended::Swept,
    lookup::below,
};
use crate::{door::Permit, store::StoreError};

/// What was dropped by force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forced {
    /// Leases that are gone although their credentials could not be revoked.
    pub dropped: usize,
    /// Which was the first, and why.
    pub first: Option<String>,
}

impl Leases {
    /// Ends a lease: a token's with the token and its children, a credential's with the credential. One that is not
    /// there has ended already. `wait`: until the credential is revoked; otherwise it is written down and done soon.
    ///
    /// # Errors
    /// When no id is given, the store fails, or the credential could not be revoked, which is tried again then.
    pub async fn revoke(self: &Arc<Self>, permit: Permit, id: &str, wait: bool) -> Result<(), LeaseError> {
        permit.spend();
        if let Some((token, _)) = self.find_token(id).await? {
            self.tokens.revoke_tree(&token).await?;
            self.nudge();
            return Ok(());
        }
        self.end_one(id, wait).await
    }

    /// Ends all leases below the prefix that the permit's path names, or the one lease that has it as its id.
    ///
    /// # Errors
    /// When the store fails, or some could not be revoked; what was revoked by then stays revoked, the rest is tried
    /// again.
    pub async fn revoke_prefix(self: &Arc<Self>, permit: Permit, wait: bool) -> Result<(), LeaseError> {
        let prefix = below(&permit, &["leases/revoke-prefix/", "revoke-prefix/"]);
        permit.spend();
        if self.revoke_tokens(&prefix).await? {
            return Ok(());
        }
        if self.find(&prefix).await?.is_some() {
            return self.end_one(&prefix, wait).await;
        }
        let folder = folder(&prefix);
        if !wait {
            self.end_below(&folder, true).await?;
            self.nudge();
            return Ok(());
        }
        let Swept { failed, first, .. } = self.revoke_below(&folder, Why::Asked).await?;
        self.nudge();
        match first {
            Some(first) if failed > 0 => Err(LeaseError::SomeNotRevoked { failed, prefix, first }),
            _ => Ok(()),
        }
    }

    /// The same, but a lease goes even if its credential cannot be revoked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke_force(self: &Arc<Self>, permit: Permit) -> Result<Forced, LeaseError> {
        let prefix = below(&permit, &["leases/revoke-force/", "revoke-force/"]);
        permit.spend();
        if self.revoke_tokens(&prefix).await? {
            return Ok(Forced::default());
        }
        if self.find(&prefix).await?.is_some() {
            return Ok(match self.revoke_now(&prefix, Why::Forced).await? {
                Came::Dropped(reason) => Forced { dropped: 1, first: Some(format!("{prefix:?}: {reason}")) },
                _ => Forced::default(),
            });
        }
        let Swept { dropped, first, .. } = self.revoke_below(&folder(&prefix), Why::Forced).await?;
        self.nudge();
        Ok(Forced { dropped, first })
    }

    /// Revokes the token that has `prefix` as its lease's id, or else all whose leases are below it. Whether it was one.
    async fn revoke_tokens(self: &Arc<Self>, prefix: &str) -> Result<bool, LeaseError> {
        if let Some((token, _)) = self.find_token(prefix).await? {
            self.tokens.revoke_tree(&token).await?;
            self.nudge();
            return Ok(true);
        }
        self.tokens.revoke_issued_below(&folder(prefix)).await?;
        Ok(false)
    }

    async fn end_one(self: &Arc<Self>, id: &str, wait: bool) -> Result<(), LeaseError> {
        let now = self.store.now();
        self.change(id, |lease| lease.ended(now, true)).await?;
        if !wait {
            self.nudge();
            return Ok(());
        }
        match self.revoke_now(id, Why::Asked).await? {
            Came::Failed(reason) => Err(LeaseError::NotRevoked { id: id.to_owned(), reason }),
            Came::Nothing | Came::Revoked | Came::Dropped(_) => Ok(()),
        }
    }

    /// Removes what has ended, and ids that lead to no token; leases that could not be revoked are tried again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tidy(self: &Arc<Self>, permit: Permit) -> Result<(), LeaseError> {
        permit.spend();
        self.tokens.expire_due().await?;
        let dangling = self.tokens.drop_dangling_leases().await?;
        let again = self.retry_irrevocable().await?;
        self.nudge();
        tracing::info!(dangling, again, "leases tidied");
        Ok(())
    }

    async fn retry_irrevocable(&self) -> Result<usize, StoreError> {
        let ids = self.irrevocable_ids().await?;
        let now = self.store.now();
        for id in &ids {
            self.change(id, |lease| lease.ended(now, true)).await?;
        }
        Ok(ids.len())
    }
}

fn folder(prefix: &str) -> String {
    format!("{}/", prefix.trim_end_matches('/'))
}
