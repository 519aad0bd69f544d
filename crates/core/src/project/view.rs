//! Projects as they are seen: what is said of them, and the secrets that are there.

use std::{collections::BTreeMap, sync::Arc};

use ipnet::IpNet;

use super::{
    Config, ConfigName, Environment, Place, Project, ProjectError, Projects, config_of,
    names::{MAX_PROJECT, environment_of},
    place_of, project_of,
};
use crate::{
    clock::Timestamp,
    door::Permit,
    keys,
    kv::Secret,
    mount::Mount,
    store::{Seen, StoreError},
};

/// Configs of one project that are looked at, at most: others are secrets that are merely in a folder.
const MAX_CONFIGS: usize = 2000;

/// A project in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectSummary {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// When it was made.
    pub created: Timestamp,
}

/// An environment, whether somebody made it or a config's name says that it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentView {
    /// Its slug.
    pub slug: String,
    /// For people.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Whether everybody may have a config of their own in it.
    pub personal_configs: bool,
    /// When one of its configs was first fetched.
    pub initial_fetch: Option<Timestamp>,
}

/// A config, whether something is said about it or its secret is merely there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigView {
    /// Its name.
    pub name: String,
    /// The slug of its environment.
    pub environment: String,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it can be neither renamed nor deleted.
    pub locked: bool,
    /// Whether configs of other environments and projects may inherit from it.
    pub inheritable: bool,
    /// From which it inherits beside its root, the strongest last.
    pub inherits: Vec<ConfigName>,
    /// Where it may be read and written from; empty: from everywhere.
    pub trusted: Vec<IpNet>,
    /// When it was first fetched.
    pub initial_fetch: Option<Timestamp>,
    /// When it was last fetched.
    pub last_fetch: Option<Timestamp>,
    /// Whether it was made as a branch. One that merely is a secret of that name, written through another door, does not
    /// have its root's secrets: whoever may write that one path may not read the root.
    pub branch: bool,
    /// The number of its secret's current version; 0: there is none.
    pub version: u64,
}

impl ConfigView {
    /// Whether it is its environment's own, not a branch.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.name == self.environment
    }

    /// The name of the config whose secrets it has where it has none of its own.
    #[must_use]
    pub fn inherits_root(&self) -> Option<&str> {
        (self.branch && !self.is_root()).then_some(self.environment.as_str())
    }

    fn of_record(config: Config, version: u64) -> Self {
        Self {
            name: config.name,
            environment: config.environment,
            created: config.created,
            locked: config.locked,
            inheritable: config.inheritable,
            inherits: config.inherits,
            trusted: config.trusted,
            initial_fetch: config.initial_fetch,
            last_fetch: config.last_fetch,
            branch: config.branch,
            version,
        }
    }

    fn of_secret(name: &str, environment: &str, secret: &Secret) -> Self {
        let config = Config::new(name, environment, secret.created);
        Self::of_record(config, secret.current())
    }
}

/// A project with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectView {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// When it was made.
    pub created: Timestamp,
    /// In the order in which they were made; after them those that only configs' names say.
    pub environments: Vec<EnvironmentView>,
    /// Ascending by name.
    pub configs: Vec<ConfigView>,
}

impl ProjectView {
    /// A config.
    #[must_use]
    pub fn config(&self, name: &str) -> Option<&ConfigView> {
        self.configs.iter().find(|config| config.name == name)
    }

    /// An environment.
    #[must_use]
    pub fn environment(&self, slug: &str) -> Option<&EnvironmentView> {
        self.environments.iter().find(|environment| environment.slug == slug)
    }

    /// How it looks in a list.
    #[must_use]
    pub fn summary(&self) -> ProjectSummary {
        ProjectSummary { name: self.name.clone(), description: self.description.clone(), created: self.created }
    }

    fn of(name: &str, record: Option<Project>, mut secrets: BTreeMap<String, Secret>) -> Option<Self> {
        let first = secrets.values().map(|secret| secret.created).min();
        let record = record.or_else(|| first.map(|created| Project::new(String::new(), created)))?;
        let Project { description, created, environments, configs } = record;
        let mut views: Vec<ConfigView> = configs
            .into_iter()
            .map(|config| {
                let version = secrets.remove(&config.name).map_or(0, |secret| secret.current());
                ConfigView::of_record(config, version)
            })
            .collect();
        for (name, secret) in &secrets {
            let known = environments.iter().map(|environment| environment.slug.as_str());
            views.push(ConfigView::of_secret(name, environment_of(name, known), secret));
        }
        views.sort_by(|a, b| a.name.cmp(&b.name));
        let environments = environment_views(environments, &views);
        Some(Self { name: name.to_owned(), description, created, environments, configs: views })
    }
}

fn environment_views(declared: Vec<Environment>, configs: &[ConfigView]) -> Vec<EnvironmentView> {
    let mut views: Vec<EnvironmentView> = declared
        .into_iter()
        .map(|Environment { slug, name, created, personal_configs }| EnvironmentView {
            slug,
            name,
            created,
            personal_configs,
            initial_fetch: None,
        })
        .collect();
    for config in configs {
        let at = views.iter().position(|view| view.slug == config.environment).unwrap_or_else(|| {
            views.push(EnvironmentView {
                slug: config.environment.clone(),
                name: config.environment.clone(),
                created: config.created,
                personal_configs: false,
                initial_fetch: None,
            });
            views.len() - 1
        });
        let view = &mut views[at];
        view.initial_fetch = [view.initial_fetch, config.initial_fetch].into_iter().flatten().min();
    }
    views
}

impl Projects {
    /// All projects of a mount, by name.
    ///
    /// # Errors
    /// When the permit is for another place, or the store fails.
    pub async fn list(&self, permit: Permit) -> Result<Vec<ProjectSummary>, ProjectError> {
        if place_of(&permit)? != Place::Mount {
            return Err(ProjectError::NoPlace);
        }
        let mount = Arc::clone(permit.mount());
        permit.spend();
        let mut all = BTreeMap::new();
        for (name, record) in self.store.read_all::<Project>(&keys::projects(&mount.uuid)).await? {
            let name = String::from_utf8_lossy(&name).into_owned();
            let Project { description, created, .. } = record;
            all.insert(name.clone(), ProjectSummary { name, description, created });
        }
        for child in self.store.children(&keys::kv_metas(&mount.uuid)).await? {
            let Some(name) = child.strip_suffix('/').filter(|name| (1..=MAX_PROJECT).contains(&name.len())) else {
                continue;
            };
            if all.contains_key(name) {
                continue;
            }
            if let Some(created) = self.first_created(&mount, name).await? {
                let (name, description) = (name.to_owned(), String::new());
                all.insert(name.clone(), ProjectSummary { name, description, created });
            }
        }
        Ok(all.into_values().collect())
    }

    async fn first_created(&self, mount: &Mount, project: &str) -> Result<Option<Timestamp>, StoreError> {
        let prefix = keys::kv_meta(&mount.uuid, &format!("{project}/"));
        let first = self.store.barrier.scan(&prefix, None, 1).await?;
        let secret = first.first().map(|(_, record)| crate::codec::decode::<Secret>(&record.plaintext)).transpose()?;
        Ok(secret.map(|secret| secret.created))
    }

    /// A project with all that is in it.
    ///
    /// # Errors
    /// [`ProjectError::NotFound`].
    pub async fn read(&self, permit: Permit) -> Result<ProjectView, ProjectError> {
        let (mount, project) = project_of(&permit)?;
        permit.spend();
        self.view(&mount, &project).await?.ok_or_else(|| ProjectError::no_project(&project))
    }

    /// A config, and its project as it is in a list.
    ///
    /// # Errors
    /// [`ProjectError::NotFound`].
    pub async fn read_config(&self, permit: Permit) -> Result<(ProjectSummary, ConfigView), ProjectError> {
        let (mount, project, config) = config_of(&permit)?;
        permit.spend();
        let record = self.record(&mount, &project).await?.map(|seen| seen.value);
        let secret = self.secret(&mount, &project, &config).await?;
        let summary = |created, description| ProjectSummary { name: project.clone(), description, created };
        match (record, secret) {
            (Some(record), secret) => {
                let summary = summary(record.created, record.description.clone());
                let view = one_config(&record, &config, secret.as_ref());
                view.map(|view| (summary, view)).ok_or_else(|| ProjectError::no_config(&config))
            }
            (None, Some(secret)) => {
                let environment = environment_of(&config, [].into_iter());
                Ok((summary(secret.created, String::new()), ConfigView::of_secret(&config, environment, &secret)))
            }
            (None, None) => match self.first_created(&mount, &project).await? {
                Some(_) => Err(ProjectError::no_config(&config)),
                None => Err(ProjectError::no_project(&project)),
            },
        }
    }

    pub(super) async fn record(&self, mount: &Mount, project: &str) -> Result<Option<Seen<Project>>, StoreError> {
        self.store.read(&keys::project(&mount.uuid, project)).await
    }

    /// The secret of a config, unless it is scheduled for deletion.
    pub(super) async fn secret(
        &self,
        mount: &Mount,
        project: &str,
        config: &str,
    ) -> Result<Option<Secret>, StoreError> {
        let key = keys::kv_meta(&mount.uuid, &format!("{project}/{config}"));
        if key.len() > crate::storage::MAX_KEY_LEN {
            return Ok(None);
        }
        let found = self.store.read::<Secret>(&key).await?.map(|seen| seen.value);
        Ok(found.filter(|secret| secret.recovery.is_none()))
    }

    pub(super) async fn view(&self, mount: &Mount, project: &str) -> Result<Option<ProjectView>, StoreError> {
        if project.len() > MAX_PROJECT {
            return Ok(None);
        }
        let record = self.record(mount, project).await?.map(|seen| seen.value);
        let mut secrets = BTreeMap::new();
        let prefix = keys::kv_meta(&mount.uuid, &format!("{project}/"));
        for name in self.store.children(&prefix).await?.into_iter().take(MAX_CONFIGS) {
            if name.ends_with('/') {
                continue;
            }
            if let Some(secret) = self.secret(mount, project, &name).await? {
                secrets.insert(name, secret);
            }
        }
        Ok(ProjectView::of(project, record, secrets))
    }
}

fn one_config(record: &Project, name: &str, secret: Option<&Secret>) -> Option<ConfigView> {
    if let Some(config) = record.config(name) {
        return Some(ConfigView::of_record(config.clone(), secret.map_or(0, Secret::current)));
    }
    let known = record.environments.iter().map(|environment| environment.slug.as_str());
    secret.map(|secret| ConfigView::of_secret(name, environment_of(name, known), secret))
}
