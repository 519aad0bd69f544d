//! Static roles: users that are there already, whose password is changed on a schedule.

use serde::{Deserialize, Serialize};

use super::{Area, Database, DatabaseError, Place, candidate::Candidate};
use crate::{
    barrier::Batch,
    clock::{self, Timestamp, nanos},
    door::Permit,
    keys,
    login::kept,
    schedule::Schedule,
    secret::SecretString,
    storage::{Commit, Key},
    store::{Seen, Store, StoreError},
    target::Purpose,
};

/// The shortest period of rotation, in seconds.
const MIN_PERIOD: u64 = 5;
/// The shortest window of rotation, in seconds.
const MIN_WINDOW: u64 = 3600;

/// A static role.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StaticRole {
    /// The connection.
    pub db_name: String,
    /// The user.
    pub username: String,
    /// Seconds from one rotation to the next; 0: by `rotation_schedule`.
    pub rotation_period: u64,
    /// When it is rotated: a cron expression of five fields, in UTC; empty: by `rotation_period`.
    pub rotation_schedule: String,
    /// Seconds after a scheduled time within which it may still be rotated; 0: at any time after it.
    pub rotation_window: u64,
    /// What gives the user another password; empty: the engine's way.
    pub rotation_statements: Vec<String>,
    /// How passwords are made; empty: as the connection says.
    pub password_policy: String,
    /// Whether the first rotation waits for its time.
    pub skip_import_rotation: bool,
    /// The password that is known to be set; empty: none yet.
    #[serde(with = "kept")]
    pub(super) password: SecretString,
    /// A password that is about to be set, or may have been.
    pub(super) candidate: Option<Candidate>,
    /// When it was last rotated.
    #[serde(with = "nanos::option")]
    pub(super) last_rotation: Option<Timestamp>,
    /// The time that it is to be rotated for.
    #[serde(with = "nanos")]
    pub(super) scheduled: Timestamp,
    /// When that is tried, or tried again.
    #[serde(with = "nanos")]
    pub(super) due: Timestamp,
    /// Attempts that failed since the last rotation.
    pub(super) failures: u32,
}

impl StaticRole {
    fn check(&self) -> Result<(), DatabaseError> {
        let invalid = |text: &str| Err(DatabaseError::Invalid(text.to_owned()));
        if self.db_name.is_empty() {
            return invalid("database name is a required field");
        }
        if self.username.is_empty() {
            return invalid("username is a required field to create a static account");
        }
        match (self.rotation_period, self.rotation_schedule.as_str()) {
            (0, "") => {
                invalid("one of rotation_schedule or rotation_period must be provided to create a static account")
            }
            (period, "") if period < MIN_PERIOD => invalid("rotation_period must be 5 seconds or more"),
            (_, "") if self.rotation_window > 0 => invalid("rotation_window is invalid with use of rotation_period"),
            (_, "") => Ok(()),
            (0, _) => self.check_schedule(),
            _ => invalid(
                "mutually exclusive fields rotation_period and rotation_schedule were both specified; only one of \
                 them can be provided",
            ),
        }
    }

    fn check_schedule(&self) -> Result<(), DatabaseError> {
        let unfit = |reason: &str| DatabaseError::Invalid(format!("could not parse rotation_schedule: {reason}"));
        if self.rotation_schedule.split_ascii_whitespace().count() != 5 {
            return Err(unfit("a cron expression has five fields: minute, hour, day, month, weekday"));
        }
        Schedule::parse(&self.rotation_schedule, "").map_err(|error| unfit(&error.to_string()))?;
        if (1..MIN_WINDOW).contains(&self.rotation_window) {
            return Err(DatabaseError::Invalid(format!("rotation_window must be {MIN_WINDOW} seconds or more")));
        }
        Ok(())
    }

    /// When it is due next, seen from `from`.
    pub(super) fn next(&self, from: Timestamp) -> Timestamp {
        if self.rotation_schedule.is_empty() {
            return clock::after(from, self.rotation_period);
        }
        let next = Schedule::parse(&self.rotation_schedule, "").ok().and_then(|schedule| schedule.next(from));
        // Checked when it was written; a schedule that has no more times is never due.
        next.unwrap_or(Timestamp::MAX)
    }

    /// When it was last rotated.
    #[must_use]
    pub fn last_rotation(&self) -> Option<Timestamp> {
        self.last_rotation
    }

    /// Has it rotated next as its settings say.
    fn plan(&mut self, now: Timestamp) {
        let next = self.next(self.last_rotation.unwrap_or(now));
        (self.scheduled, self.due, self.failures) = (next, next, 0);
    }
}

impl Database {
    /// The names of all static roles of the mount.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_static_roles(&self, permit: Permit) -> Result<Vec<String>, DatabaseError> {
        self.list(permit, Area::StaticRole).await
    }

    /// Reads a static role, without its password.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn read_static_role(&self, permit: Permit) -> Result<Option<StaticRole>, DatabaseError> {
        let place = Place::of(&permit, "static-roles/", Area::StaticRole)?;
        permit.spend();
        Ok(self.store.read(&place.key()).await?.map(|seen| seen.value))
    }

    /// Replaces a static role, or a new one, by what `change` makes of it (whether it is new is told). The password of
    /// a new one is changed before this answers.
    ///
    /// # Errors
    /// When the outcome contradicts itself, its connection does not let it, `change` fails, or the password of a new
    /// one could not be changed: then it is not there, unless the database did not answer.
    pub async fn write_static_role<E: From<DatabaseError>>(
        &self,
        permit: Permit,
        change: impl FnOnce(&mut StaticRole, bool) -> Result<(), E>,
    ) -> Result<(), E> {
        let place = Place::of(&permit, "static-roles/", Area::StaticRole)?;
        let _turn = self.work.turn(&place).await;
        let found = self.static_role(&place).await.map_err(DatabaseError::from)?;
        if !permit.still_fits(found.is_some()) {
            return Err(DatabaseError::Denied.into());
        }
        permit.spend();
        let mut role = found.as_ref().map(|seen| seen.value.clone()).unwrap_or_default();
        change(&mut role, found.is_none())?;
        Ok(self.keep_static_role(&place, found, role).await?)
    }

    async fn keep_static_role(
        &self,
        place: &Place,
        found: Option<Seen<StaticRole>>,
        mut role: StaticRole,
    ) -> Result<(), DatabaseError> {
        role.check()?;
        let (connection, target) = self.open(&place.connection(&role.db_name)).await?;
        if !connection.allows(&place.name) {
            return Err(DatabaseError::NotAllowed(place.name.clone()));
        }
        self.check_statements(connection.plugin.kind(), &[(Purpose::SetPassword, &role.rotation_statements)])?;
        if connection.username == role.username {
            return Err(DatabaseError::Invalid(
                "username is the connection's own user: its password is changed by rotate-root".to_owned(),
            ));
        }
        let now = self.store.now();
        role.plan(now);
        if found.is_some() || role.skip_import_rotation {
            self.write_role_record(place, found, role).await?;
            return Ok(());
        }
        if target.existing(std::slice::from_ref(&role.username)).await?.is_empty() {
            return Err(DatabaseError::Invalid(format!("there is no user {:?} in the database", role.username)));
        }
        drop(target);
        // Due at once, should a crash come before the outcome is known.
        (role.scheduled, role.due) = (now, now);
        role.candidate = Some(self.new_candidate(&role, &connection).await?);
        let seen = self.write_role_record(place, None, role).await?;
        self.set_first(place, seen).await
    }

    pub(super) async fn static_role(&self, place: &Place) -> Result<Option<Seen<StaticRole>>, StoreError> {
        self.store.read(&place.key()).await
    }

    /// Writes the record with its entry in the index of what is due, provided that it is as it was seen.
    pub(super) async fn write_role_record(
        &self,
        place: &Place,
        before: Option<Seen<StaticRole>>,
        role: StaticRole,
    ) -> Result<Seen<StaticRole>, DatabaseError> {
        let key = place.key();
        let mut batch = Batch::new().expect(key.clone(), before.as_ref().map(|seen| seen.revision));
        if before.is_none() {
            batch = batch.expect(Area::Role.key(&place.mount, &place.name), None);
        }
        if let Some(before) = &before {
            batch = batch.delete(due_key(place, &before.value));
        }
        batch = batch.put(due_key(place, &role), Store::encode(&())?).put(key, Store::encode(&role)?);
        match self.store.commit(batch).await? {
            Commit::Committed(revision) => Ok(Seen { revision, value: role }),
            Commit::Conflict(_) if before.is_none() => {
                Err(DatabaseError::Invalid("Role and Static Role names must be unique".to_owned()))
            }
            Commit::Conflict(_) => Err(StoreError::Contended.into()),
        }
    }

    /// Removes a static role. The user keeps its password.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn delete_static_role(&self, permit: Permit) -> Result<(), DatabaseError> {
        let place = Place::of(&permit, "static-roles/", Area::StaticRole)?;
        permit.spend();
        let _turn = self.work.turn(&place).await;
        match self.static_role(&place).await? {
            Some(seen) => self.remove_role_record(&place, seen).await,
            None => Ok(()),
        }
    }

    pub(super) async fn remove_role_record(&self, place: &Place, seen: Seen<StaticRole>) -> Result<(), DatabaseError> {
        let key = place.key();
        let batch = Batch::new().expect(key.clone(), Some(seen.revision)).delete(key);
        Ok(self.store.apply(batch.delete(due_key(place, &seen.value))).await?)
    }
}

fn due_key(place: &Place, role: &StaticRole) -> Key {
    keys::database_due(&place.mount, role.due, &place.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(period: u64, schedule: &str, window: u64) -> StaticRole {
        StaticRole {
            db_name: "pg".into(),
            username: "app".into(),
            rotation_period: period,
            rotation_schedule: schedule.into(),
            rotation_window: window,
            ..StaticRole::default()
        }
    }

    #[test]
    fn a_role_is_rotated_by_a_period_or_a_schedule() {
        for (fit, role) in [
            (true, role(5, "", 0)),
            (false, role(4, "", 0)),
            (false, role(0, "", 0)),
            (true, role(0, "30 3 * * 1", 0)),
            (true, role(0, "30 3 * * 1", 3600)),
            (false, role(0, "30 3 * * 1", 3599)),
            (false, role(60, "", 3600)),
            (false, role(60, "30 3 * * 1", 0)),
            (false, role(0, "24h", 0)),
            (false, role(0, "cron(0 8 1 * ? *)", 0)),
            (false, role(0, "@daily", 0)),
            (false, role(0, "99 3 * * 1", 0)),
            (false, StaticRole { username: String::new(), ..role(60, "", 0) }),
            (false, StaticRole { db_name: String::new(), ..role(60, "", 0) }),
        ] {
            assert_eq!(role.check().is_ok(), fit, "{role:?}");
        }
    }

    #[test]
    fn the_next_time_follows_the_last() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let from = at("2026-01-01T00:00:00Z");
        assert_eq!(role(90, "", 0).next(from), at("2026-01-01T00:01:30Z"));
        assert_eq!(role(0, "30 3 * * *", 0).next(from), at("2026-01-01T03:30:00Z"));
        assert_eq!(role(0, "30 3 * * *", 0).next(at("2026-01-01T03:30:00Z")), at("2026-01-02T03:30:00Z"));
    }
}
