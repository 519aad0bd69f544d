//! Tokens that nobody knows: what an access key rests on.

use super::{
    CreateToken, Entry, TokenError, TokenId, TokenKind, Tokens,
    create::{check_bounds, check_parent, check_root, draft},
};
use crate::{door::Caller, secret::SecretBytes, storage::Key, store::StoreError};

impl Tokens {
    /// A token with some of the caller's rights and without a parent, by the rules of `auth/token/create`: its entry,
    /// and what there is to say about it.
    pub(crate) fn draft_orphan(
        &self,
        ask: &CreateToken,
        caller: &Caller,
        sudo: bool,
        path: String,
    ) -> Result<(Entry, Vec<String>), TokenError> {
        check_parent(caller)?;
        check_bounds(ask)?;
        let policies = self.policies_of(ask, None, caller, sudo)?;
        check_root(&policies, caller, TokenKind::Service)?;
        let mut warnings = Vec::new();
        let mut entry = draft(ask, None, TokenKind::Service, path, policies, self.store.now());
        self.set_life(&mut entry, ask, caller, &mut warnings)?;
        warnings.extend(self.missing_policies(&entry));
        Ok((entry, warnings))
    }

    /// Stores an entry whose token is forgotten at once, and records that rest on it, in one commit. `records` are told
    /// the id and the accessor that the entry gets.
    pub(crate) async fn issue_unknown(
        &self,
        mut entry: Entry,
        records: impl FnOnce(&TokenId, &Entry) -> Result<Vec<(Key, SecretBytes)>, StoreError>,
    ) -> Result<(TokenId, Entry), TokenError> {
        let id = self.id_of(&self.new_token()?);
        entry.accessor = self.new_accessor()?;
        let also = records(&id, &entry)?;
        self.insert(&id, &entry, &also).await?;
        self.store.counters.service_tokens.count();
        Ok((id, entry))
    }
}
