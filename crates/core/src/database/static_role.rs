//! Static roles: users that are there already, whose password is changed on a schedule. Each has a rotation
//! ([`crate::rotation`]), which is written and removed with it.

use serde::{Deserialize, Serialize};

use super::{Area, Connection, Database, DatabaseError, Place, pools::Using, static_store::Credentials};
use crate::{
    barrier::Batch,
    clock::Timestamp,
    door::Permit,
    rotation::{AtMax, NotRotated, Settings, Site, Strategy, Turn},
    schedule::Schedule,
    storage::Commit,
    store::{Seen, Store, StoreError},
    target::Purpose,
};

/// The shortest period of rotation, in seconds.
const MIN_PERIOD: u64 = 5;
/// The shortest window of rotation, in seconds.
const MIN_WINDOW: u64 = 3600;
/// Times that a removal is tried over while others change the same role.
const TRIES: usize = 16;

/// A static role.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// How the password is replaced: in place, as Vault does, or by one of those that overlap.
    pub strategy: Strategy,
    /// The user that takes turns with the other one; for [`Strategy::Alternating`].
    pub username_alternate: String,
    /// The role that a user is made a member of that is missing; for strategies that overlap.
    pub owner_role: String,
    /// Seconds for which both credentials are good at least.
    pub overlap_min: u64,
    /// Seconds after which those who hold on to the one before are told of, or left behind.
    pub overlap_max: u64,
    /// Which of the two.
    pub at_max: AtMax,
    /// The passwords.
    pub(super) credentials: Credentials,
}

impl Default for StaticRole {
    fn default() -> Self {
        let Settings { overlap_min, overlap_max, at_max, .. } = Settings::new(Strategy::InPlace);
        Self {
            db_name: String::new(),
            username: String::new(),
            rotation_period: 0,
            rotation_schedule: String::new(),
            rotation_window: 0,
            rotation_statements: Vec::new(),
            password_policy: String::new(),
            skip_import_rotation: false,
            strategy: Strategy::InPlace,
            username_alternate: String::new(),
            owner_role: String::new(),
            overlap_min,
            overlap_max,
            at_max,
            credentials: Credentials::default(),
        }
    }
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
        }?;
        self.check_strategy()?;
        self.settings().check_for(MIN_PERIOD).map_err(|error| DatabaseError::Invalid(error.to_string()))
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

    fn check_strategy(&self) -> Result<(), DatabaseError> {
        let invalid = |text: &str| Err(DatabaseError::Invalid(text.to_owned()));
        match self.strategy {
            Strategy::Hook | Strategy::Generated => {
                invalid("the strategy of a static role is in-place, dual-credential or alternating")
            }
            Strategy::InPlace if !self.owner_role.is_empty() => invalid("strategy in-place takes no owner_role"),
            Strategy::Alternating if self.username_alternate.is_empty() => {
                invalid("strategy alternating needs username_alternate, the user that takes turns with username")
            }
            Strategy::InPlace | Strategy::DualCredential if !self.username_alternate.is_empty() => {
                invalid("username_alternate is for strategy alternating")
            }
            Strategy::DualCredential | Strategy::Alternating if !self.rotation_statements.is_empty() => {
                invalid("rotation_statements are for strategy in-place")
            }
            Strategy::InPlace | Strategy::DualCredential | Strategy::Alternating => Ok(()),
        }
    }

    /// The rotation that the role asks for.
    pub(super) fn settings(&self) -> Settings {
        let users = [&self.username, &self.username_alternate].into_iter().filter(|user| !user.is_empty());
        Settings {
            target: self.db_name.clone(),
            owner_role: self.owner_role.clone(),
            users: users.cloned().collect(),
            schedule: match self.rotation_schedule.as_str() {
                "" => format!("{}s", self.rotation_period),
                schedule => schedule.to_owned(),
            },
            window: self.rotation_window,
            overlap_min: self.overlap_min,
            overlap_max: self.overlap_max,
            at_max: self.at_max,
            password_policy: self.password_policy.clone(),
            statements: self.rotation_statements.clone(),
            ..Settings::new(self.strategy)
        }
    }

    /// When it was last rotated.
    #[must_use]
    pub fn last_rotation(&self) -> Option<Timestamp> {
        self.credentials.current.as_ref().and_then(|kept| kept.since)
    }
}

impl From<NotRotated> for DatabaseError {
    fn from(error: NotRotated) -> Self {
        match error {
            NotRotated::Store(error) => Self::Store(error),
            error => Self::Rotation(error.to_string()),
        }
    }
}

impl Place {
    /// Where the rotation of a static role is.
    pub(super) fn site(&self) -> Site {
        Site::static_role(&self.mount, &self.name)
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

    /// Reads a static role; its password is not to be told.
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
        let turn = self.rotations.turn(&place.site()).await;
        let found = self.static_role(&place).await.map_err(DatabaseError::from)?;
        if !permit.still_fits(found.is_some()) {
            return Err(DatabaseError::Denied.into());
        }
        permit.spend();
        let mut role = found.as_ref().map(|seen| seen.value.clone()).unwrap_or_default();
        change(&mut role, found.is_none())?;
        Ok(self.keep_static_role(&place, &turn, found, role).await?)
    }

    async fn keep_static_role(
        &self,
        place: &Place,
        turn: &Turn,
        found: Option<Seen<StaticRole>>,
        role: StaticRole,
    ) -> Result<(), DatabaseError> {
        role.check()?;
        let (connection, target) = self.open(&place.connection(&role.db_name)).await?;
        let new = found.is_none();
        let begins = new && !role.skip_import_rotation;
        self.check_connection(place, &connection, &target, &role, found.as_ref().map(|seen| &seen.value)).await?;
        if begins {
            self.check_users(&connection, &target, &role).await?;
        }
        drop(target);
        let settings = role.settings();
        let rotation = self.rotations.of_role(&place.site(), settings, begins).await.map_err(|error| match error {
            NotRotated::Store(error) => DatabaseError::Store(error),
            error => DatabaseError::Invalid(error.to_string()),
        })?;
        self.write_static_record(place, found.map(|seen| seen.revision), &role, rotation).await?;
        if !begins {
            return Ok(());
        }
        match self.rotations.rotate_role(turn).await {
            Err(NotRotated::Refused(reason)) => {
                self.remove_static_role(place).await?;
                Err(DatabaseError::Refused(reason))
            }
            outcome => Ok(outcome?),
        }
    }

    /// Whether the connection lets a role do what it asks for.
    async fn check_connection(
        &self,
        place: &Place,
        connection: &Connection,
        target: &Using,
        role: &StaticRole,
        before: Option<&StaticRole>,
    ) -> Result<(), DatabaseError> {
        let invalid = |text: &str| Err(DatabaseError::Invalid(text.to_owned()));
        if !connection.allows(&place.name) {
            return Err(DatabaseError::NotAllowed(place.name.clone()));
        }
        self.check_statements(connection.plugin.kind(), &[(Purpose::SetPassword, &role.rotation_statements)])?;
        if [&role.username, &role.username_alternate].contains(&&connection.username) {
            return invalid("username is the connection's own user: its password is changed by rotate-root");
        }
        if role.strategy == Strategy::DualCredential && !target.can_keep_two_passwords().await? {
            return invalid("strategy dual-credential: this database keeps one password of a user");
        }
        match before {
            Some(before) if before.strategy == Strategy::InPlace => Ok(()),
            Some(before) if before.strategy != role.strategy => {
                invalid("cannot update strategy: its users may be in use, delete the role and write it anew")
            }
            Some(before) if before.username_alternate != role.username_alternate => {
                invalid("cannot update username_alternate")
            }
            _ => Ok(()),
        }
    }

    /// Whether the first password can be set.
    async fn check_users(
        &self,
        connection: &Connection,
        target: &Using,
        role: &StaticRole,
    ) -> Result<(), DatabaseError> {
        let name = std::slice::from_ref(&role.username);
        if role.owner_role.is_empty() && target.existing(name).await?.is_empty() {
            return Err(DatabaseError::Invalid(format!("there is no user {:?} in the database", role.username)));
        }
        // Drawn to see whether there is such a policy.
        self.password([&role.password_policy, &connection.password_policy]).await.map(drop)
    }

    pub(super) async fn static_role(&self, place: &Place) -> Result<Option<Seen<StaticRole>>, StoreError> {
        self.store.read(&place.key()).await
    }

    /// Writes the record with its rotation, provided that it is as it was seen.
    async fn write_static_record(
        &self,
        place: &Place,
        seen: Option<crate::storage::Revision>,
        role: &StaticRole,
        rotation: Batch,
    ) -> Result<(), DatabaseError> {
        let key = place.key();
        let other = Area::Role.key(&place.mount, &place.name);
        let mut batch = rotation.expect(key.clone(), seen).put(key, Store::encode(role)?);
        if seen.is_none() {
            batch = batch.expect(other.clone(), None);
        }
        match self.store.commit(batch).await? {
            Commit::Committed(_) => Ok(()),
            Commit::Conflict(key) if key == other => {
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
        let _turn = self.rotations.turn(&place.site()).await;
        Ok(self.remove_static_role(&place).await?)
    }

    /// Removes a static role with its rotation, whatever somebody else changes of them meanwhile.
    async fn remove_static_role(&self, place: &Place) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let rotation = self.rotations.without_role(&place.site()).await?;
            match self.store.commit(rotation.delete(place.key())).await? {
                Commit::Committed(_) => return Ok(()),
                Commit::Conflict(_) => {}
            }
        }
        Err(StoreError::Contended)
    }

    /// Changes the password of a static role now.
    ///
    /// # Errors
    /// When there is no such role, or its password could not be changed; it is tried again then.
    pub async fn rotate_role(&self, permit: Permit) -> Result<(), DatabaseError> {
        let place = Place::of(&permit, "rotate-role/", Area::StaticRole)?;
        permit.spend();
        if self.static_role(&place).await?.is_none() {
            return Err(DatabaseError::NoStaticRole);
        }
        let turn = self.rotations.turn(&place.site()).await;
        Ok(self.rotations.rotate_role(&turn).await?)
    }
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
            (false, role(u64::MAX, "", 0)),
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
    fn what_a_strategy_has_no_use_for_is_refused() {
        let of = |strategy, alternate: &str, owner: &str| StaticRole {
            strategy,
            username_alternate: alternate.to_owned(),
            owner_role: owner.to_owned(),
            ..role(60, "", 0)
        };
        let in_turns = of(Strategy::Alternating, "app_b", "owner");
        for (fit, role) in [
            (true, of(Strategy::InPlace, "", "")),
            (false, of(Strategy::InPlace, "app_b", "")),
            (false, of(Strategy::InPlace, "", "owner")),
            (true, of(Strategy::DualCredential, "", "owner")),
            (false, of(Strategy::DualCredential, "app_b", "")),
            (true, of(Strategy::Alternating, "app_b", "")),
            (false, of(Strategy::Alternating, "", "owner")),
            (false, of(Strategy::Alternating, "app", "owner")),
            (false, of(Strategy::Generated, "", "")),
            (false, of(Strategy::Hook, "", "")),
            (false, StaticRole { rotation_statements: vec!["SELECT 1".into()], ..in_turns.clone() }),
            (false, StaticRole { overlap_min: 7201, ..in_turns.clone() }),
            (true, in_turns),
        ] {
            assert_eq!(role.check().is_ok(), fit, "{role:?}");
        }
    }
}
