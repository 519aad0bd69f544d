//! The administrator's own password, changed to one that nobody has seen.

use super::{Area, Connection, Database, DatabaseError, Place, candidate::Candidate};
use crate::{
    barrier::Batch,
    door::Permit,
    secret::SecretString,
    store::{Seen, Store, StoreError},
    target::{Principal, TargetError},
};

impl Database {
    /// Gives the administrator another password. It is known to nobody from then on.
    ///
    /// # Errors
    /// When the connection has no administrator to change, or the database does not let it; if it did not answer,
    /// which password is the one that works is found at the next use.
    pub async fn rotate_root(&self, permit: Permit) -> Result<(), DatabaseError> {
        let place = Place::of(&permit, "rotate-root/", Area::Config)?;
        permit.spend();
        let _turn = self.pools.turn(&place).await;
        let _gate = self.pools.stop(&place).await;
        let mut seen = self.connection(&place).await?;
        if seen.value.candidate.is_some() {
            seen = self.settle(&place, seen).await?;
        }
        for (given, what) in
            [(!seen.value.username.is_empty(), "username"), (!seen.value.password.is_empty(), "password")]
        {
            if !given {
                return Err(DatabaseError::Root(format!("no {what} in configuration")));
            }
        }
        let password = self.password([&seen.value.password_policy, ""]).await?;
        let candidate = Some(Candidate::new(password));
        let seen = self.rewrite(&place, seen, |connection| connection.candidate = candidate).await?;
        self.set_candidate(&place, seen).await.map(|_| ())
    }

    /// Finds out which password works, after a crash or an answer that was lost.
    pub(super) async fn settle_root(&self, place: &Place) -> Result<(), DatabaseError> {
        let _turn = self.pools.turn(place).await;
        let _gate = self.pools.stop(place).await;
        let seen = self.connection(place).await?;
        if seen.value.candidate.is_none() {
            // Somebody else did while this one waited.
            return Ok(());
        }
        self.settle(place, seen).await.map(|_| ())
    }

    async fn settle(&self, place: &Place, seen: Seen<Connection>) -> Result<Seen<Connection>, DatabaseError> {
        let Some(candidate) = seen.value.candidate.clone() else { return Ok(seen) };
        if self.lets_in(&seen.value, &candidate.password).await? {
            return Ok(self.adopt(place, seen, candidate.password).await?);
        }
        if !self.lets_in(&seen.value, &seen.value.password).await? {
            return Err(DatabaseError::Root(
                "neither the password nor the one that was to follow it is accepted: write the connection with one \
                 that is"
                    .to_owned(),
            ));
        }
        match self.set_candidate(place, seen).await {
            Ok(seen) => Ok(seen),
            Err(error) => {
                // Refused for certain: the candidate is gone, and the old password serves.
                let seen = self.connection(place).await?;
                if seen.value.candidate.is_some() {
                    return Err(error);
                }
                tracing::warn!(connection = place.name, %error, "an interrupted rotation of the administrator's password is given up");
                Ok(seen)
            }
        }
    }

    /// Sets the candidate that the record holds, and makes it the password.
    async fn set_candidate(&self, place: &Place, seen: Seen<Connection>) -> Result<Seen<Connection>, DatabaseError> {
        let Some(candidate) = seen.value.candidate.clone() else { return Ok(seen) };
        let connection = &seen.value;
        let target = self.pools.targets.open(connection.access(&connection.password)?)?;
        let principal =
            Principal { username: connection.username.clone(), password: candidate.password.clone(), expires: None };
        let Err(error) = target.set_password(&principal, &connection.root_rotation_statements).await else {
            return Ok(self.adopt(place, seen, candidate.password).await?);
        };
        // A target without transactions may have set it before a later statement failed.
        if !error.leaves_doubt() && self.lets_in(connection, &candidate.password).await? {
            return Ok(self.adopt(place, seen, candidate.password).await?);
        }
        if !error.leaves_doubt() {
            self.rewrite(place, seen, |connection| connection.candidate = None).await?;
        }
        Err(DatabaseError::Root(format!("failed to update user: {error}")))
    }

    async fn lets_in(&self, connection: &Connection, password: &SecretString) -> Result<bool, TargetError> {
        match self.pools.targets.open(connection.access(password)?)?.ping().await {
            Ok(()) => Ok(true),
            Err(TargetError::Denied(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn adopt(
        &self,
        place: &Place,
        seen: Seen<Connection>,
        password: SecretString,
    ) -> Result<Seen<Connection>, StoreError> {
        self.rewrite(place, seen, |connection| connection.set_password(password)).await
    }

    async fn connection(&self, place: &Place) -> Result<Seen<Connection>, DatabaseError> {
        let seen = self.store.read(&place.key()).await?;
        seen.ok_or_else(|| DatabaseError::NoConnection(place.name.clone()))
    }

    /// Writes the record, provided that it is as it was seen.
    async fn rewrite(
        &self,
        place: &Place,
        seen: Seen<Connection>,
        change: impl FnOnce(&mut Connection),
    ) -> Result<Seen<Connection>, StoreError> {
        let Seen { revision, mut value } = seen;
        change(&mut value);
        let key = place.key();
        let batch = Batch::new().expect(key.clone(), Some(revision)).put(key, Store::encode(&value)?);
        match self.store.commit(batch).await? {
            crate::storage::Commit::Committed(revision) => Ok(Seen { revision, value }),
            crate::storage::Commit::Conflict(_) => Err(StoreError::Contended),
        }
    }
}
