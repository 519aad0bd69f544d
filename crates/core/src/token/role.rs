//! Token roles: templates for tokens that somebody else may create.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{CreateToken, TokenError, Tokens, sanitize_policies};
use crate::{
    door::Permit,
    keys,
    policy::builtin::{NameUse, validate_name},
    store::StoreError,
};

/// Which tokens a role issues.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoleTokenType {
    /// As the request says, otherwise service.
    #[default]
    DefaultService,
    /// As the request says, otherwise batch.
    DefaultBatch,
    /// Always service.
    Service,
    /// Always batch.
    Batch,
}

impl RoleTokenType {
    /// The name that clients know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DefaultService => "default-service",
            Self::DefaultBatch => "default-batch",
            Self::Service => "service",
            Self::Batch => "batch",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::DefaultService, Self::DefaultBatch, Self::Service, Self::Batch]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// A token role. Durations in seconds, 0: not set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Policies a token may have; none: see [`Role::restricts_policies`].
    pub allowed_policies: Vec<String>,
    /// The same as globs.
    pub allowed_policies_glob: Vec<String>,
    /// Policies a token may not have.
    pub disallowed_policies: Vec<String>,
    /// The same as globs.
    pub disallowed_policies_glob: Vec<String>,
    /// Whether its tokens have no parent.
    pub orphan: bool,
    /// Whether its tokens may be renewed.
    pub renewable: bool,
    /// Ends the tokens' path.
    pub path_suffix: String,
    /// Aliases, at `auth/token/`, of entities that its tokens may stand for; globs, in any case of their letters.
    pub allowed_entity_aliases: Vec<String>,
    /// Service or batch.
    pub token_type: RoleTokenType,
    /// Seconds that each renewal gives.
    pub period: u64,
    /// Seconds after which its tokens end whatever happens.
    pub explicit_max_ttl: u64,
    /// Requests a token is good for.
    pub num_uses: i64,
    /// Where its tokens may be used from.
    pub bound_cidrs: Vec<IpNet>,
    /// Leave out the `default` policy.
    pub no_default_policy: bool,
}

impl Role {
    /// A role as Vault makes one when only its name is given.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            allowed_policies: Vec::new(),
            allowed_policies_glob: Vec::new(),
            disallowed_policies: Vec::new(),
            disallowed_policies_glob: Vec::new(),
            orphan: false,
            renewable: true,
            path_suffix: String::new(),
            allowed_entity_aliases: Vec::new(),
            token_type: RoleTokenType::default(),
            period: 0,
            explicit_max_ttl: 0,
            num_uses: 0,
            bound_cidrs: Vec::new(),
            no_default_policy: false,
        }
    }

    /// Whether the role says anything about policies; otherwise a token's must be among its parent's.
    #[must_use]
    pub fn restricts_policies(&self) -> bool {
        [&self.allowed_policies, &self.allowed_policies_glob, &self.disallowed_policies, &self.disallowed_policies_glob]
            .iter()
            .any(|list| !list.is_empty())
    }

    /// The policies of a token that is asked for, if the role lets it have them. A role that only forbids passes on
    /// those of the parent if none are asked for.
    pub(super) fn policies_for(&self, ask: &CreateToken, parent: &[String]) -> Result<Vec<String>, TokenError> {
        let no_default = ask.no_default_policy || self.no_default_policy;
        let open = self.allowed_policies.is_empty() && self.allowed_policies_glob.is_empty();
        let asked: &[String] = match (ask.policies.is_empty(), open) {
            (false, _) => &ask.policies,
            (true, false) => &self.allowed_policies,
            (true, true) => parent,
        };
        let refused_default = self.disallows("default");
        let policies = sanitize_policies(asked, !no_default && !refused_default);
        for policy in &policies {
            validate_name(policy, NameUse::Assign).map_err(|error| TokenError::invalid(error.to_string()))?;
            if self.disallows(policy) {
                return Err(TokenError::invalid(format!("token policy {policy:?} is disallowed by this role")));
            }
            let listed = self.allowed_policies.contains(policy)
                || self.allowed_policies_glob.iter().any(|glob| glob_matches(glob, policy));
            if !open && !listed && policy != "default" {
                return Err(TokenError::invalid(format!(
                    "token policies ({policies:?}) must be subset of the role's allowed policies ({:?}) or glob policies ({:?})",
                    self.allowed_policies, self.allowed_policies_glob
                )));
            }
        }
        if open && policies.iter().any(|policy| policy == "root") {
            return Err(TokenError::invalid(
                "a role that does not name root among its allowed policies issues no root tokens",
            ));
        }
        Ok(policies)
    }

    /// Whether a token may stand for the entity with this alias.
    pub(super) fn allows_alias(&self, alias: &str) -> bool {
        let alias = alias.to_lowercase();
        self.allowed_entity_aliases.iter().any(|allowed| glob_matches(&allowed.to_lowercase(), &alias))
    }

    fn disallows(&self, policy: &str) -> bool {
        self.disallowed_policies.iter().any(|name| name == policy)
            || self.disallowed_policies_glob.iter().any(|glob| glob_matches(glob, policy))
    }
}

/// A batch token cannot be what its role may demand.
fn check_batch(role: &Role) -> Result<(), TokenError> {
    if role.token_type != RoleTokenType::Batch {
        return Ok(());
    }
    let refused = [
        (!role.orphan, "non-orphan tokens"),
        (role.period != 0, "periodic tokens"),
        (role.renewable, "renewable tokens"),
        (role.explicit_max_ttl != 0, "tokens with an explicit max TTL"),
        (role.num_uses != 0, "tokens with a limited number of uses"),
    ];
    match refused.iter().find(|(set, _)| *set) {
        None => Ok(()),
        Some((_, what)) => {
            Err(TokenError::invalid(format!("'token_type' cannot be 'batch' when role is set to generate {what}")))
        }
    }
}

/// `*` at the start and the end of a glob stands for anything.
fn glob_matches(glob: &str, name: &str) -> bool {
    match (glob.strip_prefix('*'), glob.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(rest), Some(_)) => name.contains(rest.trim_end_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => glob == name,
    }
}

impl Tokens {
    /// Reads a role.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read_role(&self, permit: Permit, name: &str) -> Result<Option<Role>, TokenError> {
        permit.spend();
        Ok(self.find_role(name).await?)
    }

    /// Replaces a role, or a new one of that name, by what `change` makes of it.
    ///
    /// # Errors
    /// When a batch role asks for what batch tokens cannot have, or `change` fails.
    pub async fn change_role<E: From<TokenError>>(
        &self,
        permit: Permit,
        name: &str,
        change: impl FnOnce(&mut Role) -> Result<(), E>,
    ) -> Result<(), E> {
        permit.spend();
        let key = keys::token_role(name);
        let _lock = self.store.lock(&key).await;
        let found = self.find_role(name).await.map_err(TokenError::from)?;
        let mut role = found.unwrap_or_else(|| Role::new(name));
        change(&mut role)?;
        check_batch(&role)?;
        Ok(self.store.write(key, &role).await.map_err(TokenError::from)?)
    }

    /// Removes a role. Tokens it issued stay, but can no longer be renewed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_role(&self, permit: Permit, name: &str) -> Result<(), TokenError> {
        permit.spend();
        Ok(self.store.delete(keys::token_role(name)).await?)
    }

    /// The names of all roles.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_roles(&self, permit: Permit) -> Result<Vec<String>, TokenError> {
        permit.spend();
        Ok(self.store.names(keys::TOKEN_ROLES).await?)
    }

    pub(crate) async fn find_role(&self, name: &str) -> Result<Option<Role>, StoreError> {
        Ok(self.store.read(&keys::token_role(name)).await?.map(|seen| seen.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_at_their_open_ends_only() {
        for (glob, name, matches) in [
            ("*", "x", true),
            ("dev-*", "dev-a", true),
            ("dev-*", "x-dev-a", false),
            ("*-ro", "db-ro", true),
            ("*mid*", "amidb", true),
            ("a", "ab", false),
        ] {
            assert_eq!(glob_matches(glob, name), matches, "{glob} {name}");
        }
    }

    #[test]
    fn a_role_that_only_forbids_still_gives_no_root() {
        let role = Role { disallowed_policies: vec!["admin".into()], ..Role::new("r") };
        let ask = |policy: &str| CreateToken { policies: vec![policy.into()], ..CreateToken::default() };
        assert!(role.policies_for(&ask("root"), &[]).is_err());
        assert!(role.policies_for(&ask("admin"), &[]).is_err());
        assert_eq!(role.policies_for(&ask("dev"), &[]).expect("allowed"), ["default", "dev"]);
        let inherited = role.policies_for(&CreateToken::default(), &["ops".to_owned()]).expect("allowed");
        assert_eq!(inherited, ["default", "ops"]);
    }
}
