//! Roles: which service accounts are good, and for what.

use serde::{Deserialize, Serialize};

use super::{Kubernetes, KubernetesError, Place, login::ROLE, mount_of};
use crate::{
    door::Permit,
    keys,
    login::{Terms, TokenSettings, record},
    mount::Mount,
    store::Store,
    token::{Entry, TokenError},
};

/// What a service account is called for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AliasSource {
    /// Its uid: an account made anew under an old name is another one.
    #[default]
    Uid,
    /// Its namespace and name.
    Name,
}

impl AliasSource {
    /// The name that clients know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uid => "serviceaccount_uid",
            Self::Name => "serviceaccount_name",
        }
    }

    /// The source of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "" | "serviceaccount_uid" => Some(Self::Uid),
            "serviceaccount_name" => Some(Self::Name),
            _ => None,
        }
    }
}

/// A role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesRole {
    /// Names of service accounts, as globs.
    pub names: Vec<String>,
    /// Their namespaces, as globs.
    pub namespaces: Vec<String>,
    /// Whom the token must be meant for; empty: anybody.
    pub audience: String,
    /// What an account is called.
    pub alias_source: AliasSource,
    /// Its tokens.
    pub token: TokenSettings,
}

impl KubernetesRole {
    fn check(&self) -> Result<(), KubernetesError> {
        for (field, globs) in
            [("bound_service_account_names", &self.names), ("bound_service_account_namespaces", &self.namespaces)]
        {
            if globs.is_empty() {
                return Err(KubernetesError::Invalid(format!("{field:?} can not be empty")));
            }
            if globs.len() > 1 && globs.iter().any(|glob| glob == "*") {
                return Err(KubernetesError::Invalid("can not mix \"*\" with values".to_owned()));
            }
        }
        Ok(self.token.check()?)
    }
}

impl Kubernetes {
    /// The names of all roles of the mount.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_roles(&self, permit: Permit) -> Result<Vec<String>, KubernetesError> {
        let mount = mount_of(&permit)?;
        permit.spend();
        Ok(self.store.names(&keys::login_roles(&mount.uuid)).await?)
    }

    /// Reads the role.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn read_role(&self, permit: Permit) -> Result<Option<KubernetesRole>, KubernetesError> {
        let place = Place::of(&permit)?;
        permit.spend();
        Ok(self.store.read(&place.key()).await?.map(|seen| seen.value))
    }

    /// Replaces the role, or a new one, by what `change` makes of it; answers what there is to say about it.
    ///
    /// # Errors
    /// When the outcome contradicts itself or `change` fails.
    pub async fn write_role<E: From<KubernetesError>>(
        &self,
        permit: Permit,
        change: impl FnOnce(&mut KubernetesRole) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let place = Place::of(&permit)?;
        permit.spend();
        let (new, check) = (KubernetesRole::default, KubernetesRole::check);
        let role = record::rewrite(&self.store, place.key(), new, change, check).await?;
        Ok(warnings(&role, &place.mount))
    }

    /// Removes the role. Tokens it issued stay, but can no longer be renewed.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn delete_role(&self, permit: Permit) -> Result<(), KubernetesError> {
        let place = Place::of(&permit)?;
        permit.spend();
        Ok(self.store.delete(place.key()).await?)
    }
}

fn warnings(role: &KubernetesRole, mount: &Mount) -> Vec<String> {
    let long = "max_ttl is greater than the system or backend mount's maximum TTL value; issued tokens' max TTL value \
                will be truncated";
    (role.token.max_ttl > mount.max_lease_ttl()).then(|| long.to_owned()).into_iter().collect()
}

/// The terms of a token that a login with a role got.
pub(in crate::login) async fn terms(store: &Store, mount: &Mount, entry: &Entry) -> Result<Terms, TokenError> {
    let name = entry.meta.get(ROLE).map_or("", String::as_str);
    let found = store.read::<KubernetesRole>(&keys::login_role(&mount.uuid, name)).await?;
    let gone = || TokenError::Invalid(format!("role {name} does not exist during renewal"));
    Ok(Terms::from(&found.ok_or_else(gone)?.value.token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_names_accounts_and_namespaces() {
        let role = |names: &[&str], namespaces: &[&str]| KubernetesRole {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
            ..KubernetesRole::default()
        };
        assert!(role(&["*"], &["prod-*", "dev"]).check().is_ok());
        for (unfit, text) in [
            (role(&[], &["dev"]), "\"bound_service_account_names\" can not be empty"),
            (role(&["app"], &[]), "\"bound_service_account_namespaces\" can not be empty"),
            (role(&["*", "app"], &["dev"]), "can not mix \"*\" with values"),
            (role(&["app"], &["dev", "*"]), "can not mix \"*\" with values"),
        ] {
            assert_eq!(unfit.check().expect_err(text).to_string(), text);
        }
    }
}
