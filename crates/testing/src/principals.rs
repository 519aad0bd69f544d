//! A target that a test invents: who exists there, how it behaves, and an issuer that revokes there. What exists
//! outlives the processes that come and go before it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use keyturn_core::{
    clock::Timestamp,
    lease::{Issuer, IssuerError, LeaseRecord, Terms},
    storage::BoxFuture,
};

use crate::crash::{Faults, Place};

/// How the target behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mood {
    /// It does what it is asked.
    #[default]
    Well,
    /// It does not answer.
    Down,
    /// It refuses.
    Refusing,
    /// The engine has lost the connection's settings.
    Unknown,
}

/// Who exists at the target, each under the id of the lease, and until when.
#[derive(Debug, Default)]
pub struct Principals {
    there: Mutex<BTreeMap<String, Timestamp>>,
    mood: Mutex<Mood>,
    terms: Mutex<Terms>,
    asked: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Principals {
    /// Who exists.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.there().keys().cloned().collect()
    }

    /// Until when a principal is good, if it exists.
    #[must_use]
    pub fn until(&self, name: &str) -> Option<Timestamp> {
        self.there().get(name).copied()
    }

    /// Makes a principal.
    pub fn create(&self, lease: &LeaseRecord) {
        self.there().insert(lease.id.clone(), lease.expires);
    }

    /// How it behaves from now on.
    pub fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// How long principals may live from now on.
    pub fn set_terms(&self, terms: Terms) {
        *self.terms.lock().unwrap_or_else(PoisonError::into_inner) = terms;
    }

    /// How often it was asked for something.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// How many asked at the same time, at the most.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }

    fn there(&self) -> MutexGuard<'_, BTreeMap<String, Timestamp>> {
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, what: impl FnOnce(&mut BTreeMap<String, Timestamp>)) -> Result<(), IssuerError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        // Others get their turn, as they would while a real answer is awaited.
        tokio::task::yield_now().await;
        let mood = *self.mood.lock().unwrap_or_else(PoisonError::into_inner);
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        match mood {
            Mood::Well => {
                what(&mut self.there());
                Ok(())
            }
            Mood::Down => Err(IssuerError::Unreachable("connection refused".to_owned())),
            Mood::Refusing => Err(IssuerError::Failed("it owns objects".to_owned())),
            Mood::Unknown => Err(IssuerError::Hopeless("no such connection".to_owned())),
        }
    }
}

/// Revokes and renews at a target, for a process that may die.
pub struct PrincipalIssuer {
    target: Arc<Principals>,
    faults: Faults,
}

impl PrincipalIssuer {
    /// An issuer of one process, whose calls are steps of `faults`.
    #[must_use]
    pub fn new(target: Arc<Principals>, faults: Faults) -> Self {
        Self { target, faults }
    }

    /// Makes a principal for a lease that has begun.
    ///
    /// # Errors
    /// When the target does not do it, or the process is killed.
    pub async fn create(&self, lease: &LeaseRecord) -> Result<(), IssuerError> {
        let (id, until) = (lease.id.clone(), lease.expires);
        self.act(self.target.ask(move |there| _ = there.insert(id, until))).await
    }

    async fn act(&self, call: impl Future<Output = Result<(), IssuerError>>) -> Result<(), IssuerError> {
        let lost = || IssuerError::Unreachable("the connection was lost".to_owned());
        self.faults.take(Place::Call, call).await.ok_or_else(lost)?
    }
}

impl Issuer for PrincipalIssuer {
    fn revoke<'a>(&'a self, lease: &'a LeaseRecord) -> BoxFuture<'a, Result<(), IssuerError>> {
        Box::pin(self.act(self.target.ask(|there| _ = there.remove(&lease.id))))
    }

    fn terms<'a>(&'a self, _lease: &'a LeaseRecord) -> BoxFuture<'a, Result<Terms, IssuerError>> {
        let terms = *self.target.terms.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(async move { Ok(terms) })
    }

    fn renew<'a>(&'a self, lease: &'a LeaseRecord, until: Timestamp) -> BoxFuture<'a, Result<(), IssuerError>> {
        Box::pin(self.act(self.target.ask(move |there| {
            if let Some(end) = there.get_mut(&lease.id) {
                *end = until;
            }
        })))
    }
}
