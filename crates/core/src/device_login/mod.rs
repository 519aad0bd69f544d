//! Logins of programs that have no browser: the program shows a short code and asks again and again whether somebody has
//! approved it; a person who can prove who they are gives the code on a page of the server.
//!
//! ```text
//! start -> a code for people, a polling code for the program -> approve(code) by somebody -> poll gives the token, once
//!                                   nobody within ten minutes -> expired
//! ```
//!
//! What waits is in memory alone: a restart ends it, and the program starts anew. The token is a child of the token of
//! whoever approved: it may do the same, and ends with it.

mod identity;
mod issue;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    barrier::MacPurpose,
    clock::{self, Timestamp},
    secret::SecretString,
    store::{Store, StoreError},
    token::{TokenError, Tokens, to_hex},
};

/// Seconds for which a login waits.
const WAITS: u64 = 600;
/// Logins that wait at once.
const MAX_WAITING: usize = 1000;
/// Letters of a code for people: 40 bits, good for ten minutes, and only for those who have a token already.
const CODE_CHARS: usize = 8;
/// Characters of a polling code.
const POLLING_CHARS: usize = 43;

/// A device's login went wrong.
#[derive(Debug, thiserror::Error)]
pub enum DeviceLoginError {
    /// Too many wait.
    #[error("too many logins wait for their approval: try again in some minutes")]
    Full,
    /// No login waits with that code.
    #[error("no login waits for this code: it was mistyped, was used, or is older than ten minutes")]
    NoCode,
    /// The token below it cannot be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A login that has begun.
#[derive(Debug)]
pub struct Started {
    /// What people see and give: `ABCD-EFGH`.
    pub code: String,
    /// What the program asks with.
    pub polling_code: SecretString,
}

/// Where a login stands.
#[derive(Debug)]
pub enum Polled {
    /// Nobody has approved it yet.
    Waiting,
    /// It was approved: the token, which is given once, and whom it stands for.
    Approved(SecretString, String),
    /// There is none, or no longer.
    Unknown,
}

struct Waiting {
    code: String,
    host: String,
    until: Timestamp,
    approved: Option<(SecretString, String)>,
}

/// The logins that wait.
pub struct DeviceLogins {
    store: Arc<Store>,
    tokens: Arc<Tokens>,
    /// By the keyed hash of their polling code.
    waiting: Mutex<HashMap<String, Waiting>>,
}

impl DeviceLogins {
    pub(crate) fn new(store: Arc<Store>, tokens: Arc<Tokens>) -> Self {
        Self { store, tokens, waiting: Mutex::default() }
    }

    /// Begins a login of a program on a machine that calls itself `host`.
    ///
    /// # Errors
    /// [`DeviceLoginError::Full`] when too many wait.
    pub fn start(&self, host: &str) -> Result<Started, DeviceLoginError> {
        let letters = self.store.random.base32(CODE_CHARS).map_err(StoreError::from)?;
        let (first, second) = letters.split_at(CODE_CHARS / 2);
        let code = format!("{first}-{second}");
        let polling_code = self.store.random.base62(POLLING_CHARS).map_err(StoreError::from)?;
        let until = clock::after(self.store.now(), WAITS);
        let host = host.chars().filter(|c| !c.is_control()).take(80).collect();
        let mut waiting = self.waiting();
        if waiting.len() >= MAX_WAITING {
            return Err(DeviceLoginError::Full);
        }
        waiting.insert(self.hash(&polling_code), Waiting { code: code.clone(), host, until, approved: None });
        Ok(Started { code, polling_code })
    }

    /// What the machine calls itself whose login waits with a code.
    #[must_use]
    pub fn host_of(&self, code: &str) -> Option<String> {
        let code = normal(code);
        self.waiting().values().find(|waiting| waiting.is_open(&code)).map(|waiting| waiting.host.clone())
    }

    /// Where a login stands. An approved one is over with this.
    #[must_use]
    pub fn poll(&self, polling_code: &SecretString) -> Polled {
        let hash = self.hash(polling_code);
        let mut waiting = self.waiting();
        match waiting.get(&hash) {
            None => Polled::Unknown,
            Some(Waiting { approved: None, .. }) => Polled::Waiting,
            Some(_) => match waiting.remove(&hash).and_then(|waiting| waiting.approved) {
                Some((token, name)) => Polled::Approved(token, name),
                None => Polled::Unknown,
            },
        }
    }

    fn hash(&self, polling_code: &SecretString) -> String {
        let text = polling_code.expose_secret().as_bytes();
        to_hex(&self.store.barrier.mac(MacPurpose::Token, &[b"\0device\0", text]))
    }

    /// The logins that still wait; those past their time are dropped.
    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        let now = self.store.now();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, waiting| now < waiting.until);
        waiting
    }
}

impl Waiting {
    fn is_open(&self, code: &str) -> bool {
        self.approved.is_none() && normal(&self.code) == code
    }
}

/// A code as people may type it: in either case, with or without the dash.
fn normal(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_typed_as_people_like() {
        for typed in ["ABCD-EFGH", "abcdefgh", " abcd efgh "] {
            assert_eq!(normal(typed), "ABCDEFGH");
        }
    }
}
