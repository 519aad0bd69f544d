//! The changes that are at work, for `sys/in-flight-req`. Reads and listings are answered from memory and not noted
//! down: that would cost them more than it tells.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use keyturn_core::clock::Timestamp;

use super::request::Parsed;

/// A request at work.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    pub(super) since: Timestamp,
    pub(super) remote: Option<SocketAddr>,
    pub(super) path: String,
    pub(super) method: String,
}

impl InFlight {
    pub(super) fn of(parsed: &Parsed, since: Timestamp) -> Self {
        let (path, method) = (format!("/v1/{}", parsed.path), parsed.method.to_string());
        Self { since, remote: parsed.remote, path, method }
    }
}

/// The requests at work, by their ids.
#[derive(Default)]
pub(super) struct InFlights(Mutex<HashMap<String, InFlight>>);

/// Takes its request off the list when it is dropped, whatever became of it.
pub(super) struct Noted<'a> {
    list: &'a InFlights,
    id: &'a str,
}

impl InFlights {
    pub(super) fn note<'a>(&'a self, parsed: &'a Parsed, since: Timestamp) -> Noted<'a> {
        self.lock().insert(parsed.request_id.clone(), InFlight::of(parsed, since));
        Noted { list: self, id: &parsed.request_id }
    }

    pub(super) fn all(&self) -> HashMap<String, InFlight> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, InFlight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.list.lock().remove(self.id);
    }
}
