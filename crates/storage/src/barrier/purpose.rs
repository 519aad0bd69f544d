//! Every key that is not a data key, derived from the root key by HKDF-SHA256 (RFC 5869), each under a label of its
//! own. The root key itself is not kept.
//!
//! ```text
//! root key ─ extract ─┬─ "keyturn/v1/keyring"      wraps the keyring
//!                     ├─ "keyturn/v1/mac/…"        HMAC-SHA256: token, secret-id, audit, fingerprint,
//!                     │                            snapshot, page, etag
//!                     └─ "keyturn/v1/token"        ─ expand with a random salt ─ AES-256-GCM, one key a token
//!
//! sealed token: format, u8 ‖ salt, 16 B ‖ nonce, 12 B ‖ ciphertext ‖ tag, 16 B      associated data: format
//! ```
//!
//! Sealed tokens get a key each, because there may be more of them than the 2^32 that one key with random nonces may
//! seal, and unlike the data keys this one never changes: salt and nonce together have 224 random bits.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
    hkdf, hmac,
};
use keyturn_core::{
    barrier::{BarrierError, Mac, MacPurpose},
    random::Random,
    secret::{Key256, SecretBytes},
};

const EXTRACT_SALT: &[u8] = b"keyturn/v1/root";
const TOKEN_FORMAT: u8 = 1;
const TOKEN_SALT_LEN: usize = 16;
const TOKEN_BODY: usize = 1 + TOKEN_SALT_LEN + NONCE_LEN;

/// The derived keys.
pub(super) struct PurposeKeys {
    keyring: LessSafeKey,
    token: hkdf::Prk,
    macs: [hmac::Key; 7],
}

impl PurposeKeys {
    /// Derives all of them.
    pub(super) fn derive(root: &Key256) -> Result<Self, BarrierError> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, EXTRACT_SALT).extract(root.expose_secret());
        let derive = || {
            let mac = |label: &[u8]| root.expand(&[b"keyturn/v1/mac/", label], hmac::HMAC_SHA256).map(hmac::Key::from);
            Ok(Self {
                keyring: LessSafeKey::new(root.expand(&[b"keyturn/v1/keyring"], &AES_256_GCM)?.into()),
                token: root.expand(&[b"keyturn/v1/token"], hkdf::HKDF_SHA256)?.into(),
                macs: [
                    mac(b"token")?,
                    mac(b"secret-id")?,
                    mac(b"audit")?,
                    mac(b"fingerprint")?,
                    mac(b"snapshot")?,
                    mac(b"page")?,
                    mac(b"etag")?,
                ],
            })
        };
        derive().map_err(|Unspecified| BarrierError::Seal("a key could not be derived"))
    }

    /// The key that wraps the keyring.
    pub(super) fn keyring(&self) -> &LessSafeKey {
        &self.keyring
    }

    /// The keyed hash of `parts`, as if they were one.
    pub(super) fn mac(&self, purpose: MacPurpose, parts: &[&[u8]]) -> Mac {
        let [token, secret_id, audit, fingerprint, snapshot, page, etag] = &self.macs;
        let key = match purpose {
            MacPurpose::Token => token,
            MacPurpose::SecretId => secret_id,
            MacPurpose::Audit => audit,
            MacPurpose::Fingerprint => fingerprint,
            MacPurpose::Snapshot => snapshot,
            MacPurpose::Page => page,
            MacPurpose::Etag => etag,
        };
        let tag = if let [whole] = parts {
            hmac::sign(key, whole)
        } else {
            let mut context = hmac::Context::with_key(key);
            parts.iter().for_each(|part| context.update(part));
            context.sign()
        };
        let mut mac = Mac::default();
        mac.copy_from_slice(tag.as_ref());
        mac
    }

    /// Seals a token's content.
    pub(super) fn seal_token(&self, random: &Random, plaintext: &[u8]) -> Result<Vec<u8>, BarrierError> {
        let mut blob = vec![0; TOKEN_BODY + plaintext.len() + MAX_TAG_LEN];
        let (head, rest) = blob.split_at_mut(TOKEN_BODY);
        let (ciphertext, tag) = rest.split_at_mut(plaintext.len());
        head[0] = TOKEN_FORMAT;
        random.fill(&mut head[1..]).map_err(|_| BarrierError::Seal("the operating system gave no randomness"))?;
        let mut seal = || {
            let nonce = Nonce::try_assume_unique_for_key(&head[1 + TOKEN_SALT_LEN..])?;
            let key = self.token_key(&head[1..=TOKEN_SALT_LEN])?;
            key.seal_out_of_place_scatter(nonce, Aad::from([TOKEN_FORMAT]), plaintext, ciphertext, &[], tag)
        };
        seal().map_err(|Unspecified| BarrierError::Seal("the cipher failed"))?;
        Ok(blob)
    }

    /// Opens a token's content.
    pub(super) fn open_token(&self, blob: &[u8]) -> Result<SecretBytes, BarrierError> {
        let body_len = blob.len().checked_sub(TOKEN_BODY + MAX_TAG_LEN).ok_or(BarrierError::ForgedToken)?;
        let (head, rest) = blob.split_at(TOKEN_BODY);
        let (ciphertext, tag) = rest.split_at(body_len);
        let mut plaintext = SecretBytes::new(vec![0; body_len]);
        let mut open = || {
            let nonce = Nonce::try_assume_unique_for_key(&head[1 + TOKEN_SALT_LEN..])?;
            let key = self.token_key(&head[1..=TOKEN_SALT_LEN])?;
            key.open_separate_gather(nonce, Aad::from([head[0]]), ciphertext, tag, plaintext.expose_secret_mut())
        };
        open().map_err(|Unspecified| BarrierError::ForgedToken)?;
        Ok(plaintext)
    }

    fn token_key(&self, salt: &[u8]) -> Result<LessSafeKey, Unspecified> {
        self.token.expand(&[salt], &AES_256_GCM).map(|key| LessSafeKey::new(UnboundKey::from(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(root: u8) -> PurposeKeys {
        PurposeKeys::derive(&Key256::new([root; 32])).expect("derive")
    }

    #[test]
    fn macs_differ_by_purpose_and_root_and_join_their_parts() {
        let purposes =
            [MacPurpose::Token, MacPurpose::SecretId, MacPurpose::Audit, MacPurpose::Fingerprint, MacPurpose::Snapshot];
        let mut seen: Vec<Mac> = Vec::new();
        for keys in [keys(1), keys(2)] {
            for purpose in purposes {
                let mac = keys.mac(purpose, &[b"value"]);
                assert_eq!(mac, keys.mac(purpose, &[b"va", b"", b"lue"]));
                assert!(!seen.contains(&mac));
                seen.push(mac);
            }
        }
    }

    #[test]
    fn a_token_opens_under_its_root_alone_and_no_bit_may_change() {
        let blob = keys(1).seal_token(&Random::default(), b"content").expect("seal");
        assert_eq!(keys(1).open_token(&blob).expect("open").expose_secret(), b"content");
        assert!(matches!(keys(2).open_token(&blob), Err(BarrierError::ForgedToken)));
        for position in 0..blob.len() {
            let mut tampered = blob.clone();
            tampered[position] ^= 1;
            assert!(keys(1).open_token(&tampered).is_err(), "byte {position}");
            assert!(keys(1).open_token(&blob[..position]).is_err(), "cut to {position} bytes");
        }
        let again = keys(1).seal_token(&Random::default(), b"content").expect("seal");
        assert_ne!(blob, again, "the same content sealed twice looks different");
    }
}
