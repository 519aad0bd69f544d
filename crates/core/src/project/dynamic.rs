//! Dynamic secrets: names of a config that stand for a role of a database engine. Each reader who asks for them gets a
//! credential of their own, under a lease.
//!
//! ```text
//! config backend/prd:  DB -> role app of database/     whoever makes it must be able to read database/creds/app
//! reader of backend/prd -> a lease of database/creds/app -> DB_USERNAME, DB_PASSWORD
//! ```
//!
//! Which names there are is said in the project's record, so that they follow a config when it is renamed, go with it
//! when it is deleted, and cost a read of a config nothing.

use std::collections::BTreeSet;

use super::{Config, DynamicSecret, ProjectError, Projects, activity::Told, config_of, draft::By};
use crate::{
    clock::Timestamp,
    config_values::{MAX_SECRET_NAME, is_secret_name},
    core::Core,
    door::Permit,
    mount::Engine,
    policy::{AclAsk, Decision, Operation},
    store::StoreError,
};

/// Dynamic secrets of one config, at the most.
const MAX_DYNAMIC: usize = 20;

/// What follows a dynamic secret's name in those of its values.
const SUFFIXES: [&str; 2] = ["_USERNAME", "_PASSWORD"];

/// What the username and the password of a dynamic secret are called.
#[must_use]
pub fn value_names(name: &str) -> [String; 2] {
    SUFFIXES.map(|suffix| format!("{name}{suffix}"))
}

/// All names that a dynamic secret takes: its own and those of its values.
pub(crate) fn names_taken(name: &str) -> impl Iterator<Item = String> {
    std::iter::once(name.to_owned()).chain(value_names(name))
}

/// A dynamic secret as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamicView {
    /// Its name.
    pub name: String,
    /// Where its credentials come from: `database/creds/app`. Empty: the mount is gone.
    pub path: String,
    /// When it was made.
    pub created: Timestamp,
}

impl Core {
    /// The dynamic secrets that a config has of its own.
    ///
    /// # Errors
    /// [`ProjectError::NotFound`].
    pub async fn dynamic_secrets(&self, permit: Permit) -> Result<Vec<DynamicView>, ProjectError> {
        let (mount, project, config) = config_of(&permit)?;
        permit.spend();
        let view = self.projects().view(&mount, &project).await?.ok_or_else(|| ProjectError::no_project(&project))?;
        view.config(&config).ok_or_else(|| ProjectError::no_config(&config))?;
        let record = self.projects().record(&mount, &project).await?.map(|seen| seen.value);
        let own = record.as_ref().and_then(|record| record.config(&config)).map_or(&[][..], |config| &config.dynamic);
        Ok(own.iter().map(|secret| self.dynamic_view(secret)).collect())
    }

    /// Makes a name of a config stand for the role whose credentials are read at `path`. Whoever makes it must be able
    /// to read them there, since readers of the config will.
    ///
    /// # Errors
    /// [`ProjectError::Exists`] when the config has one of the names that it takes; [`ProjectError::Denied`].
    pub async fn create_dynamic_secret(
        &self,
        permit: Permit,
        name: &str,
        path: &str,
    ) -> Result<DynamicView, ProjectError> {
        let (mount, project, config) = config_of(&permit)?;
        let by = By::of(&permit);
        let caller = permit.spend_as_caller();
        if !is_secret_name(name) || name.len() + SUFFIXES[0].len() > MAX_SECRET_NAME {
            return Err(ProjectError::Invalid(format!(
                "the name of a dynamic secret must be upper-case letters, digits and underscores, no digit in front, at most {} characters",
                MAX_SECRET_NAME - SUFFIXES[0].len()
            )));
        }
        by.require_at(Operation::Read, path)?;
        let (database, role) = self.role_at(path).await?;
        let own = self.own_names(&mount, &project, &config, caller).await?;
        let taken = names_taken(name).find(|taken| own.contains(taken));
        if let Some(taken) = taken {
            return Err(ProjectError::Exists { what: "secret", name: taken });
        }
        let id = self.store().random.uuid().map_err(StoreError::from)?.to_string();
        let (mount, now) = (database, self.now());
        let secret = DynamicSecret { id, name: name.to_owned(), mount, role, created: now };
        let view = self.dynamic_view(&secret);
        self.projects().add_dynamic(&by, (&project, &config), secret).await?;
        Ok(view)
    }

    /// Takes a dynamic secret from a config. Credentials that it gave out end as they would have.
    ///
    /// # Errors
    /// [`ProjectError::NotFound`].
    pub async fn delete_dynamic_secret(&self, permit: Permit, name: &str) -> Result<(), ProjectError> {
        let (_, project, config) = config_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        self.projects().remove_dynamic(&by, (&project, &config), name).await
    }

    fn dynamic_view(&self, secret: &DynamicSecret) -> DynamicView {
        let mount = self.mounts().with_uuid(&secret.mount);
        let path = mount.map_or_else(String::new, |mount| format!("{}creds/{}", mount.path, secret.role));
        DynamicView { name: secret.name.clone(), path, created: secret.created }
    }

    /// The uuid of the mount, and the role, whose credentials are read at `path`.
    async fn role_at(&self, path: &str) -> Result<(String, String), ProjectError> {
        let none =
            || ProjectError::Invalid("path must be that of a database role's credentials: MOUNT/creds/ROLE".to_owned());
        let routed = self.mounts().route(path).filter(|routed| routed.mount.engine == Engine::Database);
        let routed = routed.ok_or_else(none)?;
        let role = routed.rest(path).strip_prefix("creds/").ok_or_else(none)?.to_owned();
        if !self.database().has_role(&routed.mount, &role).await? {
            return Err(ProjectError::Invalid(format!("there is no role at {path}: create it first")));
        }
        Ok((routed.mount.uuid.clone(), role))
    }
}

impl By {
    /// Refuses unless the caller could do this at a path of any mount.
    fn require_at(&self, operation: Operation, path: &str) -> Result<(), ProjectError> {
        let ask = AclAsk { path, operation, parameters: &|| None, wrap_ttl: None };
        match self.caller().map(|caller| caller.acl().allows(&ask)) {
            Some(Decision::Granted(_)) => Ok(()),
            _ => Err(ProjectError::Denied),
        }
    }
}

impl Projects {
    async fn add_dynamic(
        &self,
        by: &By,
        (project, config): (&str, &str),
        secret: DynamicSecret,
    ) -> Result<(), ProjectError> {
        self.change(by, project, |draft| {
            let environment = draft.existing(config)?.environment.clone();
            let own = &mut draft.config(config)?.dynamic;
            let taken: BTreeSet<String> = own.iter().flat_map(|other| names_taken(&other.name)).collect();
            if let Some(name) = names_taken(&secret.name).find(|name| taken.contains(name)) {
                return Err(ProjectError::Exists { what: "dynamic secret", name });
            }
            if own.len() >= MAX_DYNAMIC {
                return Err(ProjectError::Invalid(format!("a config has at most {MAX_DYNAMIC} dynamic secrets")));
            }
            let at = own.partition_point(|other| other.name < secret.name);
            own.insert(at, secret.clone());
            let text = format!("Created dynamic secret {} in config {config}", secret.name);
            Ok(((), Told::of_config(text, &environment, config)))
        })
        .await
    }

    async fn remove_dynamic(&self, by: &By, (project, config): (&str, &str), name: &str) -> Result<(), ProjectError> {
        self.change(by, project, |draft| {
            let environment = draft.existing(config)?.environment.clone();
            let own = &mut draft.config(config)?.dynamic;
            let before = own.len();
            own.retain(|secret| secret.name != name);
            if own.len() == before {
                let name = name.chars().take(MAX_SECRET_NAME).collect();
                return Err(ProjectError::NotFound { what: "dynamic secret", name });
            }
            let text = format!("Deleted dynamic secret {name} of config {config}");
            Ok(((), Told::of_config(text, &environment, config)))
        })
        .await
    }

    /// Those of a config for another that is made after it: leases of the one are none of the other.
    pub(super) fn copied_dynamic(&self, source: Option<&Config>) -> Result<Vec<DynamicSecret>, ProjectError> {
        let copy = |secret: &DynamicSecret| {
            let id = self.store.random.uuid().map_err(StoreError::from)?.to_string();
            Ok(DynamicSecret { id, ..secret.clone() })
        };
        source.map_or(&[][..], |config| &config.dynamic).iter().map(copy).collect()
    }
}
