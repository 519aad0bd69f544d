//! Service tokens: each for one config, to read it or to read and write it.

use super::{Access, ConfigScope, ConfigView, ProjectError, Projects, config_of, draft::By};
use crate::{
    barrier::Batch,
    clock::Timestamp,
    door::Permit,
    keys,
    mount::Mount,
    policy::Operation,
    secret::SecretString,
    store::Store,
    token::{NamedToken, NamedView, NewNamed, TokenError},
};

/// A service token that is wanted.
#[derive(Debug, Clone)]
pub struct NewServiceToken {
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub access: Access,
    /// When it ends; `None`: when it is revoked.
    pub expires: Option<Timestamp>,
}

/// A service token as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceToken {
    /// What every named token has.
    pub named: NamedView,
    /// What it may do.
    pub access: Access,
}

impl From<TokenError> for ProjectError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Store(error) => Self::Store(error),
            error => Self::Invalid(error.to_string()),
        }
    }
}

fn group(mount: &Mount, project: &str, config: &str) -> String {
    format!("config/{}/{project}/{config}", mount.uuid)
}

fn listed(named: NamedView) -> ServiceToken {
    let access = super::scope_of(&named.policies).map_or(Access::Read, |scope| scope.access);
    ServiceToken { named, access }
}

impl Projects {
    /// Makes a service token. Nobody makes one that may do more than its maker.
    ///
    /// # Errors
    /// [`ProjectError::Denied`] when the caller may not read, or write, what the token could.
    pub async fn create_service_token(
        &self,
        permit: Permit,
        new: NewServiceToken,
    ) -> Result<(SecretString, ServiceToken, ConfigView), ProjectError> {
        let (mount, project, config) = config_of(&permit)?;
        let (by, path) = (By::of(&permit), permit.path().to_owned());
        permit.spend();
        let view = self.one(&mount, &project, &config).await?;
        let place = format!("{project}/{config}");
        by.require(Operation::Read, "data", &place)?;
        if new.access == Access::ReadWrite {
            by.require_write("data", &place)?;
            by.require(Operation::Patch, "data", &place)?;
        }
        let scope = ConfigScope { mount: mount.path.clone(), project, config, access: new.access };
        if !scope.is_literal() {
            return Err(ProjectError::Invalid(
                "the mount, the project or the config has a character that means something else in a policy".to_owned(),
            ));
        }
        let named = NewNamed {
            prefix: format!("dp.st.{}.", slug_part(&scope.config)),
            group: &group(&mount, &scope.project, &scope.config),
            name: &new.name,
            policies: vec![scope.policy_name()],
            path,
            display_name: format!("service-token-{place}"),
            expires: new.expires,
            bound_cidrs: Vec::new(),
        };
        let (token, named) = self.tokens.issue_named(named).await?;
        Ok((token, listed(named), view))
    }

    /// The service tokens of a config, the oldest first.
    ///
    /// # Errors
    /// [`ProjectError::NotFound`].
    pub async fn service_tokens(&self, permit: Permit) -> Result<(ConfigView, Vec<ServiceToken>), ProjectError> {
        let (mount, project, config) = config_of(&permit)?;
        permit.spend();
        let view = self.one(&mount, &project, &config).await?;
        let tokens = self.tokens.list_named(&group(&mount, &project, &config)).await?;
        Ok((view, tokens.into_iter().map(listed).collect()))
    }

    /// Revokes a service token of a config, named by its slug or told by itself.
    ///
    /// # Errors
    /// [`ProjectError::NotFound`].
    pub async fn revoke_service_token(
        &self,
        permit: Permit,
        slug: Option<&str>,
        token: Option<&SecretString>,
    ) -> Result<(), ProjectError> {
        let (mount, project, config) = config_of(&permit)?;
        permit.spend();
        let group = group(&mount, &project, &config);
        let found = match (slug, token) {
            (Some(slug), _) => self.tokens.revoke_named(&group, slug).await?,
            (None, Some(token)) => self.tokens.revoke_named_token(&group, token).await?,
            (None, None) => {
                return Err(ProjectError::Invalid("name the token by its slug, or give the token".to_owned()));
            }
        };
        let name = slug.unwrap_or("token").chars().take(60).collect();
        if found { Ok(()) } else { Err(ProjectError::NotFound { what: "token", name }) }
    }

    /// Adds to a commit what takes a config's service tokens along to its new name.
    pub(super) async fn moving_tokens(
        &self,
        mount: &Mount,
        (from_project, from): (&str, &str),
        (to_project, to): (&str, &str),
        mut batch: Batch,
    ) -> Result<Batch, ProjectError> {
        let (old_group, new_group) = (group(mount, from_project, from), group(mount, to_project, to));
        let prefix = keys::named_token(&format!("{old_group}/"));
        for (slug, record) in self.store.read_all::<NamedToken>(&prefix).await? {
            let slug = String::from_utf8_lossy(&slug).into_owned();
            let Some(seen) = self.tokens.find(&record.token).await? else { continue };
            let mut entry = seen.value;
            let Some(access) = super::scope_of(&entry.policies).map(|scope| scope.access) else { continue };
            let (project, config) = (to_project.to_owned(), to.to_owned());
            entry.policies = vec![ConfigScope { mount: mount.path.clone(), project, config, access }.policy_name()];
            entry.named = Some(format!("{new_group}/{slug}"));
            let key = keys::token(&record.token.0);
            batch = batch
                .expect(key.clone(), Some(seen.revision))
                .put(key, Store::encode(&entry)?)
                .delete(keys::named_token(&format!("{old_group}/{slug}")))
                .put(keys::named_token(&format!("{new_group}/{slug}")), Store::encode(&record)?);
        }
        Ok(batch)
    }

    /// Adds to a commit what ends a config's service tokens.
    pub(super) async fn removing_tokens(
        &self,
        mount: &Mount,
        project: &str,
        config: &str,
        mut batch: Batch,
    ) -> Result<Batch, ProjectError> {
        let prefix = keys::named_token(&format!("{}/", group(mount, project, config)));
        for (_, record) in self.store.read_all::<NamedToken>(&prefix).await? {
            if let Some(seen) = self.tokens.find(&record.token).await? {
                batch = self.tokens.removal_of(batch, &record.token, seen).await?;
            }
        }
        Ok(batch)
    }
}

/// A config's name as the middle part of a token has it.
fn slug_part(config: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    config.chars().map(|c| c.to_ascii_lowercase()).filter(|c| fits(*c)).take(35).collect()
}
