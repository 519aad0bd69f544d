//! The dynamic secrets of a config that is read: what it would be given if its reader asked for them.
//!
//! They are inherited as other values are. A config that has a value of its own by one of the names that an inherited
//! one takes does not have that one: half a credential is of no use. In the config that a dynamic secret is of, its
//! values count more than fields that another API wrote by their names.

use std::{collections::BTreeSet, sync::Arc};

use super::{ConfigError, reading::Reading};
use crate::{
    core::Core,
    door::Caller,
    mount::Mount,
    project::{ConfigName, DynamicSecret, ProjectError, names_taken},
};

/// A dynamic secret that a caller may have, since they were let read its config. Only a reading makes it.
#[derive(Debug, Clone)]
pub struct Dynamic {
    id: String,
    name: String,
    path: String,
    caller: Arc<Caller>,
}

impl Dynamic {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its credentials come from.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }
}

impl Reading<'_> {
    /// The dynamic secrets of the config, its own and those that it inherits, by name.
    #[must_use]
    pub fn dynamic(&self) -> Vec<Dynamic> {
        let mut taken: BTreeSet<String> = BTreeSet::new();
        let mut all = Vec::new();
        for layer in self.layers() {
            let mut own = BTreeSet::new();
            for secret in self.dynamic_of(layer) {
                let names: Vec<String> = names_taken(&secret.name).collect();
                if names.iter().any(|name| taken.contains(name)) {
                    continue;
                }
                own.extend(names);
                let mount = self.core.mounts().with_uuid(&secret.mount);
                let (Some(mount), Some(caller)) = (mount, self.caller()) else { continue };
                all.push(Dynamic {
                    id: secret.id.clone(),
                    name: secret.name.clone(),
                    path: format!("{}creds/{}", mount.path, secret.role),
                    caller: Arc::clone(caller),
                });
            }
            let fields = self.places.get(layer).into_iter().flat_map(|place| place.outline.links.keys());
            taken.extend(fields.map(ToString::to_string));
            taken.extend(own);
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// What is said to be dynamic in one config.
    pub(super) fn dynamic_of(&self, layer: &ConfigName) -> impl Iterator<Item = &DynamicSecret> {
        let project = self.projects.get(&layer.project).and_then(|(_, project)| project.as_ref());
        project.and_then(|project| project.config(&layer.config)).into_iter().flat_map(|config| &config.dynamic)
    }

    /// The dynamic secret of one config that takes a name, if one does.
    #[must_use]
    pub fn dynamic_taking(&self, config: &ConfigName, name: &str) -> Option<&str> {
        let mut all = self.dynamic_of(config).map(|secret| secret.name.as_str());
        all.find(|secret| names_taken(secret).any(|taken| taken == name))
    }
}

impl Core {
    /// The names of a config's own fields.
    pub(crate) async fn own_names(
        &self,
        mount: &Arc<Mount>,
        project: &str,
        config: &str,
        caller: Option<Arc<Caller>>,
    ) -> Result<BTreeSet<String>, ProjectError> {
        let name = ConfigName { project: project.to_owned(), config: config.to_owned() };
        let reading = match self.open_reading(Arc::clone(mount), name, caller).await {
            Ok(reading) => reading,
            Err(ConfigError::NotFound(name)) => return Err(ProjectError::NotFound { what: "config", name }),
            Err(ConfigError::Store(error)) => return Err(error.into()),
            Err(error) => return Err(ProjectError::Invalid(error.to_string())),
        };
        let own = reading.places.get(reading.target()).into_iter().flat_map(|place| place.outline.links.keys());
        Ok(own.map(ToString::to_string).collect())
    }
}
