//! Roles: which tokens of the provider are good, and for what.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Jwt, JwtError, Place, claims, login::ROLE, mount_of};
use crate::{
    door::Permit,
    keys,
    login::{Terms, TokenSettings, jose::Leeways, record},
    mount::Mount,
    store::Store,
    token::{Entry, TokenError},
};

/// How a role is logged in with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoleType {
    /// Through a browser.
    #[default]
    Oidc,
    /// With a token that the client has.
    Jwt,
}

impl RoleType {
    /// The name that clients know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Jwt => "jwt",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "" | "oidc" => Some(Self::Oidc),
            "jwt" => Some(Self::Jwt),
            _ => None,
        }
    }
}

/// A role. Durations in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JwtRole {
    /// How it is logged in with.
    pub role_type: RoleType,
    /// A token must be meant for one of these (`aud`).
    pub bound_audiences: Vec<String>,
    /// What `sub` must be; empty: anything.
    pub bound_subject: String,
    /// Whether the values of `bound_claims` are globs.
    pub glob_claims: bool,
    /// Claims, by name or JSON pointer, and the values that are good.
    pub bound_claims: Map<String, Value>,
    /// Claims that become metadata of the token, and under which name.
    pub claim_mappings: BTreeMap<String, String>,
    /// The claim that says who it is.
    pub user_claim: String,
    /// Whether `user_claim` is a JSON pointer.
    pub user_claim_json_pointer: bool,
    /// The claim that says in which groups; empty: none.
    pub groups_claim: String,
    /// How long a token without `exp` is good; 0: the usual 150, below: not at all.
    pub expiration_leeway: i64,
    /// From how long before `exp` a token without `nbf` and `iat` is good; 0: the usual 150.
    pub not_before_leeway: i64,
    /// How far clocks may be apart; 0: the usual 60, below: not at all.
    pub clock_skew_leeway: i64,
    /// How long ago the user may have been asked for a password; 0: any time.
    pub max_age: u64,
    /// Where the provider may send the browser back to.
    pub allowed_redirect_uris: Vec<String>,
    /// What is asked of the provider besides `openid`.
    pub oidc_scopes: Vec<String>,
    /// Kept for clients: nothing of a token is ever logged.
    pub verbose_oidc_logging: bool,
    /// Its tokens.
    pub token: TokenSettings,
}

impl JwtRole {
    pub(super) fn leeways(&self) -> Leeways {
        Leeways {
            expiration: self.expiration_leeway,
            not_before: self.not_before_leeway,
            clock_skew: self.clock_skew_leeway,
        }
    }

    fn check(&self) -> Result<(), JwtError> {
        let invalid = |text: String| Err(JwtError::Invalid(text));
        if self.glob_claims {
            for value in self.bound_claims.values() {
                let texts = claims::as_list(value).is_some_and(|values| values.into_iter().all(Value::is_string));
                if !texts {
                    return invalid("a bound claim is not a string or a list of strings, as globs have to be".into());
                }
            }
        }
        if let Some((name, _)) = self.bound_claims.iter().find(|(_, value)| claims::as_list(value).is_none()) {
            return invalid(format!("bound claim {name:?} is not a string, bool, number or list"));
        }
        let mut targets = BTreeSet::new();
        for target in self.claim_mappings.values() {
            if target == ROLE {
                return invalid(format!("metadata key {target:?} is reserved and may not be a mapping destination"));
            }
            if !targets.insert(target) {
                return invalid(format!("multiple keys are mapped to metadata key {target:?}"));
            }
        }
        if self.user_claim.is_empty() {
            return invalid("a user claim must be defined on the role".into());
        }
        if self.role_type == RoleType::Oidc && self.allowed_redirect_uris.is_empty() {
            return invalid("'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.".to_owned());
        }
        let bound = !self.bound_audiences.is_empty()
            || !self.token.bound_cidrs.is_empty()
            || !self.bound_subject.is_empty()
            || !self.bound_claims.is_empty();
        if self.role_type == RoleType::Jwt && !bound {
            return invalid("must have at least one bound constraint when creating/updating a role".into());
        }
        Ok(self.token.check()?)
    }
}

impl Jwt {
    /// The names of all roles of the mount.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_roles(&self, permit: Permit) -> Result<Vec<String>, JwtError> {
        let mount = mount_of(&permit)?;
        permit.spend();
        Ok(self.store.names(&keys::login_roles(&mount.uuid)).await?)
    }

    /// Reads the role.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn read_role(&self, permit: Permit) -> Result<Option<JwtRole>, JwtError> {
        let place = Place::of(&permit)?;
        permit.spend();
        Ok(self.store.read(&place.key()).await?.map(|seen| seen.value))
    }

    /// Replaces the role, or a new one, by what `change` makes of it; answers what there is to say about it.
    ///
    /// # Errors
    /// When the outcome contradicts itself or demands nothing of a token, or `change` fails.
    pub async fn write_role<E: From<JwtError>>(
        &self,
        permit: Permit,
        change: impl FnOnce(&mut JwtRole) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let place = Place::of(&permit)?;
        permit.spend();
        let role = record::rewrite(&self.store, place.key(), JwtRole::default, change, JwtRole::check).await?;
        Ok(warnings(&role, &place.mount))
    }

    /// Removes the role. Tokens it issued stay, but can no longer be renewed.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn delete_role(&self, permit: Permit) -> Result<(), JwtError> {
        let place = Place::of(&permit)?;
        permit.spend();
        Ok(self.store.delete(place.key()).await?)
    }
}

fn warnings(role: &JwtRole, mount: &Mount) -> Vec<String> {
    let long = "token max ttl is greater than the system or backend mount's maximum TTL value; issued tokens' max TTL \
                value will be truncated";
    (role.token.max_ttl > mount.max_lease_ttl()).then(|| long.to_owned()).into_iter().collect()
}

/// The terms of a token that a login with a role got.
pub(in crate::login) async fn terms(store: &Store, mount: &Mount, entry: &Entry) -> Result<Terms, TokenError> {
    let name = entry.meta.get(ROLE).map_or("", String::as_str);
    let found = store.read::<JwtRole>(&keys::login_role(&mount.uuid, name)).await?;
    let gone = || TokenError::Invalid(format!("role {name} does not exist during renewal"));
    Ok(Terms::from(&found.ok_or_else(gone)?.value.token))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn role() -> JwtRole {
        JwtRole {
            role_type: RoleType::Jwt,
            user_claim: "sub".into(),
            bound_audiences: vec!["keyturn".into()],
            ..JwtRole::default()
        }
    }

    #[test]
    fn a_role_demands_something_of_a_token() {
        assert!(role().check().is_ok());
        let open = JwtRole { bound_audiences: Vec::new(), ..role() };
        assert!(open.check().expect_err("open").to_string().contains("at least one bound constraint"));
        assert!(JwtRole { bound_subject: "a".into(), ..open }.check().is_ok());
        let flow = JwtRole { role_type: RoleType::Oidc, ..role() };
        assert!(flow.check().expect_err("no way back").to_string().contains("'allowed_redirect_uris' must be set"));
    }

    #[test]
    fn claims_of_a_role_make_sense() {
        let claims = |claims: Value| claims.as_object().cloned().unwrap_or_default();
        let globs = JwtRole { glob_claims: true, bound_claims: claims(json!({"a": ["x*", 5]})), ..role() };
        assert!(globs.check().is_err());
        assert!(JwtRole { glob_claims: false, ..globs }.check().is_ok());
        assert!(JwtRole { bound_claims: claims(json!({"a": {"b": 1}})), ..role() }.check().is_err());
        let mapped = |pairs: &[(&str, &str)]| JwtRole {
            claim_mappings: pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect(),
            ..role()
        };
        assert!(mapped(&[("a", "x"), ("b", "y")]).check().is_ok());
        assert!(mapped(&[("a", "x"), ("b", "x")]).check().is_err());
        assert!(mapped(&[("a", "role")]).check().is_err());
        assert!(JwtRole { user_claim: String::new(), ..role() }.check().is_err());
    }
}
