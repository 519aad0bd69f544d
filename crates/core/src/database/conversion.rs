//! Static roles as earlier builds kept them: settings, password and plan in one record, rotated by the database
//! engine itself. When the store is opened, each becomes a role and a rotation, in one commit.
//!
//! ```text
//! database/<uuid>/static/<name>          Old, in MessagePack
//! database/<uuid>/due/<seconds>/<name>   when it was to be rotated; no content
//! ```

use std::sync::Arc;

use serde::Deserialize;

use super::{
    Area, Database, Place, StaticRole,
    candidate::Candidate,
    static_store::{Credentials, Kept},
};
use crate::{
    clock::{Timestamp, nanos},
    keys,
    login::kept,
    mount::{Engine, Mount},
    rotation::{Credential, Phase, Rotation, Rotations, Run},
    secret::SecretString,
    store::{PAGE, Seen, Store, StoreError},
};

/// The folder of such records.
const FOLDER: &str = "static";

#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
struct Old {
    db_name: String,
    username: String,
    rotation_period: u64,
    rotation_schedule: String,
    rotation_window: u64,
    rotation_statements: Vec<String>,
    password_policy: String,
    skip_import_rotation: bool,
    #[serde(with = "kept")]
    password: SecretString,
    candidate: Option<Candidate>,
    #[serde(with = "nanos::option")]
    last_rotation: Option<Timestamp>,
    #[serde(with = "nanos")]
    scheduled: Timestamp,
    #[serde(with = "nanos")]
    due: Timestamp,
    failures: u32,
}

impl Old {
    /// The role and its rotation. A password that may have been set is one that is being set.
    fn convert(self, id: &str, now: Timestamp) -> (StaticRole, Rotation) {
        let keep = |version, password, since| Kept {
            version,
            id: format!("{id}-{version}"),
            username: self.username.clone(),
            password,
            since,
        };
        let last = self.last_rotation;
        let current = (!self.password.is_empty()).then(|| keep(1, self.password.clone(), last));
        let pending = self.candidate.map(|candidate| keep(2, candidate.password, None));
        let credentials = Credentials { last: 2, current, previous: None, pending };
        let role = StaticRole {
            db_name: self.db_name,
            username: self.username.clone(),
            rotation_period: self.rotation_period,
            rotation_schedule: self.rotation_schedule,
            rotation_window: self.rotation_window,
            rotation_statements: self.rotation_statements,
            password_policy: self.password_policy,
            skip_import_rotation: self.skip_import_rotation,
            credentials,
            ..StaticRole::default()
        };
        let mut rotation = Rotation::new(role.settings(), last.unwrap_or(now));
        rotation.rotated = last;
        (rotation.next, rotation.wake) = (Some(self.scheduled), Some(self.due));
        let at = |kept: &Kept| Credential { version: kept.version, username: kept.username.clone() };
        let old = role.credentials.current.as_ref().map(at);
        match &role.credentials.pending {
            None => rotation.retries = self.failures,
            Some(pending) => {
                rotation.phase = Phase::Setting;
                rotation.run = Some(Run {
                    id: pending.id.clone(),
                    began: now,
                    promoted: None,
                    new: at(pending),
                    base: old.as_ref().map_or(0, |old| old.version),
                    old,
                    made: false,
                    rehearsal: false,
                    attempts: self.failures,
                    reason: String::new(),
                });
            }
        }
        (role, rotation)
    }
}

impl Database {
    /// Converts what there is of such roles; where there is none, a look-up for each mount.
    pub(crate) async fn convert_static_roles(&self, mounts: &[Arc<Mount>]) -> Result<(), StoreError> {
        for mount in mounts.iter().filter(|mount| mount.engine == Engine::Database) {
            let prefix = keys::database(&mount.uuid, FOLDER, "");
            loop {
                let page = self.store.barrier.keys(&prefix, None, PAGE).await?;
                if page.is_empty() {
                    break;
                }
                for key in page {
                    let name = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
                    let place = Place { mount: mount.uuid.clone(), area: Area::StaticRole, name };
                    self.convert_static_role(&place, &key).await?;
                }
            }
        }
        Ok(())
    }

    async fn convert_static_role(&self, place: &Place, key: &[u8]) -> Result<(), StoreError> {
        let Some(Seen { revision, value }) = self.store.read::<Old>(key).await? else { return Ok(()) };
        let second = format!("{:016x}/{}", value.due.as_second().max(0), place.name);
        let id = self.store.random.uuid()?.to_string();
        let (role, rotation) = value.convert(&id, self.store.now());
        let batch = Rotations::converted(place.site(), rotation)?
            .expect(key, Some(revision))
            .delete(key)
            .delete(keys::database(&place.mount, "due", &second))
            .put(place.key(), Store::encode(&role)?);
        self.store.apply(batch).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    fn old(password: &str, candidate: Option<&str>) -> Old {
        let at = |second| Timestamp::from_second(second).expect("a time");
        Old {
            db_name: "pg".to_owned(),
            username: "app".to_owned(),
            rotation_period: 60,
            rotation_schedule: String::new(),
            rotation_window: 0,
            rotation_statements: vec!["SELECT 1".to_owned()],
            password_policy: "strong".to_owned(),
            skip_import_rotation: true,
            password: password.into(),
            candidate: candidate.map(|password| Candidate::new(password.into())),
            last_rotation: (!password.is_empty()).then(|| at(100)),
            scheduled: at(160),
            due: at(170),
            failures: 3,
        }
    }

    fn converted(password: &str, candidate: Option<&str>) -> (StaticRole, Rotation) {
        let record = codec::encode(&old(password, candidate)).expect("encodes");
        let read: Old = codec::decode(&record).expect("a record");
        let (role, rotation) = read.convert("id", Timestamp::from_second(165).expect("a time"));
        let stored = codec::encode(&role).expect("encodes");
        (codec::decode(&stored).expect("a record"), rotation)
    }

    #[test]
    fn settings_password_and_plan_stay() {
        let (role, rotation) = converted("pw", None);
        let current = role.credentials.current.as_ref().expect("a password");
        assert_eq!((current.version, current.password.expose_secret()), (1, "pw"));
        assert_eq!(role.last_rotation(), rotation.rotated);
        assert_eq!((role.rotation_period, role.password_policy.as_str()), (60, "strong"));
        assert_eq!(rotation.settings, role.settings());
        let seconds = |at: Option<Timestamp>| at.map(Timestamp::as_second);
        assert_eq!((seconds(rotation.next), seconds(rotation.wake), rotation.retries), (Some(160), Some(170), 3));
        assert_eq!((rotation.phase, rotation.run), (Phase::Idle, None));
    }

    #[test]
    fn a_password_in_doubt_is_one_that_is_being_set() {
        for (password, base) in [("pw", 1), ("", 0)] {
            let (role, rotation) = converted(password, Some("next"));
            let pending = role.credentials.pending.as_ref().expect("a password");
            let run = rotation.run.expect("under way");
            assert_eq!((rotation.phase, run.base, run.attempts), (Phase::Setting, base, 3));
            assert_eq!((run.new.version, run.id), (pending.version, pending.id.clone()));
            assert_eq!(run.old.map(|old| old.version), (base > 0).then_some(base));
            assert_eq!(role.credentials.current.is_some(), base > 0);
        }
    }
}
