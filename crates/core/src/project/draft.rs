//! How a project changes: its record is read, changed in memory, and committed together with whatever else the change
//! touches, provided that nothing of it was changed meanwhile.

use std::sync::Arc;

use super::{Activity, Config, ConfigView, Environment, Project, ProjectError, ProjectView, Projects, activity};
use crate::{
    barrier::Batch,
    door::{Caller, Permit},
    keys,
    kv::KvError,
    mount::Mount,
    policy::{AclAsk, Decision, Operation},
    storage::{Commit, Revision},
    store::{Store, StoreError},
};

/// Attempts at a change that others get in the way of.
pub(super) const ATTEMPTS: usize = 8;

impl From<KvError> for ProjectError {
    fn from(error: KvError) -> Self {
        match error {
            KvError::Store(error) => Self::Store(error),
            KvError::Denied => Self::Denied,
            error => Self::Invalid(error.to_string()),
        }
    }
}

/// Who changes something, and where.
#[derive(Debug, Clone)]
pub(super) struct By {
    caller: Option<Arc<Caller>>,
    pub(super) mount: Arc<Mount>,
}

impl By {
    pub(super) fn of(permit: &Permit) -> Self {
        Self { caller: permit.caller().cloned(), mount: Arc::clone(permit.mount()) }
    }

    /// Who it is.
    pub(super) fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }

    /// Who it is, for the activity log.
    pub(super) fn name(&self) -> String {
        self.caller.as_ref().map_or_else(String::new, |caller| caller.entry().display_name.clone())
    }

    /// Refuses unless the caller could do this by itself: nobody hands on, by a branch or a token, what is not theirs.
    pub(super) fn require(&self, operation: Operation, area: &str, name: &str) -> Result<(), ProjectError> {
        let path = format!("{}{area}/{name}", self.mount.path);
        let ask = AclAsk { path: &path, operation, parameters: &|| None, wrap_ttl: None };
        let allowed = |caller: &Arc<Caller>| matches!(caller.acl().allows(&ask), Decision::Granted(_));
        if self.caller.as_ref().is_some_and(allowed) { Ok(()) } else { Err(ProjectError::Denied) }
    }

    /// The same for writing, whatever is there.
    pub(super) fn require_write(&self, area: &str, name: &str) -> Result<(), ProjectError> {
        self.require(Operation::Create, area, name)?;
        self.require(Operation::Update, area, name)
    }
}

/// A project that is being changed.
pub(super) struct Draft {
    pub(super) record: Project,
    pub(super) view: ProjectView,
    pub(super) batch: Batch,
    revision: Option<Revision>,
}

impl Draft {
    /// Adds to a commit of another kind that the project's record must be as it was.
    pub(super) fn expecting(&self, batch: Batch, key: crate::storage::Key) -> Batch {
        batch.expect(key, self.revision)
    }

    /// What is said about a config, to be changed; there is something from now on.
    pub(super) fn config(&mut self, name: &str) -> Result<&mut Config, ProjectError> {
        if self.record.config(name).is_none() {
            let view = self.existing(name)?;
            let config = Config::new(&view.name, &view.environment, view.created);
            self.record.insert(config);
        }
        self.record.config_mut(name).ok_or_else(|| ProjectError::no_config(name))
    }

    /// A config as it was before the change.
    pub(super) fn existing(&self, name: &str) -> Result<&ConfigView, ProjectError> {
        self.view.config(name).ok_or_else(|| ProjectError::no_config(name))
    }

    /// What is said about an environment, to be changed; there is something from now on.
    pub(super) fn environment(&mut self, slug: &str) -> Result<&mut Environment, ProjectError> {
        if self.record.environment(slug).is_none() {
            let view = self.view.environment(slug).ok_or_else(|| ProjectError::no_environment(slug))?;
            self.record.environments.push(Environment {
                slug: view.slug.clone(),
                name: view.name.clone(),
                created: view.created,
                personal_configs: view.personal_configs,
            });
        }
        let found = self.record.environments.iter_mut().find(|environment| environment.slug == slug);
        found.ok_or_else(|| ProjectError::no_environment(slug))
    }
}

impl Projects {
    /// A project as it is now, to be changed.
    pub(super) async fn draft(&self, mount: &Mount, project: &str) -> Result<Draft, ProjectError> {
        let seen = self.record(mount, project).await?;
        let view = self.view(mount, project).await?.ok_or_else(|| ProjectError::no_project(project))?;
        let revision = seen.as_ref().map(|seen| seen.revision);
        let record = seen.map_or_else(|| Project::new(String::new(), view.created), |seen| seen.value);
        Ok(Draft { record, view, batch: Batch::new(), revision })
    }

    /// Commits a draft, with a line for the activity log. False: something of it was changed meanwhile.
    pub(super) async fn commit(&self, by: &By, draft: Draft, event: Activity) -> Result<bool, ProjectError> {
        let key = keys::project(&by.mount.uuid, &draft.view.name);
        let batch = draft.batch.expect(key.clone(), draft.revision).put(key, Store::encode(&draft.record)?);
        let batch = self.log_into(&by.mount, batch, event).await?;
        let done = self.committed(batch).await?;
        if done {
            self.trusted.learn(&by.mount.uuid, &draft.view.name, Some(&draft.record));
        }
        Ok(done)
    }

    pub(super) async fn committed(&self, batch: Batch) -> Result<bool, StoreError> {
        Ok(matches!(self.store.commit(batch).await?, Commit::Committed(_)))
    }

    /// Changes what is said in a project, and nothing else.
    pub(super) async fn change<T: Send>(
        &self,
        by: &By,
        project: &str,
        edit: impl Fn(&mut Draft) -> Result<(T, activity::Told), ProjectError> + Send + Sync,
    ) -> Result<T, ProjectError> {
        let _lock = self.store.lock(&keys::project(&by.mount.uuid, project)).await;
        for _ in 0..ATTEMPTS {
            let mut draft = self.draft(&by.mount, project).await?;
            let (outcome, told) = edit(&mut draft)?;
            let event = told.by(by.name(), self.store.now(), project);
            if self.commit(by, draft, event).await? {
                return Ok(outcome);
            }
        }
        Err(StoreError::Contended.into())
    }
}
