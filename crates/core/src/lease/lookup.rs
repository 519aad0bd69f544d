//! Looking leases up and listing them, those of tokens and those of credentials in one tree.

use super::{LeaseError, Leases, record::LeaseRecord};
use crate::{
    clock::{Timestamp, seconds_until},
    door::Permit,
    keys,
};

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
    /// Why its credential could not be revoked so far.
    pub error: Option<String>,
    /// What there is to say about what was granted.
    pub warnings: Vec<String>,
}

impl Lease {
    pub(super) fn of(record: &LeaseRecord, now: Timestamp) -> Self {
        Self {
            id: record.id.clone(),
            issued: record.issued,
            expires: Some(record.expires),
            last_renewal: record.last_renewal,
            renewable: record.renewable,
            ttl: seconds_until(now, record.expires),
            error: (!record.error.is_empty()).then(|| record.error.clone()),
            warnings: Vec::new(),
        }
    }
}

impl Leases {
    /// What is known of a lease: a token's that has not ended, or a credential's that was not revoked yet.
    ///
    /// # Errors
    /// When there is none of that id.
    pub async fn lookup(&self, permit: Permit, id: &str) -> Result<Lease, LeaseError> {
        permit.spend();
        let now = self.store.now();
        if let Some((_, entry)) = self.find_token(id).await? {
            return Ok(Lease {
                id: id.to_owned(),
                issued: entry.created,
                expires: entry.expires,
                last_renewal: entry.last_renewal,
                renewable: entry.renewable,
                ttl: entry.expires.map_or(0, |end| seconds_until(now, end)),
                error: None,
                warnings: Vec::new(),
            });
        }
        let seen = self.find(id).await?.ok_or(LeaseError::Unknown)?;
        Ok(Lease::of(&seen.value, now))
    }

    /// The ids, or their first segments with a trailing slash, directly below the prefix that the permit's path names
    /// (`sys/leases/lookup/<prefix>/`).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, permit: Permit) -> Result<Vec<String>, LeaseError> {
        let prefix = below(&permit, &["leases/lookup/"]);
        permit.spend();
        let mut all = self.store.children(&keys::join(&[keys::TOKEN_LEASES, prefix.as_bytes()])).await?;
        let of_credentials = self.store.children(&keys::join(&[keys::LEASES, prefix.as_bytes()])).await?;
        if all.is_empty() {
            return Ok(of_credentials);
        }
        if !of_credentials.is_empty() {
            all.extend(of_credentials);
            all.sort();
            all.dedup();
        }
        Ok(all)
    }
}

/// What follows one of `areas` in the permit's path below its mount.
pub(super) fn below(permit: &Permit, areas: &[&str]) -> String {
    areas.iter().find_map(|area| permit.rest().strip_prefix(area)).unwrap_or_default().to_owned()
}
