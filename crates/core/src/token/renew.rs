//! Renewal: more time, within the token's bounds.

use super::{Entry, Issued, TokenError, Tokens, Which, ttl::Bounds};
use crate::{
    barrier::Batch,
    clock,
    door::Permit,
    keys, login,
    mount::{DEFAULT_LEASE_TTL, MAX_LEASE_TTL},
    secret::SecretString,
    storage::Commit,
    store::Store,
};

impl Tokens {
    /// Renews a token by `increment` seconds (0: as at first). The answer carries no token for an accessor. A login's
    /// token is renewed on the terms of its role or user as they are now.
    ///
    /// # Errors
    /// When the token is unknown, not renewable, or past its maximum, or when its role or user is gone.
    pub async fn renew(&self, permit: Permit, which: Which<'_>, increment: u64) -> Result<Issued, TokenError> {
        let certificates = permit.certificates().to_vec();
        permit.spend();
        let token = match which {
            Which::Token(token) => token.clone(),
            Which::Accessor(_) => SecretString::default(),
        };
        loop {
            let (id, _) = self.stored(which, "token not found", "batch tokens cannot be renewed").await?;
            let key = keys::token(&id.0);
            let _lock = self.store.lock(&key).await;
            let seen = self.find(&id).await?.ok_or(TokenError::NotFound("token not found"))?;
            let mut entry = seen.value;
            if !entry.renewable {
                return Err(TokenError::invalid("lease is not renewable"));
            }
            let before = entry.expires;
            let warnings = self.extend(&mut entry, increment, &certificates).await?;
            let mut batch = Batch::new().expect(key.clone(), Some(seen.revision)).put(key, Store::encode(&entry)?);
            if let Some(end) = before {
                batch = batch.delete(keys::token_expiry(end, &id.0));
            }
            if let Some(end) = entry.expires {
                batch = batch.put(keys::token_expiry(end, &id.0), Store::encode(&())?);
            }
            if let Commit::Committed(_) = self.store.commit(batch).await? {
                return Ok(self.issued(token, entry, warnings));
            }
        }
    }

    async fn extend(
        &self,
        entry: &mut Entry,
        increment: u64,
        certificates: &[Vec<u8>],
    ) -> Result<Vec<String>, TokenError> {
        if let Some(name) = &entry.role {
            let gone = || TokenError::invalid(format!("original token role {name:?} could not be found, not renewing"));
            let role = self.find_role(name).await?.ok_or_else(gone)?;
            entry.period = role.period;
            entry.explicit_max_ttl = role.explicit_max_ttl;
        }
        let mount = self.mounts.route(&entry.path).map(|routed| routed.mount);
        let mut usual = entry.ttl;
        if let Some(mount) = &mount
            && let Some(terms) = login::terms(&self.store, mount, entry, certificates).await?
        {
            (usual, entry.max_ttl, entry.period) = (terms.ttl, terms.max_ttl, terms.period);
        }
        let default = mount.as_ref().map_or(DEFAULT_LEASE_TTL, |mount| mount.default_lease_ttl());
        let mount_max = mount.as_ref().map_or(MAX_LEASE_TTL, |mount| mount.max_lease_ttl());
        let bounds = Bounds {
            default: if usual == 0 { default } else { usual },
            max: super::ttl::tighter(entry.max_ttl, mount_max),
            period: entry.period,
            explicit_max: entry.explicit_max_ttl,
        };
        let now = self.store.now();
        let granted = bounds
            .grant(increment, entry.created, now)
            .map_err(|_| TokenError::invalid("past the max TTL, cannot renew"))?;
        entry.expires = Some(clock::after(now, granted.ttl));
        entry.last_renewal = Some(now);
        Ok(granted.warning.into_iter().collect())
    }
}
