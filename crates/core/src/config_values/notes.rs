//! Notes on secrets, for people: what a name means, the same in all configs of a project.

use std::{collections::BTreeMap, sync::Arc};

use super::{ConfigError, MANAGED, content::is_shown, reading::Reading};
use crate::{
    core::Core,
    door::Permit,
    keys,
    kv::KvError,
    mount::{Engine, Mount},
    store::StoreError,
};

/// Notes of one project at the most.
const MAX_NOTES: usize = 5000;
/// The longest note, in bytes.
const MAX_NOTE: usize = 4096;

impl Core {
    /// The notes of the project whose config is read, by the names of secrets.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn notes_of(&self, reading: &Reading<'_>) -> Result<BTreeMap<String, String>, ConfigError> {
        Ok(self.notes(&reading.mount, &reading.target().project).await?)
    }

    async fn notes(&self, mount: &Mount, project: &str) -> Result<BTreeMap<String, String>, StoreError> {
        let found = self.store().read(&keys::secret_notes(&mount.uuid, project)).await?;
        Ok(found.map(|seen| seen.value).unwrap_or_default())
    }

    /// Writes a note on the secrets of that name in all configs of a project; an empty one takes it away. The permit is
    /// for writing one of its configs, or for the project.
    ///
    /// # Errors
    /// [`ConfigError::NoPlace`]; [`ConfigError::Kv`] when the name or the note is unfit.
    pub async fn set_note(&self, permit: Permit, secret: &str, note: &str) -> Result<(), ConfigError> {
        let (mount, project) = project_of(&permit)?;
        permit.spend();
        let invalid = |text: &str| Err(ConfigError::Kv(KvError::Invalid(text.to_owned())));
        if !is_shown(secret) || MANAGED.contains(&secret) {
            return invalid(
                "a note is for the name of a secret: letters, digits and underscores, none of Doppler's own",
            );
        }
        if note.len() > MAX_NOTE {
            return invalid("a note has at most 4096 bytes");
        }
        let key = keys::secret_notes(&mount.uuid, &project);
        let _lock = self.store().lock(&key).await;
        let mut notes = self.notes(&mount, &project).await?;
        if note.is_empty() {
            notes.remove(secret);
        } else {
            notes.insert(secret.to_owned(), note.to_owned());
        }
        if notes.len() > MAX_NOTES {
            return invalid("the project has 5000 notes on secrets, and no place for more");
        }
        Ok(self.store().write(key, &notes).await?)
    }
}

/// The project of a permit for `data/PROJECT/CONFIG` or `metadata/PROJECT/`.
fn project_of(permit: &Permit) -> Result<(Arc<Mount>, String), ConfigError> {
    if permit.mount().engine != Engine::Kv2 {
        return Err(ConfigError::NoPlace);
    }
    let project = match permit.rest().split('/').collect::<Vec<_>>().as_slice() {
        ["data", project, config] if !config.is_empty() => *project,
        ["metadata", project, ""] => *project,
        _ => return Err(ConfigError::NoPlace),
    };
    if project.is_empty() { Err(ConfigError::NoPlace) } else { Ok((Arc::clone(permit.mount()), project.to_owned())) }
}
