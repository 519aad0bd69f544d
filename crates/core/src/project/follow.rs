//! Following the store's commits for the webhooks, and delivering what they are told.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::broadcast::error::TryRecvError;

use super::{Projects, Webhook, WebhookAuth};
use crate::{
    barrier::Changes,
    keys,
    mount::{Engine, Mounts},
    outbound::{Body, Credential, Request},
    outbox::{Addresses, Delivery},
    secret::SecretBytes,
    storage::BoxFuture,
    store::{Store, StoreError},
};

/// Which projects have webhooks: mount and project. Others cost nothing.
pub(super) struct Followed {
    projects: Mutex<HashSet<(String, String)>>,
    feed: tokio::sync::Mutex<Feed>,
}

struct Feed {
    changes: Changes,
    /// All are looked at once after the start: what changed before it is in no feed.
    caught_up: bool,
}

impl Followed {
    pub(super) fn of(store: &Store) -> Self {
        let feed = Feed { changes: store.barrier.changes(), caught_up: false };
        Self { projects: Mutex::default(), feed: tokio::sync::Mutex::new(feed) }
    }

    pub(super) fn learn(&self, mount: &str, project: &str, has: bool) {
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (mount.to_owned(), project.to_owned());
        if has {
            projects.insert(key)
        } else {
            projects.remove(&key)
        };
    }

    fn all(&self) -> HashSet<(String, String)> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Projects {
    /// Finds out which projects have webhooks.
    pub(super) async fn load_followed(&self, mount: &str) -> Result<(), StoreError> {
        for name in self.store.names(&keys::all_webhooks(mount)).await? {
            if let Some((project, _)) = name.split_once('/') {
                self.followed.learn(mount, project, true);
            }
        }
        Ok(())
    }

    /// One round: tells the webhooks of what has changed, and sends what is due.
    pub(crate) async fn tend(&self, mounts: &Mounts) -> Result<(), StoreError> {
        for (uuid, project) in self.changed().await {
            if let Some(mount) = mounts.with_uuid(&uuid).filter(|mount| mount.engine == Engine::Kv2) {
                self.tell_of(&mount, &project).await?;
            }
        }
        self.outbox.send_due().await
    }

    async fn changed(&self) -> BTreeSet<(String, String)> {
        let followed = self.followed.all();
        let mut feed = self.followed.feed.lock().await;
        let (mut changed, mut all) = (BTreeSet::new(), !feed.caught_up);
        loop {
            match feed.changes.try_recv() {
                Ok(change) if change.keys.is_empty() => all = true,
                Ok(change) => changed.extend(change.keys.iter().filter_map(|key| project_of_key(key))),
                Err(TryRecvError::Lagged(_)) => all = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        feed.caught_up = true;
        if all {
            return followed.into_iter().collect();
        }
        changed.retain(|key| followed.contains(key));
        changed
    }
}

/// The mount and the project of a secret's record: `kv/<uuid>/meta/<project>/…`.
fn project_of_key(key: &[u8]) -> Option<(String, String)> {
    let rest = std::str::from_utf8(key).ok()?.strip_prefix("kv/")?;
    let (uuid, rest) = rest.split_once('/')?;
    let (project, _) = rest.strip_prefix("meta/")?.split_once('/')?;
    Some((uuid.to_owned(), project.to_owned()))
}

/// Knows where the messages of webhooks go.
pub(super) struct Webhooks {
    pub(super) store: Arc<Store>,
}

impl Addresses for Webhooks {
    fn address<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Option<Request>, StoreError>> {
        Box::pin(async move {
            let mut parts = delivery.target.splitn(3, '/');
            let (Some(uuid), Some(project), Some(slug)) = (parts.next(), parts.next(), parts.next()) else {
                return Ok(None);
            };
            let found = self.store.read::<Webhook>(&keys::webhook(uuid, project, slug)).await?;
            Ok(found.map(|seen| seen.value).filter(|webhook| webhook.enabled).map(|webhook| request(webhook, delivery)))
        })
    }
}

fn request(webhook: Webhook, delivery: &Delivery) -> Request {
    let mut headers = vec![("X-Delivery-Id".to_owned(), delivery.id.clone())];
    if !webhook.secret.is_empty() {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, webhook.secret.expose_secret().as_bytes());
        let signature = aws_lc_rs::hmac::sign(&key, delivery.body.as_bytes());
        headers.push(("X-Doppler-Signature".to_owned(), format!("sha256={}", hex::encode(signature))));
    }
    let credential = match webhook.auth {
        WebhookAuth::None => Credential::None,
        WebhookAuth::Bearer(token) => Credential::Bearer(token),
        WebhookAuth::Basic(name, password) => Credential::Basic(name, password),
    };
    let body = Some(Body::Json(SecretBytes::new(delivery.body.clone().into_bytes())));
    Request { url: webhook.url, ca_pem: String::new(), credential, headers, body }
}
