//! The keyed hash that stands in for a secret value in the audit log.
//!
//! ```text
//! hmac-sha256:<64 hex digits, lower case>       HMAC-SHA256 (RFC 2104) of the value's UTF-8 bytes
//! ```
//!
//! Each device has a key of its own: hashes in one device's log say nothing about those in another's.

use aws_lc_rs::hmac;

use crate::secret::{Key256, SecretString};

const PREFIX: &[u8; 12] = b"hmac-sha256:";
const HEX: &[u8; 16] = b"0123456789abcdef";
const TAG_LEN: usize = 32;
const TEXT_LEN: usize = PREFIX.len() + 2 * TAG_LEN;

/// Hashes values under one device's key.
pub struct Hasher {
    // Holds the hash state after the padded key, so that a short value costs two compressions, not four.
    key: hmac::Key,
}

impl Hasher {
    /// A hasher keyed by a device's salt.
    #[must_use]
    pub fn new(salt: &Key256) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, salt.expose_secret()) }
    }

    /// The hash of `value` as it stands in the log.
    #[must_use]
    pub fn hash_str(&self, value: &str) -> String {
        self.hash(value.as_bytes()).0.iter().copied().map(char::from).collect()
    }

    pub(super) fn hash_secret(&self, value: &SecretString) -> HashText {
        self.hash(value.expose_secret().as_bytes())
    }

    pub(super) fn hash(&self, value: &[u8]) -> HashText {
        let tag = hmac::sign(&self.key, value);
        let mut text = [0; TEXT_LEN];
        let (prefix, digits) = text.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX);
        for (pair, byte) in digits.chunks_exact_mut(2).zip(tag.as_ref()) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 0x0f)];
        }
        HashText(text)
    }
}

/// A hash in its printed form. ASCII without quotes, backslashes or controls: a JSON string needs no escapes for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct HashText([u8; TEXT_LEN]);

impl HashText {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_rfc_4231() {
        // RFC 4231, test case 1, whose key of 20 bytes is padded with zeros as HMAC itself pads it.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        assert_eq!(
            Hasher::new(&Key256::new(key)).hash_str("Hi There"),
            "hmac-sha256:b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
    }

    #[test]
    fn devices_with_other_salts_hash_differently() {
        let hash = |salt| Hasher::new(&Key256::new([salt; 32])).hash_str("hunter2");
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }
}
