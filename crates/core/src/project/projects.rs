//! Changes of whole projects and of their environments.

use super::{
    Environment, Project, ProjectError, ProjectSummary, ProjectView, Projects,
    activity::Told,
    draft::{ATTEMPTS, By},
    names::{belongs, check_environment, check_project},
    project_of,
};
use crate::{
    barrier::Batch,
    door::Permit,
    keys,
    kv::relocate::{Load, moving, removing},
    store::{Store, StoreError},
};

/// What an environment is to be; `None` leaves as it is.
#[derive(Debug, Clone, Default)]
pub struct EnvironmentChange {
    /// What its root config is called, and what its branches' names begin with.
    pub slug: Option<String>,
    /// For people.
    pub name: Option<String>,
    /// Whether everybody may have a config of their own in it.
    pub personal_configs: Option<bool>,
}

impl Projects {
    /// Makes a project, without environments.
    ///
    /// # Errors
    /// [`ProjectError::Exists`], also when secrets below that name were written through another door.
    pub async fn create(&self, permit: Permit, description: String) -> Result<ProjectSummary, ProjectError> {
        let (mount, name) = project_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        check_project(&name)?;
        let key = keys::project(&mount.uuid, &name);
        let _lock = self.store.lock(&key).await;
        if self.view(&mount, &name).await?.is_some() {
            return Err(ProjectError::Exists { what: "project", name });
        }
        let now = self.store.now();
        let record = Project::new(description, now);
        let batch = Batch::new().expect(key.clone(), None).put(key, Store::encode(&record)?);
        let told = Told::of_project(format!("Created project {name}")).by(by.name(), now, &name);
        let batch = self.log_into(&mount, batch, told).await?;
        if !self.committed(batch).await? {
            return Err(ProjectError::Exists { what: "project", name });
        }
        Ok(ProjectSummary { name, description: record.description, created: now })
    }

    /// Describes a project anew, and gives it another name: its configs' secrets, their history and their tokens go
    /// along.
    ///
    /// # Errors
    /// [`ProjectError::Exists`], [`ProjectError::Denied`] when the caller may not do the same by itself.
    pub async fn update(
        &self,
        permit: Permit,
        new_name: Option<String>,
        description: Option<String>,
    ) -> Result<ProjectSummary, ProjectError> {
        let (_, name) = project_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        let new_name = new_name.unwrap_or_else(|| name.clone());
        if new_name != name {
            check_project(&new_name)?;
            self.rename(&by, &name, &new_name).await?;
        }
        if let Some(description) = description {
            self.change(&by, &new_name, |draft| {
                description.clone_into(&mut draft.record.description);
                Ok(((), Told::of_project(format!("Described project {new_name} anew"))))
            })
            .await?;
        }
        let view = self.view(&by.mount, &new_name).await?.ok_or_else(|| ProjectError::no_project(&new_name))?;
        Ok(view.summary())
    }

    async fn rename(&self, by: &By, from: &str, to: &str) -> Result<(), ProjectError> {
        let uuid = &by.mount.uuid;
        by.require_write("metadata", &format!("{to}/"))?;
        for _ in 0..ATTEMPTS {
            if self.view(&by.mount, to).await?.is_some() {
                return Err(ProjectError::Exists { what: "project", name: to.to_owned() });
            }
            let mut draft = self.draft(&by.mount, from).await?;
            let (mut batch, mut load) = (std::mem::take(&mut draft.batch), Load::default());
            for config in &draft.view.configs {
                let (old, new) = (format!("{from}/{}", config.name), format!("{to}/{}", config.name));
                by.require(crate::policy::Operation::Read, "data", &old)?;
                by.require_write("data", &new)?;
                batch = moving(&self.store, uuid, (&old, &new), batch, &mut load).await?;
                batch = self.moving_tokens(&by.mount, (from, &config.name), (to, &config.name), batch).await?;
            }
            for base in draft.record.configs.iter_mut().flat_map(|config| &mut config.inherits) {
                if base.project == from {
                    to.clone_into(&mut base.project);
                }
            }
            let renamed = |base: &mut super::ConfigName| {
                if base.project == from {
                    to.clone_into(&mut base.project);
                }
            };
            batch = self.renaming_bases(&by.mount, from, batch, &renamed).await?;
            let hooks = self.store.read_all::<super::Webhook>(&keys::webhooks(uuid, from)).await?;
            for (slug, webhook) in &hooks {
                let slug = String::from_utf8_lossy(slug);
                let record = Store::encode(webhook)?;
                batch = batch.delete(keys::webhook(uuid, from, &slug)).put(keys::webhook(uuid, to, &slug), record);
            }
            self.followed.learn(uuid, to, !hooks.is_empty());
            let (old, new) = (keys::project(uuid, from), keys::project(uuid, to));
            let told = Told::of_project(format!("Renamed project {from} to {to}"));
            batch = batch.delete(old).expect(new.clone(), None).put(new, Store::encode(&draft.record)?);
            batch = self.log_into(&by.mount, batch, told.by(by.name(), self.store.now(), to)).await?;
            batch = draft.expecting(batch, keys::project(uuid, from));
            if self.committed(batch).await? {
                self.trusted.learn(uuid, from, None);
                self.trusted.learn(uuid, to, Some(&draft.record));
                return Ok(());
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Removes a project with everything in it: the secrets with their history, the tokens.
    ///
    /// # Errors
    /// [`ProjectError::Locked`] when one of its configs is; [`ProjectError::Denied`] when the caller may not remove each
    /// of them.
    pub async fn delete(&self, permit: Permit) -> Result<(), ProjectError> {
        let (mount, name) = project_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        let key = keys::project(&mount.uuid, &name);
        let _lock = self.store.lock(&key).await;
        for _ in 0..ATTEMPTS {
            let draft = self.draft(&mount, &name).await?;
            let mut batch = Batch::new();
            for config in &draft.view.configs {
                batch = self.removing_config(&by, &draft.view, &config.name, batch).await?;
            }
            for slug in self.store.names(&keys::webhooks(&mount.uuid, &name)).await? {
                batch = batch.delete(keys::webhook(&mount.uuid, &name, &slug));
            }
            let told = Told::of_project(format!("Deleted project {name}")).by(by.name(), self.store.now(), &name);
            batch = batch.delete(key.clone()).delete(keys::secret_notes(&mount.uuid, &name));
            batch = self.log_into(&mount, batch, told).await?;
            batch = draft.expecting(batch, key.clone());
            if self.committed(batch).await? {
                self.trusted.learn(&mount.uuid, &name, None);
                return Ok(());
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Makes an environment and its root config.
    ///
    /// # Errors
    /// [`ProjectError::Exists`].
    pub async fn create_environment(
        &self,
        permit: Permit,
        slug: &str,
        name: &str,
        personal_configs: bool,
    ) -> Result<ProjectView, ProjectError> {
        let (mount, project) = project_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        check_environment(slug)?;
        check_label(name)?;
        let now = self.store.now();
        self.change(&by, &project, |draft| {
            let known = draft.view.environment(slug).map(|environment| environment.created);
            if known.is_some() && draft.record.environment(slug).is_some() {
                return Err(ProjectError::Exists { what: "environment", name: slug.to_owned() });
            }
            draft.record.environments.push(Environment {
                slug: slug.to_owned(),
                name: name.to_owned(),
                created: known.unwrap_or(now),
                personal_configs,
            });
            if draft.record.config(slug).is_none() {
                let created = draft.view.config(slug).map_or(now, |config| config.created);
                draft.record.insert(super::Config::new(slug, slug, created));
            }
            Ok(((), Told::of_environment(format!("Created environment {slug}"), slug)))
        })
        .await?;
        self.view(&mount, &project).await?.ok_or_else(|| ProjectError::no_project(&project))
    }

    /// Changes an environment. With another slug, its configs get other names.
    ///
    /// # Errors
    /// [`ProjectError::Exists`], [`ProjectError::Denied`] when the caller may not do the same by itself.
    pub async fn change_environment(
        &self,
        permit: Permit,
        slug: &str,
        wanted: EnvironmentChange,
    ) -> Result<ProjectView, ProjectError> {
        let (mount, project) = project_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        wanted.name.as_deref().map(check_label).transpose()?;
        let new_slug = wanted.slug.clone().unwrap_or_else(|| slug.to_owned());
        if new_slug != slug {
            check_environment(&new_slug)?;
            self.move_environment(&by, &project, slug, &new_slug).await?;
        }
        self.change(&by, &project, |draft| {
            let environment = draft.environment(&new_slug)?;
            environment.name = wanted.name.clone().unwrap_or_else(|| environment.name.clone());
            environment.personal_configs = wanted.personal_configs.unwrap_or(environment.personal_configs);
            Ok(((), Told::of_environment(format!("Changed environment {new_slug}"), &new_slug)))
        })
        .await?;
        self.view(&mount, &project).await?.ok_or_else(|| ProjectError::no_project(&project))
    }

    async fn move_environment(&self, by: &By, project: &str, from: &str, to: &str) -> Result<(), ProjectError> {
        let _lock = self.store.lock(&keys::project(&by.mount.uuid, project)).await;
        for _ in 0..ATTEMPTS {
            let mut draft = self.draft(&by.mount, project).await?;
            if draft.view.environment(to).is_some() {
                return Err(ProjectError::Exists { what: "environment", name: to.to_owned() });
            }
            to.clone_into(&mut draft.environment(from)?.slug);
            let concerned = draft.view.configs.iter().filter(|config| config.environment == from);
            let names: Vec<String> = concerned.map(|config| config.name.clone()).collect();
            let mut load = Load::default();
            for old in names {
                let rest = old.strip_prefix(from).filter(|_| belongs(&old, from)).unwrap_or_default().to_owned();
                let new = format!("{to}{rest}");
                self.move_config(by, &mut draft, (&old, &new), Some(to), &mut load).await?;
            }
            let told = Told::of_environment(format!("Renamed environment {from} to {to}"), to);
            if self.commit(by, draft, told.by(by.name(), self.store.now(), project)).await? {
                return Ok(());
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Removes an environment with its configs.
    ///
    /// # Errors
    /// As [`Projects::delete`].
    pub async fn delete_environment(&self, permit: Permit, slug: &str) -> Result<(), ProjectError> {
        let (mount, project) = project_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        let _lock = self.store.lock(&keys::project(&mount.uuid, &project)).await;
        for _ in 0..ATTEMPTS {
            let mut draft = self.draft(&mount, &project).await?;
            if draft.view.environment(slug).is_none() {
                return Err(ProjectError::no_environment(slug));
            }
            let mut batch = std::mem::take(&mut draft.batch);
            for config in draft.view.configs.iter().filter(|config| config.environment == slug) {
                batch = self.removing_config(&by, &draft.view, &config.name, batch).await?;
            }
            draft.batch = batch;
            draft.record.environments.retain(|environment| environment.slug != slug);
            draft.record.configs.retain(|config| config.environment != slug);
            let told = Told::of_environment(format!("Deleted environment {slug}"), slug);
            if self.commit(&by, draft, told.by(by.name(), self.store.now(), &project)).await? {
                return Ok(());
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Adds to `batch` what removes a config: its secret and its tokens.
    pub(super) async fn removing_config(
        &self,
        by: &By,
        project: &ProjectView,
        config: &str,
        batch: Batch,
    ) -> Result<Batch, ProjectError> {
        if project.config(config).is_some_and(|config| config.locked) {
            return Err(ProjectError::Locked(config.to_owned()));
        }
        let name = format!("{}/{config}", project.name);
        by.require(crate::policy::Operation::Delete, "metadata", &name)?;
        let batch = removing(&self.store, &by.mount.uuid, &name, batch).await?;
        self.removing_tokens(&by.mount, &project.name, config, batch).await
    }
}

/// A name for people.
pub(super) fn check_label(name: &str) -> Result<(), ProjectError> {
    if (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(ProjectError::Invalid(
        "environment name must be 1 to 100 characters, none of them a control character".to_owned(),
    ))
}
