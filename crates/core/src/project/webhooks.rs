//! Webhooks: what a project's configs hold has changed, whoever changed it through whichever API.
//!
//! Each webhook remembers which version of each config it has told of. The upkeep follows the commits of the store;
//! where a config has another version than was told of, the message and the note of it go into one commit. So nothing is
//! lost with a crash, and a write of a secret costs no more than before. Messages name fields and hold no values.
//!
//! ```text
//! kv/<uuid>/webhook/<project>/<slug>    Webhook
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Activity, ConfigView, ProjectError, ProjectView, Projects, activity::Told, draft::By, project_of};
use crate::{
    barrier::Batch,
    clock::{Timestamp, nanos},
    door::Permit,
    keys,
    login::kept,
    mount::Mount,
    secret::SecretString,
    store::{Seen, Store, StoreError},
};

/// What the messages of webhooks are called in the outbox.
pub(super) const CHANNEL: &str = "webhook";
/// Webhooks of one project at the most.
const MAX_WEBHOOKS: usize = 20;
/// Attempts at a change that others get in the way of.
const ATTEMPTS: usize = 8;

/// How a webhook says who it is, beside its signature.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub enum WebhookAuth {
    /// Not at all.
    #[default]
    None,
    /// By a token.
    Bearer(#[serde(with = "kept")] SecretString),
    /// By a name and a password.
    Basic(String, #[serde(with = "kept")] SecretString),
}

impl WebhookAuth {
    /// As clients have it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bearer(_) => "Bearer",
            Self::Basic(..) => "Basic",
        }
    }
}

/// A webhook.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Webhook {
    /// For people.
    pub name: String,
    /// Where messages go.
    pub url: String,
    /// What messages are signed with; empty: they are not.
    #[serde(with = "kept")]
    pub secret: SecretString,
    /// How it says who it is.
    pub auth: WebhookAuth,
    /// Added to each message: the text of a JSON object; empty: nothing.
    pub payload: String,
    /// Whether it is told of anything.
    pub enabled: bool,
    /// The configs that it is told of; `None`: all.
    pub configs: Option<Vec<String>>,
    #[serde(with = "nanos")]
    pub(super) created: Timestamp,
    /// The version of each config that it was last told of.
    pub(super) told: BTreeMap<String, u64>,
}

impl Webhook {
    fn wants(&self, config: &str) -> bool {
        self.enabled && self.configs.as_ref().is_none_or(|configs| configs.iter().any(|known| known == config))
    }
}

/// What a webhook is to be; `None` leaves as it is.
#[derive(Debug, Default)]
pub struct WebhookChange {
    /// For people.
    pub name: Option<String>,
    /// Where messages go.
    pub url: Option<String>,
    /// What messages are signed with.
    pub secret: Option<SecretString>,
    /// How it says who it is.
    pub auth: Option<WebhookAuth>,
    /// Added to each message: the text of a JSON object.
    pub payload: Option<String>,
    /// Whether it is told of anything.
    pub enabled: Option<bool>,
    /// Configs that it is told of from now on.
    pub enable: Vec<String>,
    /// Configs that it is told of no longer.
    pub disable: Vec<String>,
}

impl Projects {
    /// The webhooks of a project, by their slugs.
    ///
    /// # Errors
    /// [`ProjectError::NotFound`] when there is no such project.
    pub async fn webhooks(&self, permit: Permit) -> Result<Vec<(String, Webhook)>, ProjectError> {
        let (mount, project) = project_of(&permit)?;
        permit.spend();
        self.view(&mount, &project).await?.ok_or_else(|| ProjectError::no_project(&project))?;
        let all = self.store.read_all::<Webhook>(&keys::webhooks(&mount.uuid, &project)).await?;
        Ok(all.into_iter().map(|(slug, webhook)| (String::from_utf8_lossy(&slug).into_owned(), webhook)).collect())
    }

    /// Makes a webhook. It is told of what changes from now on.
    ///
    /// # Errors
    /// [`ProjectError::Invalid`] when its URL or payload is unfit, or there are too many.
    pub async fn create_webhook(
        &self,
        permit: Permit,
        wanted: WebhookChange,
    ) -> Result<(String, Webhook), ProjectError> {
        let (mount, project) = project_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        let view = self.view(&mount, &project).await?.ok_or_else(|| ProjectError::no_project(&project))?;
        let count = self.store.names(&keys::webhooks(&mount.uuid, &project)).await?.len();
        if count >= MAX_WEBHOOKS {
            return Err(ProjectError::Invalid(format!("a project has at most {MAX_WEBHOOKS} webhooks")));
        }
        if wanted.url.is_none() {
            return Err(ProjectError::Invalid("url is missing".to_owned()));
        }
        let mut webhook = Webhook {
            name: String::new(),
            url: String::new(),
            secret: SecretString::default(),
            auth: WebhookAuth::None,
            payload: String::new(),
            enabled: true,
            configs: None,
            created: self.store.now(),
            told: BTreeMap::new(),
        };
        apply(&mut webhook, wanted, &view)?;
        let slug = self.store.random.uuid().map_err(StoreError::from)?.to_string();
        let key = keys::webhook(&mount.uuid, &project, &slug);
        let batch = Batch::new().expect(key.clone(), None).put(key, Store::encode(&webhook)?);
        let told = Told::of_project(format!("Created webhook {slug}")).by(by.name(), self.store.now(), &project);
        let batch = self.log_into(&mount, batch, told).await?;
        self.followed.learn(&mount.uuid, &project, true);
        self.store.apply(batch).await?;
        Ok((slug, webhook))
    }

    /// A webhook.
    ///
    /// # Errors
    /// [`ProjectError::NotFound`].
    pub async fn webhook(&self, permit: Permit, slug: &str) -> Result<Webhook, ProjectError> {
        let (mount, project) = project_of(&permit)?;
        permit.spend();
        Ok(self.find_webhook(&mount, &project, slug).await?.value)
    }

    /// Changes a webhook.
    ///
    /// # Errors
    /// [`ProjectError::NotFound`]; [`ProjectError::Invalid`] when its URL or payload is unfit.
    pub async fn change_webhook(
        &self,
        permit: Permit,
        slug: &str,
        wanted: WebhookChange,
    ) -> Result<Webhook, ProjectError> {
        let (mount, project) = project_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        let key = keys::webhook(&mount.uuid, &project, slug);
        let _lock = self.store.lock(&key).await;
        let view = self.view(&mount, &project).await?.ok_or_else(|| ProjectError::no_project(&project))?;
        let Seen { revision, value: mut webhook } = self.find_webhook(&mount, &project, slug).await?;
        apply(&mut webhook, wanted, &view)?;
        let batch = Batch::new().expect(key.clone(), Some(revision)).put(key, Store::encode(&webhook)?);
        let told = Told::of_project(format!("Changed webhook {slug}")).by(by.name(), self.store.now(), &project);
        self.store.apply(self.log_into(&mount, batch, told).await?).await?;
        Ok(webhook)
    }

    /// Removes a webhook; what is on its way to it is dropped.
    ///
    /// # Errors
    /// [`ProjectError::NotFound`].
    pub async fn delete_webhook(&self, permit: Permit, slug: &str) -> Result<(), ProjectError> {
        let (mount, project) = project_of(&permit)?;
        let by = By::of(&permit);
        permit.spend();
        self.find_webhook(&mount, &project, slug).await?;
        let batch = Batch::new().delete(keys::webhook(&mount.uuid, &project, slug));
        let told = Told::of_project(format!("Deleted webhook {slug}"));
        let told: Activity = told.by(by.name(), self.store.now(), &project);
        Ok(self.store.apply(self.log_into(&mount, batch, told).await?).await?)
    }

    async fn find_webhook(&self, mount: &Mount, project: &str, slug: &str) -> Result<Seen<Webhook>, ProjectError> {
        let missing = || ProjectError::NotFound { what: "webhook", name: slug.chars().take(60).collect() };
        if slug.len() > 60 || slug.is_empty() || slug.contains('/') {
            return Err(missing());
        }
        self.store.read(&keys::webhook(&mount.uuid, project, slug)).await?.ok_or_else(missing)
    }

    /// Puts messages into the outbox for the configs of a project that have changed.
    pub(super) async fn tell_of(&self, mount: &Mount, project: &str) -> Result<(), StoreError> {
        let Some(view) = self.view(mount, project).await? else { return Ok(()) };
        for slug in self.store.names(&keys::webhooks(&mount.uuid, project)).await? {
            self.tell(mount, &view, &slug).await?;
        }
        Ok(())
    }

    async fn tell(&self, mount: &Mount, project: &ProjectView, slug: &str) -> Result<(), StoreError> {
        let key = keys::webhook(&mount.uuid, &project.name, slug);
        let _lock = self.store.lock(&key).await;
        for _ in 0..ATTEMPTS {
            let Some(Seen { revision, value: mut webhook }) = self.store.read::<Webhook>(&key).await? else {
                return Ok(());
            };
            let mut batch = Batch::new();
            let behind = |config: &&ConfigView| webhook.told.get(&config.name).copied().unwrap_or(0) != config.version;
            let changed: Vec<&ConfigView> = project.configs.iter().filter(behind).collect();
            for config in &changed {
                let before = webhook.told.get(&config.name).copied().unwrap_or(0);
                if webhook.wants(&config.name) {
                    let body = self.message(mount, project, config, before, &webhook.payload).await?;
                    let target = format!("{}/{}/{slug}", mount.uuid, project.name);
                    batch = self.outbox.put(batch, CHANNEL, &target, body)?;
                }
                webhook.told.insert(config.name.clone(), config.version);
            }
            webhook.told.retain(|name, _| project.config(name).is_some());
            if changed.is_empty() {
                return Ok(());
            }
            let batch = batch.expect(key.clone(), Some(revision)).put(key.clone(), Store::encode(&webhook)?);
            if self.committed(batch).await? {
                return Ok(());
            }
        }
        Err(StoreError::Contended)
    }

    /// What is told of a config that has changed since a version.
    async fn message(
        &self,
        mount: &Mount,
        project: &ProjectView,
        config: &ConfigView,
        before: u64,
        payload: &str,
    ) -> Result<String, StoreError> {
        let name = format!("{}/{}", project.name, config.name);
        let (old, new) = (
            crate::kv::names_and_values(&self.store, &mount.uuid, &name, before).await?,
            crate::kv::names_and_values(&self.store, &mount.uuid, &name, config.version).await?,
        );
        let names = |keep: &dyn Fn(&String) -> bool| -> Vec<String> {
            let all: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            all.into_iter().filter(|name| keep(name)).cloned().collect()
        };
        let mut message = serde_json::json!({
            "type": "config.secrets.update",
            "config": {
                "name": config.name,
                "root": config.is_root(),
                "environment": config.environment,
                "project": project.name,
                "version": config.version,
            },
            "project": { "id": project.name, "slug": project.name, "name": project.name, "description": project.description },
            "workplace": { "id": "keyturn", "name": "Keyturn" },
            "diff": {
                "added": names(&|name| !old.contains_key(name)),
                "removed": names(&|name| !new.contains_key(name)),
                "updated": names(&|name| old.get(name).zip(new.get(name)).is_some_and(|(old, new)| old != new)),
            },
        });
        if let (Ok(serde_json::Value::Object(more)), Some(message)) =
            (serde_json::from_str(payload), message.as_object_mut())
        {
            for (name, value) in more {
                message.entry(name).or_insert(value);
            }
        }
        Ok(message.to_string())
    }
}

fn apply(webhook: &mut Webhook, wanted: WebhookChange, project: &ProjectView) -> Result<(), ProjectError> {
    let is_new = webhook.url.is_empty();
    let WebhookChange { name, url, secret, auth, payload, enabled, enable, disable } = wanted;
    if let Some(url) = url {
        check_url(&url)?;
        webhook.url = url;
    }
    if let Some(payload) = payload {
        let is_object = matches!(serde_json::from_str(&payload), Ok(serde_json::Value::Object(_)));
        if !payload.is_empty() && (!is_object || payload.len() > 8192) {
            return Err(ProjectError::Invalid(
                "payload must be the text of a JSON object, of at most 8192 bytes".to_owned(),
            ));
        }
        webhook.payload = payload;
    }
    webhook.name = name.unwrap_or_else(|| webhook.name.clone()).chars().take(100).collect();
    webhook.secret = secret.unwrap_or_else(|| webhook.secret.clone());
    webhook.auth = auth.unwrap_or_else(|| webhook.auth.clone());
    let was_told = webhook.clone();
    webhook.enabled = enabled.unwrap_or(webhook.enabled);
    if !enable.is_empty() || !disable.is_empty() {
        let all = || project.configs.iter().map(|config| config.name.clone()).collect::<Vec<_>>();
        let mut configs = match webhook.configs.take() {
            Some(configs) => configs,
            None if enable.is_empty() => all(),
            None => Vec::new(),
        };
        configs.retain(|config| !disable.contains(config));
        configs.extend(enable);
        configs.sort();
        configs.dedup();
        webhook.configs = Some(configs);
    }
    // What it was not told of before is not told of afterwards.
    for config in &project.configs {
        if !was_told.wants(&config.name) || is_new {
            webhook.told.insert(config.name.clone(), config.version);
        }
    }
    Ok(())
}

/// Messages go by TLS, and not to the addresses that a host's own cloud answers on: what a host is told there is its own.
fn check_url(url: &str) -> Result<(), ProjectError> {
    let invalid = |text: &str| Err(ProjectError::Invalid(text.to_owned()));
    let Some(rest) = url.strip_prefix("https://") else { return invalid("url must begin with https://") };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty()
        || authority.contains('@')
        || url.len() > 2000
        || url.chars().any(|c| c.is_control() || c == ' ')
    {
        return invalid("url must name a host, without a user, in at most 2000 characters");
    }
    let host = authority.trim_start_matches('[').split([']', ':']).next().unwrap_or_default();
    let address = authority.strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or(host);
    let is_link_local = match address.parse() {
        Ok(std::net::IpAddr::V4(address)) => address.is_link_local(),
        Ok(std::net::IpAddr::V6(address)) => {
            address.is_unicast_link_local() || address.to_ipv4_mapped().is_some_and(|address| address.is_link_local())
        }
        Err(_) => false,
    };
    if is_link_local {
        return invalid("url must not be a link-local address");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_by_tls_and_not_to_the_hosts_own_cloud() {
        for url in ["https://a.example/x?y", "https://10.0.0.1:8443/", "https://[::1]:1/x", "https://127.0.0.1:1"] {
            assert!(check_url(url).is_ok(), "{url}");
        }
        for url in [
            "http://a.example/",
            "https://",
            "https:///x",
            "https://u:p@a/",
            "https://169.254.169.254/latest",
            "ftp://a",
            "https://[fe80::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://a b/",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }
}
