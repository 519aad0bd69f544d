//! What a mount trusts: keys, or where to find them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Jwt, JwtError, mount_of, provider::Provider};
use crate::{
    door::Permit,
    keys,
    login::{
        jose::{KeySet, is_algorithm},
        kept,
    },
    mount::Mount,
    secret::SecretString,
    store::Seen,
};

/// A mount's configuration. A write replaces all of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JwtConfig {
    /// The issuer whose `/.well-known/openid-configuration` says where its keys are.
    pub oidc_discovery_url: String,
    /// Certificates that the issuer's must lead back to, in PEM; empty: the system's.
    pub oidc_discovery_ca_pem: String,
    /// Who this server is to the provider, for logins through a browser.
    pub oidc_client_id: String,
    /// Its proof of that. Never told.
    #[serde(with = "kept")]
    pub oidc_client_secret: SecretString,
    /// `query`, or empty for the same.
    pub oidc_response_mode: String,
    /// `code`, or empty for the same.
    pub oidc_response_types: Vec<String>,
    /// Where a key set is.
    pub jwks_url: String,
    /// Certificates that the key set's server's must lead back to, in PEM; empty: the system's.
    pub jwks_ca_pem: String,
    /// Public keys or certificates, in PEM.
    pub jwt_validation_pubkeys: Vec<String>,
    /// Algorithms that tokens may be signed by; empty: all that are supported.
    pub jwt_supported_algs: Vec<String>,
    /// What `iss` must be; empty: anything.
    pub bound_issuer: String,
    /// The role of a login that names none.
    pub default_role: String,
    /// Kept for clients.
    pub provider_config: Map<String, Value>,
    /// Kept for clients.
    pub namespace_in_state: bool,
}

impl JwtConfig {
    /// Whether logins through a browser are possible.
    pub(super) fn is_flow(&self) -> bool {
        !self.oidc_client_id.is_empty() && !self.oidc_discovery_url.is_empty()
    }

    fn check(&self) -> Result<(), JwtError> {
        let invalid = |text: String| Err(JwtError::Invalid(text));
        let sources =
            [!self.oidc_discovery_url.is_empty(), !self.jwks_url.is_empty(), !self.jwt_validation_pubkeys.is_empty()];
        if sources.iter().filter(|given| **given).count() != 1 {
            return invalid(
                "exactly one of 'jwt_validation_pubkeys', 'jwks_url' or 'oidc_discovery_url' must be set".to_owned(),
            );
        }
        if self.oidc_client_id.is_empty() != self.oidc_client_secret.is_empty() {
            return invalid("both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC".to_owned());
        }
        if !self.oidc_client_id.is_empty() && self.oidc_discovery_url.is_empty() {
            return invalid("'oidc_discovery_url' must be set for OIDC".to_owned());
        }
        if self.oidc_discovery_url.contains(".well-known/openid-configuration") {
            return invalid("'oidc_discovery_url' contains '.well-known' component".to_owned());
        }
        for (name, url) in [("oidc_discovery_url", &self.oidc_discovery_url), ("jwks_url", &self.jwks_url)] {
            if !url.is_empty() && !url.starts_with("https://") && !url.starts_with("http://") {
                return invalid(format!("{name} must begin with https:// or http://"));
            }
        }
        if let Err(reason) = KeySet::from_pems(&self.jwt_validation_pubkeys) {
            return invalid(format!("error parsing public key: {reason}"));
        }
        if let Some(unknown) = self.jwt_supported_algs.iter().find(|name| !is_algorithm(name)) {
            return invalid(format!("invalid jwt_supported_algs: unsupported signing algorithm {unknown:?}"));
        }
        self.check_response()
    }

    /// The provider's answer comes through the browser's address, as a code.
    fn check_response(&self) -> Result<(), JwtError> {
        if let Some(other) = self.oidc_response_types.iter().find(|kind| *kind != "code") {
            return Err(JwtError::Invalid(format!("invalid response_types: {other:?}; this server offers \"code\"")));
        }
        match self.oidc_response_mode.as_str() {
            "" | "query" => Ok(()),
            other => Err(JwtError::Invalid(format!("invalid response_mode: {other:?}; this server offers \"query\""))),
        }
    }

    /// How errors name the place where keys come from.
    fn source(&self) -> &'static str {
        if self.jwks_url.is_empty() { "error checking oidc discovery URL" } else { "error checking jwks URL" }
    }
}

impl Jwt {
    /// Reads the configuration; its secret is not to be told.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read_config(&self, permit: Permit) -> Result<Option<JwtConfig>, JwtError> {
        let mount = mount_of(&permit)?;
        permit.spend();
        Ok(self.find_config(&mount).await?.map(|seen| seen.value))
    }

    /// Replaces the configuration. The keys are fetched once, to see whether they can be; with `unchecked` a failure
    /// is a warning. Answers what there is to say about it.
    ///
    /// # Errors
    /// When the configuration contradicts itself, or the keys cannot be fetched.
    pub async fn write_config(
        &self,
        permit: Permit,
        config: JwtConfig,
        unchecked: bool,
    ) -> Result<Option<String>, JwtError> {
        let mount = mount_of(&permit)?;
        permit.spend();
        config.check()?;
        let mut warning = None;
        if let Err(reason) = Provider::load(&config, self.outbound.as_ref(), self.store.now()).await {
            let text = format!("{}: {reason}", config.source());
            if !unchecked {
                return Err(JwtError::Invalid(text));
            }
            warning = Some(text);
        }
        let key = keys::login_config(&mount.uuid);
        let _lock = self.store.lock(&key).await;
        self.store.write(key, &config).await?;
        Ok(warning)
    }

    pub(super) async fn find_config(&self, mount: &Mount) -> Result<Option<Seen<JwtConfig>>, JwtError> {
        Ok(self.store.read(&keys::login_config(&mount.uuid)).await?)
    }

    pub(super) async fn require_config(&self, mount: &Mount) -> Result<Seen<JwtConfig>, JwtError> {
        self.find_config(mount).await?.ok_or(JwtError::NoConfig)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwks() -> JwtConfig {
        JwtConfig { jwks_url: "https://id.example/keys".into(), ..JwtConfig::default() }
    }

    fn discovery() -> JwtConfig {
        JwtConfig { oidc_discovery_url: "https://id.example".into(), ..JwtConfig::default() }
    }

    #[test]
    fn a_configuration_names_one_source_of_keys() {
        assert!(jwks().check().is_ok() && discovery().check().is_ok());
        let both = JwtConfig { jwks_url: "https://id.example/keys".into(), ..discovery() };
        for config in [JwtConfig::default(), both] {
            assert!(config.check().expect_err("refused").to_string().starts_with("exactly one of"));
        }
        let keys = JwtConfig { jwt_validation_pubkeys: vec!["no key".into()], ..JwtConfig::default() };
        assert!(keys.check().expect_err("refused").to_string().starts_with("error parsing public key"));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (config, text) in [
            (JwtConfig { oidc_client_id: "id".into(), ..discovery() }, "both 'oidc_client_id'"),
            (JwtConfig { oidc_client_secret: "s".into(), ..discovery() }, "both 'oidc_client_id'"),
            (
                JwtConfig { oidc_client_id: "id".into(), oidc_client_secret: "s".into(), ..jwks() },
                "'oidc_discovery_url' must be set",
            ),
            (JwtConfig { jwt_supported_algs: vec!["HS256".into()], ..jwks() }, "invalid jwt_supported_algs"),
            (JwtConfig { jwt_supported_algs: vec!["none".into()], ..jwks() }, "invalid jwt_supported_algs"),
            (JwtConfig { jwks_url: "file:///etc/passwd".into(), ..JwtConfig::default() }, "must begin with"),
            (JwtConfig { oidc_response_mode: "form_post".into(), ..jwks() }, "invalid response_mode"),
            (JwtConfig { oidc_response_types: vec!["id_token".into()], ..jwks() }, "invalid response_types"),
        ] {
            let error = config.check().expect_err(text).to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
