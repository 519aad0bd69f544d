//! What happened to the structure of a mount: one line for each change, committed with it.

use serde::{Deserialize, Serialize};

use super::{Place, ProjectError, Projects, place_of};
use crate::{
    barrier::Batch,
    clock::{SignedDuration, Timestamp, nanos},
    door::Permit,
    keys,
    mount::Mount,
    store::{Store, StoreError},
};

/// Days for which a line is kept.
const KEPT_DAYS: i64 = 365;
/// Old lines that each new one takes with it.
const SWEPT: usize = 4;

/// A change of structure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// When.
    #[serde(with = "nanos")]
    pub time: Timestamp,
    /// The display name of whose token did it.
    pub by: String,
    /// What happened.
    pub text: String,
    /// In which project.
    pub project: Option<String>,
    /// In which environment.
    pub environment: Option<String>,
    /// In which config.
    pub config: Option<String>,
}

/// What is to be told of a change.
pub(super) struct Told {
    text: String,
    environment: Option<String>,
    config: Option<String>,
}

impl Told {
    pub(super) fn of_project(text: String) -> Self {
        Self { text, environment: None, config: None }
    }

    pub(super) fn of_environment(text: String, environment: &str) -> Self {
        Self { text, environment: Some(environment.to_owned()), config: None }
    }

    pub(super) fn of_config(text: String, environment: &str, config: &str) -> Self {
        Self { text, environment: Some(environment.to_owned()), config: Some(config.to_owned()) }
    }

    pub(super) fn by(self, by: String, time: Timestamp, project: &str) -> Activity {
        let Self { text, environment, config } = self;
        Activity { time, by, text, project: Some(project.to_owned()), environment, config }
    }
}

impl Projects {
    /// Adds a line to a commit, and takes a few that are past their time out.
    pub(super) async fn log_into(&self, mount: &Mount, batch: Batch, event: Activity) -> Result<Batch, StoreError> {
        let random: [u8; 4] = self.store.random.bytes()?;
        let id = format!("{:016x}-{}", event.time.as_nanosecond().max(0), hex::encode(random));
        let mut batch = batch.put(keys::activity(&mount.uuid, &id), Store::encode(&event)?);
        let oldest = event.time.checked_sub(SignedDuration::from_hours(24 * KEPT_DAYS)).unwrap_or(Timestamp::MIN);
        let end = keys::activity(&mount.uuid, &format!("{:016x}", oldest.as_nanosecond().max(0)));
        for key in self.store.barrier.keys(&keys::activities(&mount.uuid), None, SWEPT).await? {
            if key < end {
                batch = batch.delete(key);
            }
        }
        Ok(batch)
    }

    /// What happened, the newest first: `skip` lines are left out, then at most `take` are told.
    ///
    /// # Errors
    /// When the permit is for another place, or the store fails.
    pub async fn activity(
        &self,
        permit: Permit,
        skip: usize,
        take: usize,
    ) -> Result<Vec<(String, Activity)>, ProjectError> {
        if place_of(&permit)? != Place::Mount {
            return Err(ProjectError::NoPlace);
        }
        let mount = permit.mount().clone();
        permit.spend();
        let mut ids = self.store.names(&keys::activities(&mount.uuid)).await?;
        ids.reverse();
        let mut lines = Vec::new();
        for id in ids.into_iter().skip(skip).take(take) {
            if let Some(seen) = self.store.read::<Activity>(&keys::activity(&mount.uuid, &id)).await? {
                lines.push((id, seen.value));
            }
        }
        Ok(lines)
    }

    /// One line.
    ///
    /// # Errors
    /// [`ProjectError::NotFound`].
    pub async fn activity_line(&self, permit: Permit, id: &str) -> Result<Activity, ProjectError> {
        if place_of(&permit)? != Place::Mount {
            return Err(ProjectError::NoPlace);
        }
        let mount = permit.mount().clone();
        permit.spend();
        let missing = || ProjectError::NotFound { what: "log", name: id.chars().take(60).collect() };
        if id.len() > 60 {
            return Err(missing());
        }
        let found = self.store.read::<Activity>(&keys::activity(&mount.uuid, id)).await?;
        found.map(|seen| seen.value).ok_or_else(missing)
    }
}
