//! The fields of a config that a rotation keeps: their values are what a target was told, so they are not set by hand.

use super::{ConfigError, reading::Reading};
use crate::{
    core::Core,
    door::Permit,
    keys,
    project::ConfigName,
    rotation::{Rotation, Strategy},
};

impl Reading<'_> {
    /// The names of the fields that a rotation of one config keeps; none if it has no rotation. A hook's are its own.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rotated_fields(&self, config: &ConfigName) -> Result<Vec<String>, ConfigError> {
        let secret = self.places.get(config).and_then(|place| place.secret.as_ref());
        if !secret.is_some_and(|seen| seen.value.rotated) {
            return Ok(Vec::new());
        }
        let key = keys::kv_rotation(&self.mount.uuid, &format!("{}/{}", config.project, config.config));
        let found = self.core.store().read::<Rotation>(&key).await?;
        let Some(settings) = found.map(|seen| seen.value.settings) else { return Ok(Vec::new()) };
        let username = settings.strategy.has_target().then_some(settings.username_field);
        let password = (settings.strategy != Strategy::Hook).then_some(settings.password_field);
        Ok(username.into_iter().chain(password).collect())
    }
}

impl Core {
    /// The names of a config's own fields that its rotation keeps.
    ///
    /// # Errors
    /// [`ConfigError::NotFound`], or when the store fails.
    pub async fn kept_by_rotation(&self, permit: Permit) -> Result<Vec<String>, ConfigError> {
        let reading = self.read_config(permit).await?;
        reading.rotated_fields(reading.target()).await
    }
}
