//! Projects, environments and configs: an order that is laid over the secrets of a versioned mount.
//!
//! The secret `PROJECT/CONFIG` is a config: its fields are what the config holds, its versions are the config's history.
//! A config is a root, named like its environment (`dev`), or one of the environment's branches (`dev_x`). What is said
//! beside the secret (descriptions, locks, who inherits from whom) is in one record for each project, so that a change
//! of structure is one commit. A secret that was written through another door is a config without being named there:
//! see [`ProjectView`].
//!
//! ```text
//! kv/<uuid>/project/<name>     Project: its environments and configs
//! ```
//!
//! Permits for structure are for the `metadata` area of the mount, which the name of a thing comes from:
//!
//! | what | path |
//! |---|---|
//! | all projects | `MOUNT/metadata/` |
//! | a project, its environments, the list of its configs | `MOUNT/metadata/PROJECT/` |
//! | a config | `MOUNT/metadata/PROJECT/CONFIG` |

mod activity;
mod configs;
mod draft;
mod dynamic;
mod fetches;
mod follow;
mod import;
mod names;
mod projects;
mod record;
mod scope;
mod tokens;
mod trusted;
mod view;
mod webhooks;

use std::{net::IpAddr, sync::Arc};

pub use activity::Activity;
pub(crate) use dynamic::names_taken;
pub use dynamic::{DynamicView, value_names};
pub use import::{NewConfigValues, NewEnvironment, NewProject};
pub(crate) use names::environment_of_config;
pub use names::{MAX_CONFIG, MAX_ENVIRONMENT, MAX_PROJECT, slug_of};
pub use projects::EnvironmentChange;
pub use record::{Config, ConfigName, DynamicSecret, Environment, Project};
pub use scope::{Access, ConfigScope};
pub(crate) use scope::{is_scope, policy_of, scope_of};
pub use tokens::{NewServiceToken, ServiceToken};
pub use view::{ConfigView, EnvironmentView, ProjectSummary, ProjectView};
pub use webhooks::{Webhook, WebhookAuth, WebhookChange};

use self::{fetches::Fetches, follow::Followed, trusted::Trusted};
use crate::{
    door::Permit,
    keys,
    mount::{Engine, Mount, Mounts},
    outbox::Outbox,
    store::{Store, StoreError},
    token::Tokens,
};

/// An operation on structure failed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The permit is for no place of this kind.
    #[error("the mount does not hold projects: it must be a kv mount of version 2")]
    NoPlace,
    /// There is no such thing.
    #[error("Could not find requested {what} '{name}'")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// There is one already.
    #[error("{what} '{name}' already exists")]
    Exists {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A name or a wish contradicts a rule; the text says which.
    #[error("{0}")]
    Invalid(String),
    /// The config is locked.
    #[error("config '{0}' is locked: unlock it first")]
    Locked(String),
    /// The caller may not do what the operation has become.
    #[error("permission denied")]
    Denied,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ProjectError {
    fn no_project(name: &str) -> Self {
        Self::NotFound { what: "project", name: name.to_owned() }
    }

    fn no_config(name: &str) -> Self {
        Self::NotFound { what: "config", name: name.to_owned() }
    }

    fn no_environment(name: &str) -> Self {
        Self::NotFound { what: "environment", name: name.to_owned() }
    }
}

/// The projects of all mounts.
pub struct Projects {
    store: Arc<Store>,
    tokens: Arc<Tokens>,
    trusted: Trusted,
    fetches: Fetches,
    followed: Followed,
    outbox: Arc<Outbox>,
}

impl Projects {
    pub(crate) async fn load(
        store: Arc<Store>,
        tokens: Arc<Tokens>,
        mounts: &Mounts,
        outbox: Arc<Outbox>,
    ) -> Result<Self, StoreError> {
        let (trusted, fetches, followed) = (Trusted::default(), Fetches::default(), Followed::of(&store));
        outbox.register(webhooks::CHANNEL, Arc::new(follow::Webhooks { store: Arc::clone(&store) }));
        let projects = Self { store, tokens, trusted, fetches, followed, outbox };
        for mount in mounts.all().into_iter().filter(|mount| mount.engine == Engine::Kv2) {
            projects.load_followed(&mount.uuid).await?;
            for (name, record) in projects.store.read_all::<Project>(&keys::projects(&mount.uuid)).await? {
                projects.trusted.learn(&mount.uuid, &String::from_utf8_lossy(&name), Some(&record));
            }
        }
        Ok(projects)
    }

    /// Whether a path below a mount may be used from an address, as far as its config says.
    pub(crate) fn trusts(&self, mount: &Mount, rest: &str, address: Option<IpAddr>) -> bool {
        self.trusted.allows(&mount.uuid, rest, address)
    }
}

/// What a permit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'p> {
    /// All projects of the mount.
    Mount,
    /// A project.
    Project(&'p str),
    /// A config.
    Config(&'p str, &'p str),
}

/// Where a permit leads: the names come from its path and from nowhere else.
fn place_of(permit: &Permit) -> Result<Place<'_>, ProjectError> {
    if permit.mount().engine != Engine::Kv2 {
        return Err(ProjectError::NoPlace);
    }
    let rest = permit.rest().strip_prefix("metadata/").ok_or(ProjectError::NoPlace)?;
    match rest.split_once('/') {
        None if rest.is_empty() => Ok(Place::Mount),
        Some((project, "")) if !project.is_empty() => Ok(Place::Project(project)),
        Some((project, config)) if !project.is_empty() && !config.contains('/') => Ok(Place::Config(project, config)),
        _ => Err(ProjectError::NoPlace),
    }
}

fn project_of(permit: &Permit) -> Result<(Arc<Mount>, String), ProjectError> {
    match place_of(permit)? {
        Place::Project(project) => Ok((Arc::clone(permit.mount()), project.to_owned())),
        _ => Err(ProjectError::NoPlace),
    }
}

fn config_of(permit: &Permit) -> Result<(Arc<Mount>, String, String), ProjectError> {
    match place_of(permit)? {
        Place::Config(project, config) => Ok((Arc::clone(permit.mount()), project.to_owned(), config.to_owned())),
        _ => Err(ProjectError::NoPlace),
    }
}
