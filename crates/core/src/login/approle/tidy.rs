//! What removes secret ids that have ended. A secret id is refused from the second it ends, whether or not its record
//! is still there; this keeps the store small.

use super::{AppRole, AppRoleError, Role, SecretId, mount_of, secret_id::Spot};
use crate::{
    barrier::Batch,
    door::Permit,
    keys,
    mount::Mount,
    storage::{Commit, Key},
    store::{PAGE, StoreError},
};

impl AppRole {
    /// Removes what has ended and what an interrupted removal of a role left behind.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tidy(&self, permit: Permit) -> Result<(), AppRoleError> {
        let mount = mount_of(&permit)?;
        permit.spend();
        let expired = self.expire_due(&mount).await?;
        let orphans = self.remove_orphans(&mount).await?;
        tracing::info!(mount = mount.path, expired, orphans, "secret ids tidied");
        Ok(())
    }

    /// Removes secret ids whose end has come. The index is ordered by time, so what is not due is not read.
    pub(in crate::login) async fn expire_due(&self, mount: &Mount) -> Result<usize, StoreError> {
        let mut expired = 0;
        loop {
            let due = self.due(mount).await?;
            for (index, spot) in &due {
                expired += usize::from(self.expire(spot).await?);
                self.store.apply(Batch::new().delete(index.clone())).await?;
            }
            if due.len() < PAGE {
                return Ok(expired);
            }
        }
    }

    async fn expire(&self, spot: &Spot) -> Result<bool, StoreError> {
        let now = self.store.now();
        let _lock = self.store.lock(&spot.key()).await;
        loop {
            let found = self.store.read::<SecretId>(&spot.key()).await?;
            let Some(seen) = found.filter(|seen| seen.value.has_ended(now)) else { return Ok(false) };
            if let Commit::Committed(_) = self.store.commit(self.removal(spot, &seen.value, seen.revision)).await? {
                return Ok(true);
            }
        }
    }

    async fn due(&self, mount: &Mount) -> Result<Vec<(Key, Spot)>, StoreError> {
        let prefix = keys::approle_expiries(&mount.uuid);
        let page = self.store.barrier.keys(&prefix, None, PAGE).await?;
        let now = self.store.now().as_second();
        let parse = |key: Key| {
            let mut parts = std::str::from_utf8(&key[prefix.len()..]).ok()?.split('/');
            let (second, series, hash) = (parts.next()?, parts.next()?, parts.next()?);
            // What ends within this second is left for the next round: its record is compared to the nanosecond,
            // its index to the second.
            let due = i64::from_str_radix(second, 16).ok()? < now;
            let spot = Spot { mount: mount.uuid.clone(), series: series.to_owned(), hash: hash.to_owned() };
            due.then_some((key, spot))
        };
        Ok(page.into_iter().map_while(parse).collect())
    }

    async fn remove_orphans(&self, mount: &Mount) -> Result<usize, StoreError> {
        // The series are listed before the roles: a role that is made in between is not missed.
        let series = self.store.children(&keys::approle_series(&mount.uuid)).await?;
        let roles = self.store.read_all::<Role>(&keys::approle_roles(&mount.uuid)).await?;
        let mut removed = 0;
        for series in series.iter().map(|folder| folder.trim_end_matches('/')) {
            if !roles.iter().any(|(_, role)| role.series == series) {
                self.remove_series(&mount.uuid, series).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
