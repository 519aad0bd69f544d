//! Request headers that the audit log records (`sys/config/auditing/request-headers`).

use std::{collections::BTreeMap, sync::Arc};

use super::Settings;
use crate::{audit::HeaderRecord, door::Permit, keys, secret::SecretString, store::StoreError};

const RECORD: &str = "audited-headers";

/// Headers at the most, and the longest name, in bytes.
const MAX_HEADERS: usize = 64;
const MAX_LEN: usize = 256;

/// Headers that hold credentials: they are recorded as hashes or not at all.
const CREDENTIALS: &[&str] =
    &["authorization", "cookie", "proxy-authorization", "x-amz-security-token", "x-vault-token"];

/// A header cannot be audited.
#[derive(Debug, thiserror::Error)]
pub enum AuditedHeaderError {
    /// No header has such a name.
    #[error("a header's name is 1 to {MAX_LEN} letters, digits and hyphens")]
    NotAHeader,
    /// It holds credentials.
    #[error("{0} holds credentials and is recorded as a hash only: set hmac to true")]
    Credential(String),
    /// There are too many.
    #[error("at most {MAX_HEADERS} headers are audited")]
    TooMany,
    /// It is not audited.
    #[error("Could not find header in config")]
    Unknown,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The names of audited headers, in lower case, and whether their values are hashed.
pub type AuditedHeaders = BTreeMap<String, bool>;

impl Settings {
    /// All audited headers.
    #[must_use]
    pub fn audited_headers(&self, permit: Permit) -> Arc<AuditedHeaders> {
        permit.spend();
        self.audited.load_full()
    }

    /// What the audit log is to record of a request's headers; `values` gives those of one name.
    #[must_use]
    pub fn record_headers(&self, values: impl Fn(&str) -> Vec<SecretString>) -> Vec<HeaderRecord> {
        let audited = self.audited.load();
        let record = |(name, hashed): (&String, &bool)| {
            let values = values(name);
            (!values.is_empty()).then(|| HeaderRecord { name: name.clone(), values, hashed: *hashed })
        };
        audited.iter().filter_map(record).collect()
    }

    /// Has the audit log record a header, its values as hashes if `hashed`.
    ///
    /// # Errors
    /// When there is no such header, it may not be recorded so, or the store fails.
    pub async fn audit_header(&self, permit: Permit, name: &str, hashed: bool) -> Result<(), AuditedHeaderError> {
        permit.spend();
        let name = name.to_ascii_lowercase();
        let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if name.is_empty() || name.len() > MAX_LEN || !fits {
            return Err(AuditedHeaderError::NotAHeader);
        }
        if !hashed && CREDENTIALS.contains(&name.as_str()) {
            return Err(AuditedHeaderError::Credential(name));
        }
        self.change_audited(|headers| {
            headers.insert(name, hashed);
            if headers.len() > MAX_HEADERS { Err(AuditedHeaderError::TooMany) } else { Ok(()) }
        })
        .await
    }

    /// Has the audit log record a header no more. One that is not audited is no error, as with Vault.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ignore_header(&self, permit: Permit, name: &str) -> Result<(), AuditedHeaderError> {
        permit.spend();
        self.change_audited(|headers| {
            headers.remove(&name.to_ascii_lowercase());
            Ok(())
        })
        .await
    }

    pub(super) async fn reload_audited_headers(&self) -> Result<(), StoreError> {
        let seen = self.store.read::<AuditedHeaders>(&keys::config(RECORD)).await?;
        self.audited.store(Arc::new(seen.map(|seen| seen.value).unwrap_or_default()));
        Ok(())
    }

    async fn change_audited(
        &self,
        change: impl FnOnce(&mut AuditedHeaders) -> Result<(), AuditedHeaderError>,
    ) -> Result<(), AuditedHeaderError> {
        let _changing = self.changing.lock().await;
        let mut headers = AuditedHeaders::clone(&self.audited.load());
        change(&mut headers)?;
        self.store.write(keys::config(RECORD), &headers).await?;
        self.audited.store(Arc::new(headers));
        Ok(())
    }
}
