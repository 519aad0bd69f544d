//! Renewal: more time, within what the engine and the mount allow.

use std::time::Duration;

use super::{
    ACT_SECONDS, IssuerError, LeaseError, Leases,
    lookup::Lease,
    record::{Change, LeaseRecord, Phase, second_of},
};
use crate::{
    barrier::Batch,
    clock::{self, Timestamp},
    door::Permit,
    storage::Commit,
    token::ttl::{Bounds, tighter},
};

impl Leases {
    /// Renews a lease by `increment` seconds from now (0: as at first), on the terms of its engine as they are now. A
    /// token's is renewed as a token, not here.
    ///
    /// # Errors
    /// When there is none of that id, it is a token's, it has ended or cannot be renewed, or its target fails: then it
    /// ends when it would have.
    pub async fn renew(&self, permit: Permit, id: &str, increment: u64) -> Result<Lease, LeaseError> {
        permit.spend();
        if let Some((_, entry)) = self.find_token(id).await? {
            return Err(if entry.renewable { LeaseError::IsToken } else { LeaseError::NotRenewable });
        }
        let _claim = self.claims.claim(id).await;
        let lease = self.find(id).await?.ok_or(LeaseError::NotFound)?.value;
        check(&lease, self.store.now())?;
        let issuer = self.issuer(lease.engine).ok_or(LeaseError::NotRenewable)?;
        let terms = issuer.terms(&lease).await.map_err(LeaseError::NotRenewed)?;
        let mount = self.mounts.with_uuid(&lease.mount).ok_or(LeaseError::Expired)?;
        let bounds = Bounds {
            default: if terms.ttl == 0 { mount.default_lease_ttl() } else { terms.ttl },
            max: tighter(terms.max_ttl, mount.max_lease_ttl()),
            ..Bounds::default()
        };
        let now = self.store.now();
        let granted = bounds.grant(increment, lease.issued, now).map_err(|_| LeaseError::PastMax)?;
        let mut warnings: Vec<String> = granted.warning.into_iter().collect();
        let mut until = clock::after(now, granted.ttl);
        if let Some(latest) = lease.latest.filter(|latest| *latest < until) {
            until = latest;
            warnings.push("the lease ends with the token that it was issued to".to_owned());
        }
        let asked = tokio::time::timeout(Duration::from_secs(ACT_SECONDS), issuer.renew(&lease, until));
        let silent = |_| Err(IssuerError::Unreachable(format!("it did not answer within {ACT_SECONDS} seconds")));
        asked.await.unwrap_or_else(silent).map_err(LeaseError::NotRenewed)?;
        let renewed = self.note_renewed(id, until, now).await?;
        Ok(Lease { warnings, ..Lease::of(&renewed, now) })
    }

    /// Notes the new end, unless the lease was ended meanwhile: the credential is revoked then, whatever its end.
    async fn note_renewed(&self, id: &str, until: Timestamp, now: Timestamp) -> Result<LeaseRecord, LeaseError> {
        loop {
            let seen = self.find(id).await?.ok_or(LeaseError::Expired)?;
            check(&seen.value, now)?;
            let renewed = LeaseRecord {
                expires: until,
                due: second_of(until),
                since: second_of(until),
                last_renewal: Some(now),
                ..seen.value.clone()
            };
            let change = Change::update(seen, renewed.clone());
            if let Commit::Committed(_) = self.commit(&[change], Batch::new()).await? {
                self.counters.renewed.count();
                return Ok(renewed);
            }
        }
    }
}

fn check(lease: &LeaseRecord, now: Timestamp) -> Result<(), LeaseError> {
    if lease.phase != Phase::Active || lease.expires <= now {
        return Err(LeaseError::Expired);
    }
    if lease.renewable { Ok(()) } else { Err(LeaseError::NotRenewable) }
}
