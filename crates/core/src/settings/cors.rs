//! Cross-origin requests (<https://fetch.spec.whatwg.org/#http-cors-protocol>): which origins a browser may let ask.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::{
    door::Permit,
    keys,
    store::{Store, StoreError},
};

const RECORD: &str = "cors";

/// Origins, and headers beside the usual ones, at the most; the longest of either, in bytes.
const MAX_ITEMS: usize = 128;
const MAX_ITEM: usize = 256;

/// Headers that may come from any allowed origin; as with Vault.
const USUAL_HEADERS: [&str; 10] = [
    "Content-Type",
    "X-Requested-With",
    "X-Vault-AWS-IAM-Server-ID",
    "X-Vault-MFA",
    "X-Vault-No-Request-Forwarding",
    "X-Vault-Wrap-Format",
    "X-Vault-Wrap-TTL",
    "X-Vault-Policy-Override",
    "Authorization",
    "X-Vault-Token",
];

/// Cross-origin requests cannot be allowed like this.
#[derive(Debug, thiserror::Error)]
pub enum CorsError {
    /// No origin.
    #[error("at least one origin or the wildcard must be provided")]
    NoOrigin,
    /// All, and some.
    #[error("to allow all origins the '*' must be the only value for allowed_origins")]
    AllAndSome,
    /// No origin as a browser sends it.
    #[error(
        "allowed_origins[{0}] is no origin: write scheme, host and port as browsers send them, without a path: \
         https://app.example.com:8443"
    )]
    Origin(usize),
    /// No name of a header.
    #[error("allowed_headers[{0}] is no header's name: letters, digits and hyphens")]
    Header(usize),
    /// Too many.
    #[error("at most {MAX_ITEMS} origins and as many headers, each of {MAX_ITEM} bytes at the most")]
    TooMuch,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who may ask from another origin, and with which headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    origins: Vec<String>,
    headers: Vec<String>,
}

impl Cors {
    fn new(origins: Vec<String>, more_headers: &[String]) -> Result<Self, CorsError> {
        if origins.is_empty() {
            return Err(CorsError::NoOrigin);
        }
        if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
            return Err(CorsError::AllAndSome);
        }
        if origins.len().max(more_headers.len()) > MAX_ITEMS
            || origins.iter().chain(more_headers).any(|item| item.len() > MAX_ITEM)
        {
            return Err(CorsError::TooMuch);
        }
        if let Some(bad) = origins.iter().position(|origin| origin != "*" && !is_origin(origin)) {
            return Err(CorsError::Origin(bad));
        }
        if let Some(bad) = more_headers.iter().position(|header| !is_token(header)) {
            return Err(CorsError::Header(bad));
        }
        let headers = USUAL_HEADERS.iter().map(|header| (*header).to_owned()).chain(more_headers.to_vec()).collect();
        Ok(Self { origins, headers })
    }

    /// The origins; `*` alone: all.
    #[must_use]
    pub fn origins(&self) -> &[String] {
        &self.origins
    }

    /// The headers that may be sent.
    #[must_use]
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// Whether requests of this origin are answered. Nothing but the very same text counts.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|known| known == "*" || known == origin)
    }
}

/// `scheme://host[:port]`, in the characters that browsers put there.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let is_of_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(is_of_scheme)
        && !host.is_empty()
        && host.chars().all(is_of_host)
}

/// A token (RFC 9110, section 5.6.2), without the odder characters that no header's name has.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

impl Settings {
    /// Who may ask from another origin; `None`: the question is not asked.
    #[must_use]
    pub fn cors(&self) -> Option<Arc<Cors>> {
        self.cors.load_full()
    }

    /// The same, for a client that reads the settings.
    #[must_use]
    pub fn read_cors(&self, permit: Permit) -> Option<Arc<Cors>> {
        permit.spend();
        self.cors()
    }

    /// Allows origins; in force when this answers.
    ///
    /// # Errors
    /// When one of them is no origin, or the store fails.
    pub async fn allow_cors(&self, permit: Permit, origins: Vec<String>, headers: &[String]) -> Result<(), CorsError> {
        permit.spend();
        let cors = Cors::new(origins, headers)?;
        let _changing = self.changing.lock().await;
        self.store.write(keys::config(RECORD), &cors).await?;
        Ok(self.reload_cors().await?)
    }

    /// Allows none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forbid_cors(&self, permit: Permit) -> Result<(), CorsError> {
        permit.spend();
        let _changing = self.changing.lock().await;
        self.store.delete(keys::config(RECORD)).await?;
        Ok(self.reload_cors().await?)
    }

    pub(super) async fn reload_cors(&self) -> Result<(), StoreError> {
        let store: &Store = &self.store;
        let stored = store.read::<Cors>(&keys::config(RECORD)).await?;
        self.cors.store(stored.map(|seen| Arc::new(seen.value)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], headers: &[&str]) -> Result<Cors, String> {
        let owned = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        Cors::new(owned(origins), &owned(headers)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_origin_is_the_same_text_and_no_other() {
        let some = cors(&["https://a.example", "http://[::1]:8200"], &[]).expect("origins");
        assert!(some.allows("https://a.example") && some.allows("http://[::1]:8200"));
        for other in ["https://a.example.evil", "https://a.example/", "HTTPS://a.example", "null", "*", ""] {
            assert!(!some.allows(other), "{other}");
        }
        assert!(cors(&["*"], &[]).expect("all").allows("https://anything"));
    }

    #[test]
    fn nothing_is_kept_that_could_end_a_header() {
        for origin in
            ["https://a\r\nX: y", "https://a b", "https://", "a.example", "https://a/b", "://a", "h\n://a", ""]
        {
            assert!(cors(&[origin], &[]).is_err(), "{origin:?}");
        }
        for header in ["X-A\r\nX-B", "X A", "", "X:A", "X,A", "ä"] {
            assert!(cors(&["*"], &[header]).is_err(), "{header:?}");
        }
        assert!(cors(&["*", "https://a"], &[]).is_err() && cors(&[], &[]).is_err());
        assert!(cors(&vec!["https://a"; MAX_ITEMS + 1], &[]).is_err());
        let kept = cors(&["*"], &["X-Own"]).expect("header");
        assert_eq!(kept.headers().last().map(String::as_str), Some("X-Own"));
    }
}
