//! The stored policies, and the compiled rules of those who hold them.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::{
    barrier::Batch,
    door::Permit,
    identity::{Access, Effective},
    keys,
    policy::{
        self, Acl, Policy,
        builtin::{
            DEFAULT, DEFAULT_TEXT, NameError, NameUse, RESPONSE_WRAPPING, RESPONSE_WRAPPING_TEXT, ROOT, validate_name,
        },
    },
    project,
    store::{Store, StoreError},
};

/// Sets of policies whose compiled rules are kept. Beyond it they are compiled anew.
const COMPILED_SETS: usize = 4096;

/// A policy could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The text is no policy.
    #[error(transparent)]
    Parse(#[from] policy::PolicyError),
    /// The name or what was asked of it is not possible.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What holds between two changes of policies.
#[derive(Default)]
struct Snapshot {
    /// Grows with each change; what was compiled for an identity says of which one it is.
    generation: u64,
    policies: HashMap<String, Arc<Policy>>,
    texts: HashMap<String, String>,
    compiled: RwLock<HashMap<Box<[String]>, Arc<Acl>>>,
}

impl Snapshot {
    fn held(&self, names: &[String]) -> Vec<Arc<Policy>> {
        names.iter().filter_map(|name| self.policies.get(name).cloned().or_else(|| project::policy_of(name))).collect()
    }

    fn acl(&self, names: &[String]) -> Arc<Acl> {
        if let Some(acl) = self.compiled.read().unwrap_or_else(PoisonError::into_inner).get(names) {
            return Arc::clone(acl);
        }
        let acl = Arc::new(Acl::compile(&self.held(names)));
        let mut compiled = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        if compiled.len() >= COMPILED_SETS {
            compiled.clear();
        }
        compiled.insert(names.into(), Arc::clone(&acl));
        acl
    }
}

/// All policies.
pub struct Policies {
    store: Arc<Store>,
    snapshot: ArcSwap<Snapshot>,
    changing: Mutex<()>,
}

impl Policies {
    pub(crate) async fn load(store: Arc<Store>) -> Result<Self, StoreError> {
        let policies = Self { store, snapshot: ArcSwap::default(), changing: Mutex::new(()) };
        policies.reload().await?;
        Ok(policies)
    }

    /// Stores the `default` policy of a new store.
    pub(crate) async fn create_default(&self) -> Result<(), StoreError> {
        self.store.write(keys::policy(DEFAULT), &DEFAULT_TEXT).await?;
        self.reload().await
    }

    /// Reads all policies anew. What was compiled is dropped: rules are compiled once per change.
    pub(crate) async fn reload(&self) -> Result<(), StoreError> {
        let mut snapshot = Snapshot { generation: self.snapshot.load().generation + 1, ..Snapshot::default() };
        snapshot.policies.insert(ROOT.to_owned(), Arc::new(Policy::root()));
        for (name, text) in self.store.read_all::<String>(keys::POLICIES).await? {
            let name = String::from_utf8_lossy(&name).into_owned();
            match Policy::parse(&name, &text) {
                Ok(policy) => _ = snapshot.policies.insert(name.clone(), Arc::new(policy)),
                // Fail closed: a policy that does not parse grants nothing.
                Err(error) => {
                    tracing::error!(policy = name, %error, "a stored policy does not parse; it grants nothing")
                }
            }
            snapshot.texts.insert(name, text);
        }
        // After the stored ones: nothing that is stored stands in its place.
        match Policy::parse(RESPONSE_WRAPPING, RESPONSE_WRAPPING_TEXT) {
            Ok(policy) => _ = snapshot.policies.insert(RESPONSE_WRAPPING.to_owned(), Arc::new(policy)),
            Err(error) => tracing::error!(%error, "the policy of wrapping tokens does not parse; it grants nothing"),
        }
        self.snapshot.store(Arc::new(snapshot));
        Ok(())
    }

    /// The compiled rules of whoever holds `names` (sorted).
    pub(crate) fn acl(&self, names: &[String]) -> Arc<Acl> {
        self.snapshot.load().acl(names)
    }

    /// What a token of `token_policies` may do that stands for an entity.
    pub(crate) fn access(&self, token_policies: &[String], effective: &Effective) -> Access {
        let snapshot = self.snapshot.load();
        effective.access(token_policies, snapshot.generation, |names| {
            let shared = snapshot.acl(names);
            let held = snapshot.held(names);
            if held.iter().any(|policy| policy.is_templated()) {
                Arc::new(shared.filled_in(&held, effective))
            } else {
                shared
            }
        })
    }

    /// Whether a token may usefully name this policy.
    #[must_use]
    pub fn exists(&self, name: &str) -> bool {
        name == ROOT || self.snapshot.load().texts.contains_key(name)
    }

    /// The text of a policy; empty for `root`, which has none. That of wrapping tokens is read but not listed.
    #[must_use]
    pub fn read(&self, permit: Permit, name: &str) -> Option<String> {
        permit.spend();
        let name = name.to_lowercase();
        if name == ROOT {
            return Some(String::new());
        }
        if name == RESPONSE_WRAPPING {
            return Some(RESPONSE_WRAPPING_TEXT.to_owned());
        }
        self.snapshot.load().texts.get(&name).cloned()
    }

    /// All names, sorted, `root` among them.
    #[must_use]
    pub fn list(&self, permit: Permit) -> Vec<String> {
        permit.spend();
        let mut names: Vec<String> = self.snapshot.load().texts.keys().cloned().collect();
        names.push(ROOT.to_owned());
        names.sort();
        names
    }

    /// Creates or replaces a policy. In force when this answers.
    ///
    /// # Errors
    /// When the text does not parse or the name is not free.
    pub async fn write(&self, permit: Permit, name: &str, text: &str) -> Result<(), PolicyError> {
        permit.spend();
        let name = validate_name(name, NameUse::Write)?;
        Policy::parse(&name, text)?;
        let _changing = self.changing.lock().await;
        self.store.write(keys::policy(&name), &text).await?;
        Ok(self.reload().await?)
    }

    /// Removes a policy; whoever holds it loses what it granted.
    ///
    /// # Errors
    /// When it is one of the two that stay.
    pub async fn delete(&self, permit: Permit, name: &str) -> Result<(), PolicyError> {
        permit.spend();
        let name = validate_name(name, NameUse::Delete)?;
        let _changing = self.changing.lock().await;
        self.store.apply(Batch::new().delete(keys::policy(&name))).await?;
        Ok(self.reload().await?)
    }
}
