//! Keys that sign identity tokens, and their rotation.

use serde::{Deserialize, Serialize};

use super::{Algorithm, Oidc, OidcError, check_name};
use crate::{
    barrier::Batch,
    clock::{self, Timestamp, nanos},
    door::Permit,
    keys,
    store::{Seen, Store},
};

/// The key that is made when the first role asks for it.
pub(super) const DEFAULT: &str = "default";

/// A day, in seconds: how often a key rotates, and how long it verifies after that, if nobody says otherwise.
const DAY: u64 = 86_400;

/// The longest times, in seconds: a hundred years.
const LONGEST: u64 = 36_500 * DAY;

/// A named key: all about it that is public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedKey {
    /// Its name.
    pub name: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// Seconds after which the next generation signs.
    pub rotation_period: u64,
    /// Seconds for which a generation verifies after it has signed its last.
    pub verification_ttl: u64,
    /// The clients for which it may sign; `*`: any.
    pub allowed_client_ids: Vec<String>,
    /// What signs.
    pub(super) current: Generation,
    /// What signs next. It is told already, so that who reads keys seldom knows it in time.
    pub(super) next: Generation,
    /// What still verifies.
    pub(super) retired: Vec<Retired>,
    #[serde(with = "nanos")]
    pub(super) next_rotation: Timestamp,
}

/// One pair of keys; its private part is a record of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Generation {
    pub(super) id: String,
    pub(super) algorithm: Algorithm,
    pub(super) public: Vec<u8>,
}

/// A generation that signs no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Retired {
    pub(super) generation: Generation,
    #[serde(with = "nanos")]
    pub(super) until: Timestamp,
}

/// What somebody says of a key. Times in seconds. `None`: it stays, or is as usual.
#[derive(Debug, Default)]
pub struct KeyInput {
    /// Seconds after which the next generation signs.
    pub rotation_period: Option<u64>,
    /// Seconds for which a generation verifies after it has signed its last.
    pub verification_ttl: Option<u64>,
    /// The clients for which it may sign; `*`: any.
    pub allowed_client_ids: Option<Vec<String>>,
    /// How it signs: a name such as `RS256`.
    pub algorithm: Option<String>,
}

impl NamedKey {
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.next_rotation <= now || self.retired.iter().any(|retired| retired.until <= now)
    }

    /// All generations that verify now.
    pub(super) fn verifying(&self, now: Timestamp) -> impl Iterator<Item = &Generation> {
        let retired = self.retired.iter().filter(move |retired| now < retired.until);
        [&self.current, &self.next].into_iter().chain(retired.map(|retired| &retired.generation))
    }

    /// Whether it may sign for this client.
    pub(super) fn allows(&self, client_id: &str) -> bool {
        self.allowed_client_ids.iter().any(|allowed| allowed == "*" || allowed == client_id)
    }

    /// Lets what signed sign no more.
    fn retire(&mut self, generation: Generation, verification_ttl: u64, now: Timestamp) {
        self.retired.push(Retired { generation, until: clock::after(now, verification_ttl) });
    }
}

impl Oidc {
    /// Makes or changes a key.
    ///
    /// # Errors
    /// When times or algorithm are not possible, or a role's tokens would outlive their key.
    pub async fn write_key(&self, permit: Permit, name: &str, input: KeyInput) -> Result<(), OidcError> {
        permit.spend();
        check_name(name)?;
        let _changing = self.changing.lock().await;
        self.store_key(name, input).await?;
        Ok(self.reload().await?)
    }

    /// Makes the default key if it is not there. To be called while nothing else changes.
    pub(super) async fn ensure_default_key(&self) -> Result<(), OidcError> {
        if self.state.load().keys.contains_key(DEFAULT) {
            return Ok(());
        }
        let any = KeyInput { allowed_client_ids: Some(vec!["*".to_owned()]), ..KeyInput::default() };
        self.store_key(DEFAULT, any).await?;
        Ok(self.reload().await?)
    }

    async fn store_key(&self, name: &str, input: KeyInput) -> Result<(), OidcError> {
        let stored = keys::oidc_key(name);
        let seen = self.store.read::<NamedKey>(&stored).await?;
        let was = seen.as_ref().map(|seen| &seen.value);
        let rotation_period = input.rotation_period.or(was.map(|key| key.rotation_period)).unwrap_or(DAY);
        let verification_ttl = input.verification_ttl.or(was.map(|key| key.verification_ttl)).unwrap_or(DAY);
        self.check_times(name, rotation_period, verification_ttl)?;
        let algorithm = match input.algorithm.as_deref() {
            Some(name) => Algorithm::from_name(name)
                .ok_or_else(|| OidcError::invalid(format!("unknown signing algorithm {name:?}")))?,
            None => was.map_or(Algorithm::Rs256, |key| key.algorithm),
        };
        let revision = seen.as_ref().map(|seen| seen.revision);
        let now = self.store.now();
        let rotate_at = clock::after(now, rotation_period);
        let mut batch = Batch::new().expect(stored.clone(), revision);
        let mut key = match seen.map(|seen| seen.value) {
            Some(key) if key.algorithm == algorithm => {
                NamedKey { next_rotation: key.next_rotation.min(rotate_at), ..key }
            }
            was => {
                let (current, next);
                (batch, current) = self.new_generation(batch, algorithm).await?;
                (batch, next) = self.new_generation(batch, algorithm).await?;
                let name = name.to_owned();
                let (allowed_client_ids, retired) = Default::default();
                let mut key = NamedKey {
                    name,
                    algorithm,
                    rotation_period,
                    verification_ttl,
                    allowed_client_ids,
                    current,
                    next,
                    retired,
                    next_rotation: rotate_at,
                };
                if let Some(was) = was {
                    batch = batch.delete(keys::oidc_private(&was.current.id)).delete(keys::oidc_private(&was.next.id));
                    key.allowed_client_ids = was.allowed_client_ids;
                    key.retired = was.retired;
                    key.retire(was.current, verification_ttl, now);
                }
                key
            }
        };
        (key.rotation_period, key.verification_ttl) = (rotation_period, verification_ttl);
        key.allowed_client_ids = input.allowed_client_ids.unwrap_or(key.allowed_client_ids);
        Ok(self.store.apply(batch.put(stored, Store::encode(&key)?)).await?)
    }

    fn check_times(&self, name: &str, rotation_period: u64, verification_ttl: u64) -> Result<(), OidcError> {
        if rotation_period < 60 {
            return Err(OidcError::invalid("rotation_period must be at least one minute"));
        }
        if rotation_period > LONGEST || verification_ttl > LONGEST {
            return Err(OidcError::invalid("rotation_period and verification_ttl must be at most 36500 days"));
        }
        if verification_ttl > rotation_period.saturating_mul(10) {
            return Err(OidcError::invalid("verification_ttl cannot be longer than 10x rotation_period"));
        }
        if self.state.load().roles.values().any(|role| role.key == name && role.ttl > verification_ttl) {
            return Err(OidcError::invalid(format!(
                "unable to update key {name:?} because it is currently referenced by one or more roles with a token \
                 ttl greater than {verification_ttl} seconds"
            )));
        }
        Ok(())
    }

    /// Makes a pair of keys, outside the async threads; its private part is written with `batch`.
    async fn new_generation(&self, batch: Batch, algorithm: Algorithm) -> Result<(Batch, Generation), OidcError> {
        let made = tokio::task::spawn_blocking(move || algorithm.generate()).await;
        let (private, public) = made.map_err(|_| OidcError::Signing)??;
        let id = self.store.random.uuid()?.to_string();
        Ok((batch.put(keys::oidc_private(&id), private), Generation { id, algorithm, public }))
    }

    /// Lets the next generation sign from now on. `verification_ttl`: for how many seconds the one before verifies, if
    /// not as the key says.
    ///
    /// # Errors
    /// When there is no such key, or the store fails.
    pub async fn rotate_key(&self, permit: Permit, name: &str, verification_ttl: Option<u64>) -> Result<(), OidcError> {
        permit.spend();
        if verification_ttl.is_some_and(|seconds| seconds > LONGEST) {
            return Err(OidcError::invalid("verification_ttl must be at most 36500 days"));
        }
        let _changing = self.changing.lock().await;
        let seen = self.store.read::<NamedKey>(&keys::oidc_key(name)).await?;
        let seen = seen.ok_or_else(|| OidcError::invalid(format!("no named key found at {name:?}")))?;
        self.rotate(seen, verification_ttl).await
    }

    /// Rotates a key if it is due, and drops what verifies no more.
    pub(super) async fn tend_key(&self, name: &str) -> Result<(), OidcError> {
        let _changing = self.changing.lock().await;
        let stored = keys::oidc_key(name);
        let Some(Seen { revision, value: mut key }) = self.store.read::<NamedKey>(&stored).await? else {
            return Ok(());
        };
        let now = self.store.now();
        key.retired.retain(|retired| now < retired.until);
        if key.next_rotation <= now {
            return self.rotate(Seen { revision, value: key }, None).await;
        }
        let batch = Batch::new().expect(stored.clone(), Some(revision)).put(stored, Store::encode(&key)?);
        self.store.apply(batch).await?;
        Ok(self.reload().await?)
    }

    async fn rotate(&self, seen: Seen<NamedKey>, verification_ttl: Option<u64>) -> Result<(), OidcError> {
        let mut key = seen.value;
        let stored = keys::oidc_key(&key.name);
        let batch = Batch::new().expect(stored.clone(), Some(seen.revision));
        let (batch, next) = self.new_generation(batch, key.algorithm).await?;
        let now = self.store.now();
        let current = std::mem::replace(&mut key.next, next);
        let last = std::mem::replace(&mut key.current, current);
        // Nothing is signed by it again.
        let batch = batch.delete(keys::oidc_private(&last.id));
        key.retire(last, verification_ttl.unwrap_or(key.verification_ttl), now);
        key.next_rotation = clock::after(now, key.rotation_period);
        self.store.apply(batch.put(stored, Store::encode(&key)?)).await?;
        Ok(self.reload().await?)
    }

    /// A key, without its private part.
    #[must_use]
    pub fn key(&self, permit: Permit, name: &str) -> Option<std::sync::Arc<NamedKey>> {
        permit.spend();
        self.state.load().keys.get(name).cloned()
    }

    /// The names of all keys.
    #[must_use]
    pub fn key_names(&self, permit: Permit) -> Vec<String> {
        permit.spend();
        self.state.load().keys.keys().cloned().collect()
    }

    /// Removes a key. What it signed does not verify any more. One that is not there is no error.
    ///
    /// # Errors
    /// When it is the default key, or roles need it.
    pub async fn delete_key(&self, permit: Permit, name: &str) -> Result<(), OidcError> {
        permit.spend();
        if name == DEFAULT {
            return Err(OidcError::invalid(format!("deletion of key {name:?} not allowed")));
        }
        let _changing = self.changing.lock().await;
        let state = self.state.load_full();
        let Some(key) = state.keys.get(name) else { return Ok(()) };
        let roles = state.roles.values().filter(|role| role.key == name);
        let roles: Vec<&str> = roles.map(|role| role.name.as_str()).collect();
        if !roles.is_empty() {
            return Err(OidcError::invalid(format!(
                "unable to delete key {name:?} because it is currently referenced by these roles: {}",
                roles.join(", ")
            )));
        }
        let batch = Batch::new()
            .delete(keys::oidc_key(name))
            .delete(keys::oidc_private(&key.current.id))
            .delete(keys::oidc_private(&key.next.id));
        self.store.apply(batch).await?;
        Ok(self.reload().await?)
    }
}
