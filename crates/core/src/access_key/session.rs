//! Session tokens: the third part of temporary credentials. It tells its own end, so that somebody who comes too late
//! hears "expired" even after the record is gone, and is bound to its access key by a keyed hash.
//!
//! ```text
//! base64url( seconds since 1970 as 8 bytes, big endian | 16 random bytes | 32 bytes: the hash of both and the key's id )
//! ```
//!
//! It opens no door by itself: the request must be signed as well.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, engine::general_purpose::URL_SAFE};

use crate::{
    barrier::{Mac, MacPurpose},
    clock::Timestamp,
    secret::SecretString,
    store::{Store, StoreError},
};

const CLAIMS: usize = 24;
const LEN: usize = CLAIMS + 32;

/// Makes the session token of temporary credentials that end at `expires`.
pub(super) fn issue(store: &Store, access_key_id: &str, expires: Timestamp) -> Result<SecretString, StoreError> {
    let mut token = [0; LEN];
    token[..8].copy_from_slice(&expires.as_second().to_be_bytes());
    store.random.fill(&mut token[8..CLAIMS])?;
    let mac = mac_of(store, access_key_id, &token[..CLAIMS]);
    token[CLAIMS..].copy_from_slice(&mac);
    Ok(SecretString::new(URL_SAFE.encode(token)))
}

/// When the session token of this access key ends, in seconds since 1970. `None`: it is none of this key's.
pub(super) fn end_of(store: &Store, access_key_id: &str, token: &SecretString) -> Option<i64> {
    let bytes = URL_SAFE.decode(token.expose_secret()).ok().filter(|bytes| bytes.len() == LEN)?;
    let (claims, mac) = bytes.split_at(CLAIMS);
    verify_slices_are_equal(&mac_of(store, access_key_id, claims), mac).ok()?;
    Some(i64::from_be_bytes(claims.get(..8)?.try_into().ok()?))
}

/// A zero byte is in no bearer token, which keeps these hashes apart from theirs.
fn mac_of(store: &Store, access_key_id: &str, claims: &[u8]) -> Mac {
    store.barrier.mac(MacPurpose::Token, &[b"\0session\0", access_key_id.as_bytes(), b"\0", claims])
}
