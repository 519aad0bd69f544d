//! Which credential is in use, whatever the state: what a drill looks at before, during and after a rotation.

use super::{Inner, Rotation, Settings, Site, Strategy, machine::StepError, record::Credential};
use crate::{
    clock::{SignedDuration, Timestamp},
    consumers::{Consumer, Readers},
    kv::RotatingError,
    store::StoreError,
    target::Session,
};

/// Who uses the current credential, and who another.
#[derive(Debug, Clone, Default)]
pub struct InUse {
    /// The current version and its principal; version 0: there is none.
    pub current: Credential,
    /// Consumers whose last read within the look-back was of another version.
    pub behind: Vec<Consumer>,
    /// Sessions that are open at the target as the current version's principal.
    pub sessions: Vec<Session>,
    /// Sessions as the rotation's other principals.
    pub other_sessions: Vec<Session>,
    /// Why sessions are no evidence here; empty: they are.
    pub unknown: String,
}

impl Inner {
    pub(super) async fn in_use(
        &self,
        site: &Site,
        rotation: &Rotation,
        readers: &Readers,
    ) -> Result<InUse, StoreError> {
        let settings = &rotation.settings;
        let current = match self.current(site, settings).await {
            Ok(current) => current,
            Err(StepError::Store(error)) => return Err(error),
            Err(error) => return Ok(InUse { unknown: error.to_string(), ..InUse::default() }),
        };
        let seconds = i64::try_from(settings.look_back).unwrap_or(i64::MAX);
        let since = self.store.now().checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
        let is_behind = |one: &&Consumer| one.version != current.version && one.at >= since;
        let behind = readers.consumers.iter().filter(is_behind).cloned().collect();
        let mut found = InUse { current, behind, ..InUse::default() };
        if settings.strategy != Strategy::Alternating {
            found.unknown =
                format!("sessions do not tell credentials apart with the strategy {}", settings.strategy.name());
            return Ok(found);
        }
        match self.sessions(site, settings).await {
            Ok(sessions) => {
                let is_current = |one: &Session| one.username == found.current.username;
                (found.sessions, found.other_sessions) = sessions.into_iter().partition(is_current);
            }
            Err(StepError::Store(error)) => return Err(error),
            Err(error) => found.unknown = format!("the target does not say who is connected: {error}"),
        }
        Ok(found)
    }

    async fn sessions(&self, site: &Site, settings: &Settings) -> Result<Vec<Session>, StepError> {
        Ok(self.target(site, settings).await?.sessions(&settings.users).await?)
    }

    /// The current version, and the principal that it holds if that is one of the rotation's.
    async fn current(&self, site: &Site, settings: &Settings) -> Result<Credential, StepError> {
        let version = match self.current_version(site).await {
            Ok(version) => version,
            Err(RotatingError::Gone) => 0,
            Err(error) => return Err(error.into()),
        };
        let payload = if version == 0 { None } else { self.payload(site, version).await? };
        let name = payload.and_then(|payload| payload.secret_field(&settings.username_field));
        let username =
            name.and_then(|name| settings.users.iter().find(|user| user.as_str() == name.expose_secret()).cloned());
        Ok(Credential { version, username: username.unwrap_or_default() })
    }
}
