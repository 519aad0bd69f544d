//! The steps of a static role's rotation.
//!
//! ```text
//! candidate written -> set at the target -> candidate becomes the password, next time planned
//!        |                    |  no: candidate dropped, tried again later with another
//!        +-- crash, no answer-+  candidate kept, set again later
//! ```
//!
//! Readers get the old password until the new one is known to be set.

use std::sync::Arc;

use super::{
    Area, Connection, Database, DatabaseError, Place, StaticRole,
    candidate::{Candidate, in_doubt},
};
use crate::{
    clock,
    door::Permit,
    keys,
    mount::{Engine, Mount},
    store::{Seen, StoreError},
    target::{Login, Principal},
};

/// Seconds after which a rotation that failed is tried again, the first time; then twice as long each time.
const FIRST_RETRY: u64 = 10;
/// The longest that it waits, in seconds.
const LAST_RETRY: u64 = 600;
/// What is looked up at most in one round of upkeep, for each mount.
const ROUND: usize = 64;

/// What became of an attempt.
enum Attempt {
    Done,
    /// The target is as it was.
    Refused(DatabaseError),
    /// The target may be as it was.
    Unknown(DatabaseError),
}

impl Database {
    /// Changes the password of a static role now.
    ///
    /// # Errors
    /// When there is no such role, or its password could not be changed; it is tried again then.
    pub async fn rotate_role(&self, permit: Permit) -> Result<(), DatabaseError> {
        let place = Place::of(&permit, "rotate-role/", Area::StaticRole)?;
        permit.spend();
        let _turn = self.work.turn(&place).await;
        let seen = self.static_role(&place).await?.ok_or(DatabaseError::NoStaticRole)?;
        self.rotate(&place, seen).await.map_err(|error| match error {
            DatabaseError::Store(_) => error,
            error => DatabaseError::Rotation(error.to_string()),
        })
    }

    /// Starts what is due, a bounded number at a time, beside the upkeep.
    pub(crate) async fn tend(self: &Arc<Self>, mounts: &[Arc<Mount>]) -> Result<(), StoreError> {
        let now = self.store.now();
        for mount in mounts.iter().filter(|mount| mount.engine == Engine::Database) {
            let prefix = keys::database_dues(&mount.uuid);
            for key in self.store.barrier.keys(&prefix, None, ROUND).await? {
                let Some((second, name)) = keys::database_due_of(&prefix, &key) else { continue };
                if second > now.as_second() {
                    break;
                }
                let place = Place { mount: mount.uuid.clone(), area: Area::StaticRole, name: name.to_owned() };
                let Some(running) = self.work.begin(&place) else { continue };
                let database = Arc::clone(self);
                tokio::spawn(async move {
                    if let Err(error) = database.rotate_due(&place).await {
                        tracing::warn!(role = place.name, %error, "a static role's password could not be changed");
                    }
                    drop(running);
                });
            }
        }
        Ok(())
    }

    /// Rotates a role if it is still due.
    async fn rotate_due(&self, place: &Place) -> Result<(), DatabaseError> {
        let _turn = self.work.turn(place).await;
        let Some(seen) = self.static_role(place).await? else { return Ok(()) };
        let now = self.store.now();
        let role = &seen.value;
        if role.due > now {
            return Ok(());
        }
        // A candidate in doubt is settled whatever the hour: it may be the one that works.
        let missed = role.rotation_window > 0 && now > clock::after(role.scheduled, role.rotation_window);
        if missed && role.candidate.is_none() {
            let mut role = role.clone();
            let next = role.next(now);
            (role.scheduled, role.due, role.failures) = (next, next, 0);
            self.write_role_record(place, Some(seen), role).await?;
            return Ok(());
        }
        self.rotate(place, seen).await
    }

    /// One attempt, from wherever the last one stopped.
    async fn rotate(&self, place: &Place, seen: Seen<StaticRole>) -> Result<(), DatabaseError> {
        let seen = if seen.value.candidate.is_some() {
            seen
        } else {
            match self.write_candidate(place, &seen).await {
                Ok(written) => written,
                Err(error @ DatabaseError::Store(_)) => return Err(error),
                Err(error) => {
                    self.put_off(place, seen, false).await?;
                    return Err(error);
                }
            }
        };
        match self.attempt(place, &seen.value).await {
            Attempt::Done => self.adopt_role(place, seen).await,
            Attempt::Refused(error) => {
                self.put_off(place, seen, true).await?;
                Err(error)
            }
            Attempt::Unknown(error) => {
                self.put_off(place, seen, false).await?;
                Err(error)
            }
        }
    }

    async fn write_candidate(&self, place: &Place, seen: &Seen<StaticRole>) -> Result<Seen<StaticRole>, DatabaseError> {
        let name = &seen.value.db_name;
        let connection = self.store.read::<Connection>(&place.connection(name).key()).await?;
        let connection = connection.ok_or_else(|| DatabaseError::NoConnection(name.clone()))?.value;
        let mut role = seen.value.clone();
        role.candidate = Some(self.new_candidate(&role, &connection).await?);
        let before = Seen { revision: seen.revision, value: seen.value.clone() };
        self.write_role_record(place, Some(before), role).await
    }

    pub(super) async fn new_candidate(
        &self,
        role: &StaticRole,
        connection: &Connection,
    ) -> Result<Candidate, DatabaseError> {
        Ok(Candidate::new(self.password([&role.password_policy, &connection.password_policy]).await?))
    }

    /// The first rotation of a role that was just made. If the target refuses it, the role is not there.
    pub(super) async fn set_first(&self, place: &Place, seen: Seen<StaticRole>) -> Result<(), DatabaseError> {
        match self.attempt(place, &seen.value).await {
            Attempt::Done => self.adopt_role(place, seen).await,
            Attempt::Refused(error) => {
                self.remove_role_record(place, seen).await?;
                Err(error)
            }
            Attempt::Unknown(error) => {
                self.put_off(place, seen, false).await?;
                Err(DatabaseError::Rotation(error.to_string()))
            }
        }
    }

    /// Sets the candidate at the target.
    async fn attempt(&self, place: &Place, role: &StaticRole) -> Attempt {
        let Some(candidate) = &role.candidate else { return Attempt::Done };
        let (connection, target) = match self.open(&place.connection(&role.db_name)).await {
            Ok(opened) => opened,
            // Nothing was asked, but an attempt before this one may have been.
            Err(error) => return Attempt::Unknown(error),
        };
        if !connection.allows(&place.name) {
            return Attempt::Unknown(DatabaseError::NotAllowed(place.name.clone()));
        }
        let principal =
            Principal { username: role.username.clone(), password: candidate.password.clone(), expires: None };
        let Err(error) = target.set_password(&principal, &role.rotation_statements).await else { return Attempt::Done };
        if in_doubt(&error) {
            return Attempt::Unknown(error.into());
        }
        // It may be set already, by an attempt before this one or by the first of several statements.
        match target.log_in(&role.username, &candidate.password).await {
            Ok(Login::Accepted) => Attempt::Done,
            Ok(Login::Refused) => Attempt::Refused(error.into()),
            Err(_) => Attempt::Unknown(error.into()),
        }
    }

    async fn adopt_role(&self, place: &Place, seen: Seen<StaticRole>) -> Result<(), DatabaseError> {
        let mut role = seen.value.clone();
        let now = self.store.now();
        if let Some(candidate) = role.candidate.take() {
            role.password = candidate.password;
        }
        let next = role.next(now);
        role.last_rotation = Some(now);
        (role.scheduled, role.due, role.failures) = (next, next, 0);
        self.write_role_record(place, Some(seen), role).await?;
        Ok(())
    }

    /// Has it tried again later, with the candidate or with another.
    async fn put_off(&self, place: &Place, seen: Seen<StaticRole>, dropped: bool) -> Result<(), DatabaseError> {
        let mut role = seen.value.clone();
        if dropped {
            role.candidate = None;
        }
        let wait = FIRST_RETRY.saturating_mul(1 << role.failures.min(16)).min(LAST_RETRY);
        role.due = clock::after(self.store.now(), wait);
        role.failures = role.failures.saturating_add(1);
        self.write_role_record(place, Some(seen), role).await?;
        Ok(())
    }
}
