//! Login with the token of a service account.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{AliasSource, Kubernetes, KubernetesConfig, KubernetesError, KubernetesRole, account::Account, mount_of};
use crate::{
    door::Permit,
    keys,
    login::{
        LoginIdentity, glob,
        issue::Proven,
        jose::{Claims, Leeways, Token, check_times},
        name_of,
    },
    mount::Mount,
    secret::SecretString,
    token::{Issued, address_allowed},
};

/// The entry of a token's metadata that names its role.
pub(super) const ROLE: &str = "role";
/// What `iss` is in older tokens.
const DEFAULT_ISSUER: &str = "kubernetes/serviceaccount";

impl Kubernetes {
    /// Logs in at `role` with the token of a service account.
    ///
    /// # Errors
    /// When the token is not good for the role, or the cluster says so.
    pub async fn login(&self, permit: Permit, role: &str, jwt: &SecretString) -> Result<Issued, KubernetesError> {
        let mount = mount_of(&permit)?;
        let (path, from) = (permit.path().to_owned(), permit.remote());
        permit.spend();
        for (given, name) in [(role.is_empty(), "role"), (jwt.is_empty(), "jwt")] {
            if given {
                return Err(KubernetesError::Invalid(format!("missing {name}")));
            }
        }
        let (name, role) = self.role(&mount, role).await?;
        if !address_allowed(&role.token.bound_cidrs, from) {
            return Err(KubernetesError::Denied);
        }
        let config = self.find_config(&mount).await?.ok_or(KubernetesError::NoConfig)?;
        let claims = self.check(&config, &role, jwt)?;
        let account = Account::of(&claims)?;
        if !glob::any_matches(&role.names, &account.name) {
            return Err(KubernetesError::Refused("service account name not authorized".to_owned()));
        }
        if !glob::any_matches(&role.namespaces, &account.namespace) {
            return Err(KubernetesError::Refused("namespace not authorized".to_owned()));
        }
        if !config.host.is_empty() {
            let wanted = if role.audience.is_empty() { audiences(&claims) } else { vec![role.audience.clone()] };
            self.review(&config, jwt, &wanted, &account).await.map_err(|reason| {
                tracing::debug!(reason, role = name, "a login of a service account was refused");
                KubernetesError::Denied
            })?;
        }
        self.issue(&mount, path, name, &role, &account).await
    }

    /// What can be told of a token without asking the cluster: its issuer, audience and times, and its signature where
    /// keys are given.
    fn check(
        &self,
        config: &KubernetesConfig,
        role: &KubernetesRole,
        jwt: &SecretString,
    ) -> Result<Claims, KubernetesError> {
        let refused = |text: &str| Err(KubernetesError::Refused(text.to_owned()));
        let token = Token::parse(jwt)?;
        let claims = if config.pem_keys.is_empty() {
            token.unverified()?
        } else {
            let keys = config.keys().map_err(|reason| KubernetesError::Invalid(reason.to_owned()))?;
            token.verify(keys.all())?
        };
        let issuer = if config.issuer.is_empty() { DEFAULT_ISSUER } else { &config.issuer };
        if !config.disable_iss_validation && claims.get("iss").and_then(Value::as_str) != Some(issuer) {
            return refused("invalid issuer (iss) claim");
        }
        if !role.audience.is_empty() && !audiences(&claims).contains(&role.audience) {
            return refused("invalid audience (aud) claim: audience claim does not match any expected audience");
        }
        // Tokens of secrets have no times: the cluster takes them back by its answer. Where nobody is asked, a token
        // that does not end could never be taken back.
        let ends = claims.get("exp").is_some_and(Value::is_number);
        if config.host.is_empty() && !ends {
            return refused("the token has no expiration time (exp), which it needs where no kubernetes_host is asked");
        }
        if ["exp", "nbf", "iat"].iter().any(|name| claims.contains_key(*name)) {
            check_times(&claims, Leeways::default(), self.store.now())?;
        }
        Ok(claims)
    }

    async fn role(&self, mount: &Mount, given: &str) -> Result<(String, KubernetesRole), KubernetesError> {
        let gone = || KubernetesError::NoRole(given.chars().take(80).collect());
        let name = name_of(given).map_err(|_| gone())?;
        let found = self.store.read::<KubernetesRole>(&keys::login_role(&mount.uuid, &name)).await?;
        Ok((name, found.ok_or_else(gone)?.value))
    }

    async fn issue(
        &self,
        mount: &Mount,
        path: String,
        role_name: String,
        role: &KubernetesRole,
        account: &Account,
    ) -> Result<Issued, KubernetesError> {
        let metadata: BTreeMap<String, String> = [
            ("service_account_uid", &account.uid),
            ("service_account_name", &account.name),
            ("service_account_namespace", &account.namespace),
            ("service_account_secret_name", &account.secret),
        ]
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .into();
        let mut meta = metadata.clone();
        meta.insert(ROLE.to_owned(), role_name);
        let alias = match role.alias_source {
            AliasSource::Uid => account.uid.clone(),
            AliasSource::Name => format!("{}/{}", account.namespace, account.name),
        };
        let identity = LoginIdentity { alias, metadata, groups: Vec::new() };
        let name = format!("{}-{}", account.namespace, account.name);
        let bound_cidrs = role.token.bound_cidrs.clone();
        let proven = Proven { mount, path, name: &name, meta, settings: &role.token, bound_cidrs, identity };
        Ok(self.issuer.issue(proven).await?)
    }
}

fn audiences(claims: &Claims) -> Vec<String> {
    match claims.get("aud") {
        Some(Value::String(single)) => vec![single.clone()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
