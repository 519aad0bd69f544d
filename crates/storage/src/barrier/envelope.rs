//! The sealed form of one record.
//!
//! ```text
//! ┌────────────┬──────────────┬──────────────┬────────────────────┬──────────────┐
//! │ format, u8 │ term, u32 BE │ nonce, 12 B  │ ciphertext         │ tag, 16 B    │
//! └────────────┴──────────────┴──────────────┴────────────────────┴──────────────┘
//!  associated data: format ‖ term ‖ the full storage key
//! ```
//!
//! AES-256-GCM. The associated data binds a record to its place: under another key it does not open. It does not bind
//! it to a time: whoever can write to the disk can put an older record back under its own key, and it opens. Against
//! that only the disk's own protection helps.
//!
//! Nonces are 96 random bits. NIST SP 800-38D (section 8.3) allows at most 2^32 records under one data key that way,
//! which keeps the chance of a repeated nonce below 2^-32; the keyring starts a new term long before.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use keyturn_core::{barrier::BarrierError, secret::SecretBytes};

const FORMAT: u8 = 1;
const HEADER_LEN: usize = 5;
const BODY: usize = HEADER_LEN + NONCE_LEN;

/// The term under which the keyring itself is sealed: not a data key's.
pub(super) const KEYRING_TERM: u32 = 0;

/// An AES-256-GCM key out of 32 bytes.
pub(crate) fn aead_key(bytes: &[u8; 32]) -> Result<LessSafeKey, BarrierError> {
    UnboundKey::new(&AES_256_GCM, bytes)
        .map(LessSafeKey::new)
        .map_err(|_| BarrierError::Seal("the cipher refused its key"))
}

/// Seals `plaintext` for its place at `storage_key`. `nonce` must be random.
pub(super) fn seal(
    key: &LessSafeKey,
    term: u32,
    nonce: [u8; NONCE_LEN],
    storage_key: &[u8],
    plaintext: &[u8],
) -> Result<Arc<[u8]>, BarrierError> {
    const FAILED: BarrierError = BarrierError::Seal("the cipher failed");
    let mut sealed: Arc<[u8]> = std::iter::repeat_n(0, BODY + plaintext.len() + MAX_TAG_LEN).collect();
    let bytes = Arc::get_mut(&mut sealed).ok_or(FAILED)?;
    let (header, rest) = bytes.split_at_mut(HEADER_LEN);
    let (nonce_slot, rest) = rest.split_at_mut(NONCE_LEN);
    let (ciphertext, tag) = rest.split_at_mut(plaintext.len());
    header[0] = FORMAT;
    header[1..].copy_from_slice(&term.to_be_bytes());
    nonce_slot.copy_from_slice(&nonce);
    let nonce = Nonce::assume_unique_for_key(nonce);
    bound(header, storage_key, |place| {
        key.seal_out_of_place_scatter(nonce, Aad::from(place), plaintext, ciphertext, &[], tag)
    })
    .map_err(|_| FAILED)?;
    Ok(sealed)
}

/// A sealed record, taken apart but not opened.
pub(super) struct Envelope<'a> {
    /// Which data key sealed it.
    pub(super) term: u32,
    header: &'a [u8; HEADER_LEN],
    nonce: [u8; NONCE_LEN],
    ciphertext: &'a [u8],
    tag: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Reads the header of `sealed`.
    pub(super) fn parse(sealed: &'a [u8]) -> Result<Self, BarrierError> {
        match sealed.first() {
            Some(&FORMAT) => {}
            Some(&newer) if newer > FORMAT => return Err(BarrierError::NewerFormat(newer)),
            _ => return Err(BarrierError::Forged),
        }
        let (header, rest) = sealed.split_first_chunk::<HEADER_LEN>().ok_or(BarrierError::Forged)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(BarrierError::Forged)?;
        let body_len = rest.len().checked_sub(MAX_TAG_LEN).ok_or(BarrierError::Forged)?;
        let (ciphertext, tag) = rest.split_at(body_len);
        let [_, term @ ..] = *header;
        Ok(Self { term: u32::from_be_bytes(term), header, nonce: *nonce, ciphertext, tag })
    }

    /// Opens the record that was read from `storage_key`, straight into the buffer that is returned.
    pub(super) fn open(&self, key: &LessSafeKey, storage_key: &[u8]) -> Result<SecretBytes, BarrierError> {
        let mut plaintext = SecretBytes::new(vec![0; self.ciphertext.len()]);
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        bound(self.header, storage_key, |place| {
            let out = plaintext.expose_secret_mut();
            key.open_separate_gather(nonce, Aad::from(place), self.ciphertext, self.tag, out)
        })
        .map_err(|_| BarrierError::Forged)?;
        Ok(plaintext)
    }
}

/// Calls `work` with the associated data; without an allocation for keys of the usual length.
fn bound<T>(header: &[u8], storage_key: &[u8], work: impl FnOnce(&[u8]) -> T) -> T {
    const USUAL: usize = 256;
    let len = header.len() + storage_key.len();
    if len > USUAL {
        return work(&[header, storage_key].concat());
    }
    let mut place = [0; USUAL];
    place[..header.len()].copy_from_slice(header);
    place[header.len()..len].copy_from_slice(storage_key);
    work(&place[..len])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> LessSafeKey {
        aead_key(&[7; 32]).expect("key")
    }

    proptest! {
        #[test]
        fn a_record_opens_in_its_place_and_nowhere_else(
            plaintext: Vec<u8>,
            place in proptest::collection::vec(any::<u8>(), 1..600),
            at: proptest::sample::Index,
            change in 1_u8..,
        ) {
            let sealed = seal(&key(), 3, [9; 12], &place, &plaintext).expect("seal");
            let envelope = Envelope::parse(&sealed).expect("parse");
            prop_assert_eq!(envelope.term, 3);
            let opened = envelope.open(&key(), &place).expect("open");
            prop_assert_eq!(opened.expose_secret(), plaintext.as_slice());
            let mut other = place.clone();
            other[at.index(place.len())] ^= change;
            prop_assert!(matches!(envelope.open(&key(), &other), Err(BarrierError::Forged)));
        }
    }

    #[test]
    fn a_changed_bit_anywhere_and_any_truncation_are_noticed() {
        let sealed = seal(&key(), 1, [9; 12], b"place", b"twelve bytes").expect("seal");
        let opens = |bytes: &[u8]| Envelope::parse(bytes).and_then(|envelope| envelope.open(&key(), b"place")).is_ok();
        assert!(opens(&sealed));
        for position in 0..sealed.len() {
            for bit in 0..8 {
                let mut tampered = sealed.to_vec();
                tampered[position] ^= 1 << bit;
                assert!(!opens(&tampered), "bit {bit} of byte {position}");
            }
            assert!(!opens(&sealed[..position]), "cut to {position} bytes");
        }
    }

    #[test]
    fn a_newer_format_says_so() {
        let mut sealed = seal(&key(), 1, [9; 12], b"place", b"x").expect("seal").to_vec();
        sealed[0] = 2;
        assert!(matches!(Envelope::parse(&sealed), Err(BarrierError::NewerFormat(2))));
    }
}
