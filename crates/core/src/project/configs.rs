//! Changes of configs.

use std::sync::Arc;

use ipnet::IpNet;

use super::{
    Config, ConfigName, ConfigView, Project, ProjectError, Projects,
    activity::Told,
    config_of,
    draft::{ATTEMPTS, By, Draft},
    names::{belongs, check_config},
};
use crate::{
    barrier::Batch,
    door::Permit,
    keys,
    kv::relocate::{Load, copying, moving},
    mount::Mount,
    policy::Operation,
    store::{Store, StoreError},
};

/// Configs that one inherits from, at most.
const MAX_BASES: usize = 32;
/// Networks that a config trusts, at most.
const MAX_TRUSTED: usize = 100;

impl Projects {
    /// Makes a config in an environment: a branch, which has what its root has where it has nothing of its own. Whoever
    /// makes one must be able to read the root, since readers of the branch see it.
    ///
    /// # Errors
    /// [`ProjectError::Exists`], [`ProjectError::Denied`].
    pub async fn create_config(&self, permit: Permit, environment: &str) -> Result<ConfigView, ProjectError> {
        let (_, project, name) = config_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        check_branch(&name, environment)?;
        let now = self.store.now();
        self.change(&by, &project, |draft| {
            if draft.view.environment(environment).is_none() {
                return Err(ProjectError::no_environment(environment));
            }
            if draft.record.config(&name).is_some_and(|config| config.branch || config.is_root()) {
                return Err(ProjectError::Exists { what: "config", name: name.clone() });
            }
            if name != environment {
                by.require(Operation::Read, "data", &format!("{project}/{environment}"))?;
            }
            let created = draft.view.config(&name).map_or(now, |config| config.created);
            // What was said about a secret of that name, such as who may reach it, stays said.
            let known = draft.record.config(&name).cloned();
            let known = known.unwrap_or_else(|| Config::new(&name, environment, created));
            draft.record.configs.retain(|config| config.name != name);
            let branch = name != environment;
            draft.record.insert(Config { branch, environment: environment.to_owned(), ..known });
            Ok(((), Told::of_config(format!("Created config {name}"), environment, &name)))
        })
        .await?;
        self.one(&by.mount, &project, &name).await
    }

    /// Gives a config another name, in the same environment. Its secret, its history and its tokens go along.
    ///
    /// # Errors
    /// [`ProjectError::Exists`], [`ProjectError::Locked`], [`ProjectError::Denied`] when the caller may not do the same by
    /// itself.
    pub async fn rename_config(&self, permit: Permit, to: &str) -> Result<ConfigView, ProjectError> {
        let (mount, project, from) = config_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        let _lock = self.store.lock(&keys::project(&mount.uuid, &project)).await;
        for _ in 0..ATTEMPTS {
            let mut draft = self.draft(&mount, &project).await?;
            let config = draft.existing(&from)?.clone();
            if config.locked {
                return Err(ProjectError::Locked(from));
            }
            if from == to {
                return Ok(config);
            }
            if config.is_root() {
                return Err(ProjectError::Invalid(format!(
                    "config '{from}' is the root of its environment: change the slug of the environment"
                )));
            }
            check_branch(to, &config.environment)?;
            self.move_config(&by, &mut draft, (&from, to), None, &mut Load::default()).await?;
            let told = Told::of_config(format!("Renamed config {from} to {to}"), &config.environment, to);
            if self.commit(&by, draft, told.by(by.name(), self.store.now(), &project)).await? {
                return self.one(&mount, &project, to).await;
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Adds to a draft what gives a config another name, and another environment with it if one is given.
    pub(super) async fn move_config(
        &self,
        by: &By,
        draft: &mut Draft,
        (from, to): (&str, &str),
        environment: Option<&str>,
        load: &mut Load,
    ) -> Result<(), ProjectError> {
        let project = draft.view.name.clone();
        if draft.existing(from)?.locked {
            return Err(ProjectError::Locked(from.to_owned()));
        }
        check_config(to)?;
        if draft.view.config(to).is_some() {
            return Err(ProjectError::Exists { what: "config", name: to.to_owned() });
        }
        let (old, new) = (format!("{project}/{from}"), format!("{project}/{to}"));
        by.require(Operation::Read, "data", &old)?;
        by.require(Operation::Delete, "metadata", &old)?;
        by.require_write("data", &new)?;
        let mut config = draft.config(from)?.clone();
        draft.record.configs.retain(|other| other.name != from);
        to.clone_into(&mut config.name);
        if let Some(environment) = environment {
            environment.clone_into(&mut config.environment);
        }
        draft.record.insert(config);
        let renamed = |base: &mut ConfigName| {
            if base.project == project && base.config == from {
                to.clone_into(&mut base.config);
            }
        };
        draft.record.configs.iter_mut().flat_map(|config| &mut config.inherits).for_each(renamed);
        let batch = std::mem::take(&mut draft.batch);
        let batch = moving(&self.store, &by.mount.uuid, (&old, &new), batch, load).await?;
        let batch = self.moving_tokens(&by.mount, (&project, from), (&project, to), batch).await?;
        draft.batch = self.renaming_bases(&by.mount, &project, batch, &renamed).await?;
        Ok(())
    }

    /// Adds to a commit what other projects say of bases whose names change.
    pub(super) async fn renaming_bases(
        &self,
        mount: &Mount,
        but: &str,
        mut batch: Batch,
        rename: &(dyn Fn(&mut ConfigName) + Send + Sync),
    ) -> Result<Batch, ProjectError> {
        for name in self.store.names(&keys::projects(&mount.uuid)).await? {
            if name == but {
                continue;
            }
            let Some(seen) = self.record(mount, &name).await? else { continue };
            let mut record: Project = seen.value.clone();
            record.configs.iter_mut().flat_map(|config| &mut config.inherits).for_each(rename);
            if record != seen.value {
                let key = keys::project(&mount.uuid, &name);
                batch = batch.expect(key.clone(), Some(seen.revision)).put(key, Store::encode(&record)?);
            }
        }
        Ok(batch)
    }

    /// Makes a config with what another holds now, in the same environment.
    ///
    /// # Errors
    /// [`ProjectError::Exists`], [`ProjectError::Denied`] when the caller may not do the same by itself.
    pub async fn clone_config(&self, permit: Permit, to: &str) -> Result<ConfigView, ProjectError> {
        let (mount, project, from) = config_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        let _lock = self.store.lock(&keys::project(&mount.uuid, &project)).await;
        for _ in 0..ATTEMPTS {
            let mut draft = self.draft(&mount, &project).await?;
            let source = draft.existing(&from)?.clone();
            check_branch(to, &source.environment)?;
            if draft.view.config(to).is_some() {
                return Err(ProjectError::Exists { what: "config", name: to.to_owned() });
            }
            let (old, new) = (format!("{project}/{from}"), format!("{project}/{to}"));
            by.require(Operation::Read, "data", &old)?;
            by.require(Operation::Read, "data", &format!("{project}/{}", source.environment))?;
            by.require_write("data", &new)?;
            let batch = std::mem::take(&mut draft.batch);
            draft.batch = copying(&self.store, &mount.uuid, (&old, &new), batch).await?;
            let copy = Config {
                branch: true,
                inherits: source.inherits.clone(),
                trusted: source.trusted.clone(),
                dynamic: self.copied_dynamic(draft.record.config(&from))?,
                ..Config::new(to, &source.environment, self.store.now())
            };
            draft.record.insert(copy);
            let told = Told::of_config(format!("Cloned config {from} as {to}"), &source.environment, to);
            if self.commit(&by, draft, told.by(by.name(), self.store.now(), &project)).await? {
                return self.one(&mount, &project, to).await;
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Removes a branch with its secret and its tokens.
    ///
    /// # Errors
    /// [`ProjectError::Locked`]; a root goes with its environment.
    pub async fn delete_config(&self, permit: Permit) -> Result<(), ProjectError> {
        let (mount, project, name) = config_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        let _lock = self.store.lock(&keys::project(&mount.uuid, &project)).await;
        for _ in 0..ATTEMPTS {
            let mut draft = self.draft(&mount, &project).await?;
            let config = draft.existing(&name)?.clone();
            if config.is_root() && draft.record.environment(&name).is_some() {
                return Err(ProjectError::Invalid(format!(
                    "config '{name}' is the root of its environment: delete the environment"
                )));
            }
            let batch = std::mem::take(&mut draft.batch);
            draft.batch = self.removing_config(&by, &draft.view, &name, batch).await?;
            draft.record.configs.retain(|config| config.name != name);
            let told = Told::of_config(format!("Deleted config {name}"), &config.environment, &name);
            if self.commit(&by, draft, told.by(by.name(), self.store.now(), &project)).await? {
                return Ok(());
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Locks or unlocks a config.
    ///
    /// # Errors
    /// [`ProjectError::NotFound`].
    pub async fn lock_config(&self, permit: Permit, locked: bool) -> Result<ConfigView, ProjectError> {
        let done = if locked { "Locked" } else { "Unlocked" };
        self.edit(permit, done, |config| {
            config.locked = locked;
            Ok(())
        })
        .await
    }

    /// Says whether configs of other environments and projects may inherit from one.
    ///
    /// # Errors
    /// [`ProjectError::Invalid`] when it inherits itself.
    pub async fn set_inheritable(&self, permit: Permit, inheritable: bool) -> Result<ConfigView, ProjectError> {
        self.edit(permit, "Changed who may inherit from", |config| {
            if inheritable && !config.inherits.is_empty() {
                return Err(ProjectError::Invalid("a config that inherits cannot be inherited from".to_owned()));
            }
            config.inheritable = inheritable;
            Ok(())
        })
        .await
    }

    /// Says from which configs one inherits, the strongest last. Whoever says so must be able to read each of them: the
    /// config's readers will.
    ///
    /// # Errors
    /// [`ProjectError::Invalid`] when one of them is not inheritable, [`ProjectError::Denied`].
    pub async fn set_inherits(&self, permit: Permit, bases: Vec<ConfigName>) -> Result<ConfigView, ProjectError> {
        let (mount, project, name) = config_of(&permit)?;
        let by = By::of(&permit);
        if bases.len() > MAX_BASES {
            return Err(ProjectError::Invalid(format!("a config inherits from at most {MAX_BASES} others")));
        }
        for base in &bases {
            if base.project == project && base.config == name {
                return Err(ProjectError::Invalid("a config cannot inherit from itself".to_owned()));
            }
            by.require(Operation::Read, "data", &format!("{}/{}", base.project, base.config))?;
            let view = self.one(&mount, &base.project, &base.config).await?;
            if !view.inheritable {
                return Err(ProjectError::Invalid(format!(
                    "config '{}' of project '{}' is not inheritable",
                    base.config, base.project
                )));
            }
        }
        self.edit(permit, "Changed what is inherited by", |config| {
            if config.inheritable && !bases.is_empty() {
                return Err(ProjectError::Invalid("a config that others inherit from cannot inherit".to_owned()));
            }
            config.inherits.clone_from(&bases);
            Ok(())
        })
        .await
    }

    /// Trusts a network: from then on, what the config holds can be read and written from there, and from the others that
    /// are trusted, alone. False: it was trusted already.
    ///
    /// # Errors
    /// [`ProjectError::Invalid`] beyond a hundred.
    pub async fn trust(&self, permit: Permit, network: IpNet) -> Result<bool, ProjectError> {
        let before = self.trusted_by(&permit).await?;
        if before.contains(&network) {
            permit.spend();
            return Ok(false);
        }
        self.edit(permit, &format!("Trusted {network} in"), |config| {
            if config.trusted.len() >= MAX_TRUSTED {
                return Err(ProjectError::Invalid(format!("a config trusts at most {MAX_TRUSTED} networks")));
            }
            if !config.trusted.contains(&network) {
                config.trusted.push(network);
            }
            Ok(())
        })
        .await?;
        Ok(true)
    }

    /// Trusts a network no longer; without any, all are. False: it was not trusted.
    ///
    /// # Errors
    /// [`ProjectError::NotFound`].
    pub async fn distrust(&self, permit: Permit, network: IpNet) -> Result<bool, ProjectError> {
        if !self.trusted_by(&permit).await?.contains(&network) {
            permit.spend();
            return Ok(false);
        }
        self.edit(permit, &format!("No longer trusted {network} in"), |config| {
            config.trusted.retain(|known| *known != network);
            Ok(())
        })
        .await?;
        Ok(true)
    }

    async fn trusted_by(&self, permit: &Permit) -> Result<Vec<IpNet>, ProjectError> {
        let (mount, project, name) = config_of(permit)?;
        Ok(self.one(&mount, &project, &name).await?.trusted)
    }

    async fn edit(
        &self,
        permit: Permit,
        done: &str,
        edit: impl Fn(&mut Config) -> Result<(), ProjectError> + Send + Sync,
    ) -> Result<ConfigView, ProjectError> {
        let (_, project, name) = config_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        self.change(&by, &project, |draft| {
            let config = draft.config(&name)?;
            edit(config)?;
            let environment = config.environment.clone();
            Ok(((), Told::of_config(format!("{done} config {name}"), &environment, &name)))
        })
        .await?;
        self.one(&by.mount, &project, &name).await
    }

    pub(super) async fn one(
        &self,
        mount: &Arc<Mount>,
        project: &str,
        config: &str,
    ) -> Result<ConfigView, ProjectError> {
        let view = self.view(mount, project).await?.ok_or_else(|| ProjectError::no_project(project))?;
        view.config(config).cloned().ok_or_else(|| ProjectError::no_config(config))
    }
}

pub(super) fn check_branch(name: &str, environment: &str) -> Result<(), ProjectError> {
    check_config(name)?;
    if belongs(name, environment) {
        return Ok(());
    }
    Err(ProjectError::Invalid(format!(
        "config name '{name}' must begin with the slug of its environment: {environment}_…"
    )))
}
