//! Which cluster a mount trusts.

use serde::{Deserialize, Serialize};

use super::{Kubernetes, KubernetesError, mount_of};
use crate::{
    door::Permit,
    keys,
    login::{jose::KeySet, kept},
    mount::Mount,
    secret::SecretString,
};

/// A mount's configuration. A write replaces all of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct KubernetesConfig {
    /// The URL of the cluster's API server; without a scheme, https.
    pub host: String,
    /// The certificates that its own must lead back to, in PEM; empty: those that the pod was given, else the system's.
    pub ca_cert: String,
    /// What asks the API server about tokens; empty: the pod's own token, else the token that logs in. Never told.
    #[serde(with = "kept")]
    pub token_reviewer_jwt: SecretString,
    /// Public keys or certificates that tokens must be signed with, in PEM; empty: the API server is asked only.
    pub pem_keys: Vec<String>,
    /// What `iss` must be, if that is checked; empty: `kubernetes/serviceaccount`.
    pub issuer: String,
    /// Do not check `iss`.
    pub disable_iss_validation: bool,
    /// Do not use what the pod that this server runs in was given.
    pub disable_local_ca_jwt: bool,
}

impl KubernetesConfig {
    pub(super) fn keys(&self) -> Result<KeySet, &'static str> {
        KeySet::from_pems(&self.pem_keys)
    }

    fn check(&self) -> Result<(), KubernetesError> {
        let invalid = |text: &str| Err(KubernetesError::Invalid(text.to_owned()));
        if self.host.is_empty() && self.pem_keys.is_empty() {
            return invalid("no host provided");
        }
        if !self.host.is_empty() && self.disable_local_ca_jwt && self.ca_cert.is_empty() {
            return invalid("kubernetes_ca_cert must be given when disable_local_ca_jwt is true");
        }
        if let Some((scheme, _)) = self.host.split_once("://")
            && !matches!(scheme, "https" | "http")
        {
            return invalid("kubernetes_host must be a URL with https or http, or a host");
        }
        match self.keys() {
            Ok(_) => Ok(()),
            Err(reason) => invalid(reason),
        }
    }
}

impl Kubernetes {
    /// Reads the configuration; its token is not to be told.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read_config(&self, permit: Permit) -> Result<Option<KubernetesConfig>, KubernetesError> {
        let mount = mount_of(&permit)?;
        permit.spend();
        Ok(self.find_config(&mount).await?)
    }

    /// Replaces the configuration.
    ///
    /// # Errors
    /// When it contradicts itself.
    pub async fn write_config(&self, permit: Permit, config: KubernetesConfig) -> Result<(), KubernetesError> {
        let mount = mount_of(&permit)?;
        permit.spend();
        config.check()?;
        let key = keys::login_config(&mount.uuid);
        let _lock = self.store.lock(&key).await;
        Ok(self.store.write(key, &config).await?)
    }

    pub(super) async fn find_config(
        &self,
        mount: &Mount,
    ) -> Result<Option<KubernetesConfig>, crate::store::StoreError> {
        Ok(self.store.read(&keys::login_config(&mount.uuid)).await?.map(|seen| seen.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_somebody_to_ask() {
        let host = KubernetesConfig { host: "https://k8s.example".into(), ..KubernetesConfig::default() };
        assert!(host.check().is_ok());
        let apart = KubernetesConfig { disable_local_ca_jwt: true, ..host.clone() };
        assert_eq!(
            apart.check().expect_err("no CA").to_string(),
            "kubernetes_ca_cert must be given when disable_local_ca_jwt is true"
        );
        assert_eq!(KubernetesConfig::default().check().expect_err("nobody").to_string(), "no host provided");
        assert!(KubernetesConfig { host: "file:///x".into(), ..host.clone() }.check().is_err());
        assert!(KubernetesConfig { pem_keys: vec!["no key".into()], ..host }.check().is_err());
    }
}
