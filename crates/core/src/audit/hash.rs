//! The keyed hash that stands in for a secret value in the audit log.
//!
//! ```text
//! hmac-sha256:<64 hex digits, lower case>       HMAC-SHA256 (RFC 2104) of the value's UTF-8 bytes
//! ```
//!
//! Each device has a key of its own: hashes in one device's log say nothing about those in another's.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
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
    /// The hashes of tokens that were seen lately: each request has one, most of them the same few.
    recent: [ArcSwapOption<Recent>; RECENT],
    /// That of the empty value, which many an answer has several of.
    empty: HashText,
}

/// How many tokens' hashes are kept at the most.
const RECENT: usize = 64;

/// A token by its accessor, and the hashes of both.
struct Recent {
    accessor: String,
    hashes: [HashText; 2],
}

impl Hasher {
    /// A hasher keyed by a device's salt.
    #[must_use]
    pub fn new(salt: &Key256) -> Self {
        let recent = std::array::from_fn(|_| ArcSwapOption::empty());
        let key = hmac::Key::new(hmac::HMAC_SHA256, salt.expose_secret());
        let empty = text_of(hmac::sign(&key, b"").as_ref());
        Self { key, recent, empty }
    }

    /// The hash of `value` as it stands in the log.
    #[must_use]
    pub fn hash_str(&self, value: &str) -> String {
        self.hash(value.as_bytes()).0.iter().copied().map(char::from).collect()
    }

    pub(super) fn hash_secret(&self, value: &SecretString) -> HashText {
        self.hash(value.expose_secret().as_bytes())
    }

    /// The hashes of a token and of its accessor, which is not empty.
    pub(super) fn hash_token(&self, token: &SecretString, accessor: &str) -> [HashText; 2] {
        let slot = &self.recent
            [accessor.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte))) % RECENT];
        if let Some(known) = slot.load().as_ref().filter(|known| known.accessor == accessor) {
            return known.hashes;
        }
        let hashes = [self.hash_secret(token), self.hash(accessor.as_bytes())];
        slot.store(Some(Arc::new(Recent { accessor: accessor.to_owned(), hashes })));
        hashes
    }

    pub(super) fn hash(&self, value: &[u8]) -> HashText {
        if value.is_empty() { self.empty } else { text_of(hmac::sign(&self.key, value).as_ref()) }
    }
}

fn text_of(tag: &[u8]) -> HashText {
    let mut text = [0; TEXT_LEN];
    let (prefix, digits) = text.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(PREFIX);
    for (pair, byte) in digits.chunks_exact_mut(2).zip(tag) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 0x0f)];
    }
    HashText(text)
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
    fn a_token_that_was_seen_before_has_the_same_hash() {
        let hasher = Hasher::new(&Key256::new([1; 32]));
        for number in [1, 2, 1, 3, 2, 1] {
            let (token, accessor) = (format!("hvs.{number}"), format!("accessor-{number}"));
            let hashes = hasher.hash_token(&SecretString::from(token.as_str()), &accessor);
            assert!(hashes == [hasher.hash(token.as_bytes()), hasher.hash(accessor.as_bytes())], "{number}");
        }
    }

    #[test]
    fn devices_with_other_salts_hash_differently() {
        let hash = |salt| Hasher::new(&Key256::new([salt; 32])).hash_str("hunter2");
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }
}
