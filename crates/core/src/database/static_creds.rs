//! Reading the password of a static role.

use super::{Area, Connection, Database, DatabaseError, Place};
use crate::{
    clock::{self, Timestamp},
    consumers::Reader,
    door::Permit,
    secret::SecretString,
};

/// What a static role gives.
#[derive(Debug)]
pub struct StaticCredential {
    /// The user.
    pub username: String,
    /// Its password; empty: it has not been rotated yet.
    pub password: SecretString,
    /// Seconds until it is rotated.
    pub ttl: u64,
    /// When it was last rotated.
    pub last_rotation: Option<Timestamp>,
    /// Seconds from one rotation to the next; 0: by schedule.
    pub rotation_period: u64,
    /// When it is rotated, if not by period.
    pub rotation_schedule: String,
    /// Seconds within which it may be, after a scheduled time.
    pub rotation_window: u64,
}

impl Database {
    /// Reads the password of a static role: the one that is known to be set.
    ///
    /// # Errors
    /// When there is no such role, or its connection does not let it.
    pub async fn read_static_credential(&self, permit: Permit) -> Result<StaticCredential, DatabaseError> {
        let place = Place::of(&permit, "static-creds/", Area::StaticRole)?;
        let reader = Reader { address: permit.remote(), caller: permit.spend_as_caller() };
        // Looked up first: what is planned next may be out of date, so that it is read again too early, the password not.
        let next = self.rotations.next(&place.site()).await?;
        let seen = self.static_role(&place).await?;
        let role = seen.ok_or_else(|| DatabaseError::NoRole(place.name.clone()))?.value;
        let connection = self.store.read::<Connection>(&place.connection(&role.db_name).key()).await?;
        let connection = connection.ok_or_else(|| DatabaseError::NoConnection(role.db_name.clone()))?;
        if !connection.value.allows(&place.name) {
            return Err(DatabaseError::NotAllowed(place.name));
        }
        let last_rotation = role.last_rotation();
        let (username, password) = match role.credentials.current {
            Some(kept) => {
                if role.strategy.overlaps() {
                    self.rotations.note_role(&place.site(), kept.version, &reader);
                }
                (kept.username, kept.password)
            }
            None => (role.username, SecretString::default()),
        };
        Ok(StaticCredential {
            username,
            password,
            // A schedule that has no more times is never due.
            ttl: clock::seconds_until(self.store.now(), next.unwrap_or(Timestamp::MAX)),
            last_rotation,
            rotation_period: role.rotation_period,
            rotation_schedule: role.rotation_schedule,
            rotation_window: role.rotation_window,
        })
    }
}
