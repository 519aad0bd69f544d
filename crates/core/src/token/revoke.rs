//! Revocation: a token and all that it created, or the token alone.

use super::{TokenError, TokenId, Tokens, Which};
use crate::{
    barrier::Batch,
    door::Permit,
    keys,
    store::{Store, StoreError},
};

/// Tokens that one commit removes.
const CHUNK: usize = 128;

impl Tokens {
    /// Revokes a token with its children. A token that is not there is no error: it is revoked already.
    ///
    /// # Errors
    /// When it is a batch token, or the store fails.
    pub async fn revoke(&self, permit: Permit, which: Which<'_>) -> Result<bool, TokenError> {
        permit.spend();
        match self.stored(which, "", "batch tokens cannot be revoked").await {
            Ok((id, _)) => {
                self.revoke_tree(&id).await?;
                Ok(true)
            }
            Err(TokenError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Revokes a token and makes its children orphans.
    ///
    /// # Errors
    /// When the caller has no sudo, or the token is not there or a batch token.
    pub async fn revoke_orphan(&self, permit: Permit, which: Which<'_>) -> Result<(), TokenError> {
        let sudo = permit.has_sudo();
        permit.spend();
        if !sudo {
            return Err(TokenError::invalid("root or sudo privileges required to revoke and orphan"));
        }
        let (id, _) = self.stored(which, "token to revoke not found", "batch tokens cannot be revoked").await?;
        loop {
            for child in self.children_of(&id).await? {
                self.orphan(&id, &child).await?;
            }
            self.remove(std::slice::from_ref(&id), &[]).await?;
            if self.children_of(&id).await?.is_empty() {
                return Ok(());
            }
        }
    }

    /// Removes the token and all below it, the youngest first: a crash in between leaves no child without a parent.
    pub(crate) async fn revoke_tree(&self, root: &TokenId) -> Result<(), StoreError> {
        let mut roots = vec![root.clone()];
        while !roots.is_empty() {
            let mut order = roots;
            let mut next = 0;
            while next < order.len() {
                let children = self.children_of(&order[next]).await?;
                order.extend(children);
                next += 1;
            }
            order.reverse();
            for chunk in order.chunks(CHUNK) {
                self.remove(chunk, &[]).await?;
            }
            // A child that was being created while its parent's children were read is found now; none can follow,
            // since a child is only written while its parent exists.
            roots = Vec::new();
            for gone in &order {
                roots.extend(self.children_of(gone).await?);
            }
        }
        Ok(())
    }

    async fn children_of(&self, id: &TokenId) -> Result<Vec<TokenId>, StoreError> {
        Ok(self.store.names(&keys::token_children(&id.0)).await?.into_iter().map(TokenId).collect())
    }

    async fn orphan(&self, parent: &TokenId, child: &TokenId) -> Result<(), StoreError> {
        let key = keys::token(&child.0);
        let _lock = self.store.lock(&key).await;
        let mut batch = Batch::new().delete(keys::token_child(&parent.0, &child.0));
        if let Some(mut seen) = self.find(child).await? {
            seen.value.parent = None;
            batch = batch.expect(key.clone(), Some(seen.revision)).put(key, Store::encode(&seen.value)?);
        }
        self.store.apply(batch).await
    }

    pub(super) async fn has_children(&self, id: &TokenId) -> Result<bool, StoreError> {
        let first = self.store.barrier.keys(&keys::token_children(&id.0), None, 1).await?;
        Ok(!first.is_empty())
    }
}
