//! Headers that the operator wants on the pages of the user interface (`sys/config/ui/headers`).

use std::collections::BTreeMap;

use super::Settings;
use crate::{door::Permit, keys, store::StoreError};

const RECORD: &str = "ui-headers";

/// Headers at the most, values of one, and the longest name or value, in bytes.
const MAX_HEADERS: usize = 64;
const MAX_VALUES: usize = 16;
const MAX_LEN: usize = 4096;

/// A header cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// No name or no value.
    #[error("header and values must be specified")]
    Missing,
    /// A header of the API's own.
    #[error("X-Vault headers cannot be set")]
    Reserved,
    /// A name or a value that no header has.
    #[error(
        "a header's name is letters, digits and hyphens, its values visible ASCII and spaces, {MAX_LEN} bytes at most"
    )]
    NotAHeader,
    /// Too many.
    #[error("at most {MAX_HEADERS} headers of {MAX_VALUES} values each")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Headers = BTreeMap<String, Vec<String>>;

impl Settings {
    /// The names, in lower case, sorted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_headers(&self, permit: Permit) -> Result<Vec<String>, HeaderError> {
        permit.spend();
        Ok(self.headers().await?.into_keys().collect())
    }

    /// The values of a header; none: it is not set.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read_header(&self, permit: Permit, name: &str) -> Result<Vec<String>, HeaderError> {
        permit.spend();
        Ok(self.headers().await?.remove(&name.to_ascii_lowercase()).unwrap_or_default())
    }

    /// Sets a header.
    ///
    /// # Errors
    /// When it is none, or the store fails.
    pub async fn write_header(&self, permit: Permit, name: &str, values: Vec<String>) -> Result<(), HeaderError> {
        permit.spend();
        let name = name.to_ascii_lowercase();
        check(&name, &values)?;
        self.change(|headers| {
            headers.insert(name, values);
            if headers.len() > MAX_HEADERS { Err(HeaderError::TooMany) } else { Ok(()) }
        })
        .await
    }

    /// Unsets a header.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_header(&self, permit: Permit, name: &str) -> Result<(), HeaderError> {
        permit.spend();
        let name = name.to_ascii_lowercase();
        self.change(|headers| {
            headers.remove(&name);
            Ok(())
        })
        .await
    }

    async fn headers(&self) -> Result<Headers, StoreError> {
        let seen = self.store.read::<Headers>(&keys::config(RECORD)).await?;
        Ok(seen.map(|seen| seen.value).unwrap_or_default())
    }

    async fn change(&self, change: impl FnOnce(&mut Headers) -> Result<(), HeaderError>) -> Result<(), HeaderError> {
        let _changing = self.changing.lock().await;
        let mut headers = self.headers().await?;
        change(&mut headers)?;
        Ok(self.store.write(keys::config(RECORD), &headers).await?)
    }
}

fn check(name: &str, values: &[String]) -> Result<(), HeaderError> {
    if name.is_empty() || values.is_empty() {
        return Err(HeaderError::Missing);
    }
    if name.starts_with("x-vault-") {
        return Err(HeaderError::Reserved);
    }
    if values.len() > MAX_VALUES {
        return Err(HeaderError::TooMany);
    }
    let is_name = name.len() <= MAX_LEN && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let is_value = |value: &String| value.len() <= MAX_LEN && value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_name && values.iter().all(is_value) { Ok(()) } else { Err(HeaderError::NotAHeader) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_headers_are_kept() {
        let checked = |name: &str, value: &str| check(name, &[value.to_owned()]).is_ok();
        assert!(checked("x-frame-options", "deny; report"));
        for (name, value) in
            [("", "a"), ("x-vault-token", "a"), ("a b", "a"), ("a", "b\r\nc: d"), ("a\n", "b"), ("a", "ä")]
        {
            assert!(!checked(name, value), "{name:?}: {value:?}");
        }
        assert!(check("a", &[]).is_err());
    }
}
