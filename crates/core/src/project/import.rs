//! Making whole projects at once: environments, configs and their first secrets, in one commit.

use std::collections::BTreeMap;

use super::{
    Config, ConfigName, Environment, Project, ProjectError, ProjectSummary,
    activity::Told,
    configs::check_branch,
    draft::By,
    names::{check_environment, check_project},
    project_of,
    projects::check_label,
};
use crate::{
    barrier::Batch,
    config_values::{MANAGED, Planned, is_secret_name, payload_of},
    core::Core,
    door::Permit,
    keys,
    kv::FieldsCommit,
    policy::Operation,
    secret::SecretString,
    store::Store,
};

/// Projects, and configs of all of them, that one commit makes at the most.
const MAX_PROJECTS: usize = 100;
const MAX_CONFIGS: usize = 1000;

/// A project that is to be made.
#[derive(Debug)]
pub struct NewProject {
    /// The permit for it, which names it.
    pub permit: Permit,
    /// What it is.
    pub description: String,
    /// Its environments, each of which has its root config.
    pub environments: Vec<NewEnvironment>,
    /// What configs hold from the first.
    pub values: Vec<NewConfigValues>,
}

/// An environment of it.
#[derive(Debug)]
pub struct NewEnvironment {
    /// What its configs' names begin with.
    pub slug: String,
    /// For people.
    pub name: String,
    /// Configs besides the root, which may be among them.
    pub configs: Vec<String>,
}

/// What one config holds.
#[derive(Debug)]
pub struct NewConfigValues {
    /// The permit to write it, which names it.
    pub permit: Permit,
    /// Values by name.
    pub values: BTreeMap<String, SecretString>,
}

impl Core {
    /// Makes projects, all or none. None of them may be there in any form.
    ///
    /// # Errors
    /// [`ProjectError::Exists`]; [`ProjectError::Invalid`] when a name or a value cannot be; [`ProjectError::Denied`].
    pub async fn import_projects(&self, wanted: Vec<NewProject>) -> Result<Vec<ProjectSummary>, ProjectError> {
        let Some(first) = wanted.first() else { return Ok(Vec::new()) };
        let (by, store, now) = (By::of(&first.permit), self.store(), self.store().now());
        let uuid = by.mount.uuid.clone();
        let (mut names, mut records, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for project in wanted {
            let (mount, name) = project_of(&project.permit)?;
            project.permit.spend();
            if mount.uuid != uuid {
                return Err(ProjectError::NoPlace);
            }
            if names.contains(&name) {
                return Err(ProjectError::Exists { what: "project", name });
            }
            records.push(record(&by, &name, project.description, &project.environments, now)?);
            names.push(name);
            values.extend(project.values);
        }
        check_size(&records)?;
        let contents = contents(&by, values)?;
        check_values(&names, &records, &contents)?;
        let projects = names.iter().map(|name| keys::project(&uuid, name));
        let secrets =
            contents.iter().map(|(name, ..)| keys::kv_meta(&uuid, &format!("{}/{}", name.project, name.config)));
        let _locks = store.lock_all(&projects.chain(secrets).collect::<Vec<_>>()).await;
        let mut batch = Batch::new();
        for (name, record) in names.iter().zip(&records) {
            if self.projects().view(&by.mount, name).await?.is_some() {
                return Err(ProjectError::Exists { what: "project", name: name.clone() });
            }
            let key = keys::project(&uuid, name);
            batch = batch.expect(key.clone(), None).put(key, Store::encode(record)?);
            let told = Told::of_project(format!("Imported project {name}")).by(by.name(), now, name);
            batch = self.projects().log_into(&by.mount, batch, told).await?;
        }
        let commits = contents.into_iter().map(|(_, permit, values)| FieldsCommit {
            permit,
            seen: None,
            payload: Some(payload_of(values)),
            marks: BTreeMap::new(),
        });
        batch = self.kv().making_fields(commits.collect(), batch).await?;
        if !self.projects().committed(batch).await? {
            // A secret of one of the names has come to be meanwhile.
            let name = names.first().cloned().unwrap_or_default();
            return Err(ProjectError::Exists { what: "project", name });
        }
        let made = names.into_iter().zip(records);
        Ok(made.map(|(name, record)| ProjectSummary { name, description: record.description, created: now }).collect())
    }
}

/// A config, the permit to write it, and what it is to hold.
type Content = (ConfigName, Permit, BTreeMap<String, SecretString>);

fn record(
    by: &By,
    name: &str,
    description: String,
    environments: &[NewEnvironment],
    now: crate::clock::Timestamp,
) -> Result<Project, ProjectError> {
    check_project(name)?;
    let mut record = Project::new(description, now);
    for NewEnvironment { slug, name: label, configs } in environments {
        check_environment(slug)?;
        check_label(label)?;
        if record.environment(slug).is_some() {
            return Err(ProjectError::Exists { what: "environment", name: slug.clone() });
        }
        let (slug, label) = (slug.clone(), label.clone());
        record.environments.push(Environment { slug, name: label, created: now, personal_configs: false });
        for config in configs {
            let Some(Environment { slug, .. }) = record.environments.last() else { continue };
            let slug = slug.clone();
            check_branch(config, &slug)?;
            if record.config(config).is_some() {
                return Err(ProjectError::Exists { what: "config", name: config.clone() });
            }
            let branch = *config != slug;
            if branch {
                // Whoever makes a branch must be able to read what its readers will see.
                by.require(Operation::Read, "data", &format!("{name}/{slug}"))?;
            }
            record.insert(Config { branch, ..Config::new(config, &slug, now) });
        }
        let root = record.environments.last().map(|environment| environment.slug.clone()).unwrap_or_default();
        if record.config(&root).is_none() {
            record.insert(Config::new(&root, &root, now));
        }
    }
    Ok(record)
}

fn check_size(records: &[Project]) -> Result<(), ProjectError> {
    let configs: usize = records.iter().map(|record| record.configs.len()).sum();
    if records.len() > MAX_PROJECTS || configs > MAX_CONFIGS {
        return Err(ProjectError::Invalid(format!(
            "a template has at most {MAX_PROJECTS} projects and {MAX_CONFIGS} configs: split it"
        )));
    }
    Ok(())
}

/// The configs that are to hold something. Their names come from their permits.
fn contents(by: &By, values: Vec<NewConfigValues>) -> Result<Vec<Content>, ProjectError> {
    let named = |NewConfigValues { permit, values }: NewConfigValues| {
        let name = permit.rest().strip_prefix("data/").and_then(|name| name.split_once('/'));
        let (project, config) = name.filter(|_| permit.mount().uuid == by.mount.uuid).ok_or(ProjectError::NoPlace)?;
        Ok((ConfigName { project: project.to_owned(), config: config.to_owned() }, permit, values))
    };
    values.into_iter().map(named).collect()
}

fn check_values(names: &[String], records: &[Project], contents: &[Content]) -> Result<(), ProjectError> {
    let mut planned = Planned::default();
    for (project, record) in names.iter().zip(records) {
        for config in &record.configs {
            let name = ConfigName { project: project.clone(), config: config.name.clone() };
            planned.add(name, &config.environment);
        }
    }
    for (name, _, values) in contents {
        if !planned.fill(name, values) {
            return Err(ProjectError::no_config(&name.config));
        }
        if let Some(secret) = values.keys().find(|secret| MANAGED.contains(&secret.as_str()) || !is_secret_name(secret))
        {
            let shown: String = secret.chars().take(80).collect();
            return Err(ProjectError::Invalid(format!(
                "Secret {} has a name that cannot be: upper-case letters, digits and underscores, no digit in front, at most \
                 200 characters, and none of those that the server manages",
                shown.escape_debug()
            )));
        }
    }
    match planned.flaw() {
        None => Ok(()),
        Some((config, secret, why)) => {
            Err(ProjectError::Invalid(format!("Secret {secret} of config {} {why}", config.config)))
        }
    }
}
