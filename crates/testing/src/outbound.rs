//! The other systems that a test invents: answers by URL, and what was asked.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use keyturn_core::{
    outbound::{Outbound, OutboundError, Reply, Request, ServiceAccount},
    secret::SecretBytes,
    storage::BoxFuture,
};

/// Answers to requests as a test has set them, and remembers the requests. A URL that has no answer cannot be reached.
#[derive(Debug, Default)]
pub struct Elsewhere {
    answers: Mutex<HashMap<String, (u16, Vec<u8>)>>,
    asked: Mutex<Vec<Request>>,
    account: Mutex<Option<ServiceAccount>>,
}

impl Elsewhere {
    /// Answers requests to `url` with `status` and `body` from now on.
    pub fn answer(&self, url: &str, status: u16, body: impl Into<Vec<u8>>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(url.to_owned(), (status, body.into()));
    }

    /// Makes `url` unreachable.
    pub fn forget(&self, url: &str) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).remove(url);
    }

    /// Puts the process into a pod.
    pub fn set_service_account(&self, account: Option<ServiceAccount>) {
        *self.account.lock().unwrap_or_else(PoisonError::into_inner) = account;
    }

    /// The requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often `url` was asked.
    #[must_use]
    pub fn times(&self, url: &str) -> usize {
        self.asked().iter().filter(|request| request.url == url).count()
    }
}

impl Outbound for Elsewhere {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Reply, OutboundError>> {
        let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&request.url).cloned();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let unreachable = || OutboundError("the test has nothing there".to_owned());
        let reply = answer.map(|(status, body)| Reply { status, body: SecretBytes::new(body) }).ok_or_else(unreachable);
        Box::pin(async move {
            // Others get their turn, as they would while a real answer is awaited.
            tokio::task::yield_now().await;
            reply
        })
    }

    fn service_account(&self) -> BoxFuture<'_, Option<ServiceAccount>> {
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move { account })
    }
}
