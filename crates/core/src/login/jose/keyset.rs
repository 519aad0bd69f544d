//! Several keys, and how often they may be fetched anew.

use serde::Deserialize;
use serde_json::Value;

use super::{PublicKey, key::Jwk};
use crate::clock::{self, Timestamp};

/// Keys of a set at the most; further ones are not read.
const MAX_KEYS: usize = 100;

/// The keys of one source.
#[derive(Clone, Default)]
pub(in crate::login) struct KeySet(Vec<PublicKey>);

impl KeySet {
    /// Reads keys and certificates in PEM, one a text.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be used.
    pub(in crate::login) fn from_pems(pems: &[String]) -> Result<Self, &'static str> {
        pems.iter().map(|pem| PublicKey::from_pem(pem)).collect::<Result<_, _>>().map(Self)
    }

    /// Reads a JSON Web Key Set. Keys that cannot be used are left out; `None`: it is no such set.
    pub(in crate::login) fn from_jwks(text: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Jwks {
            keys: Vec<Value>,
        }
        let jwks: Jwks = serde_json::from_slice(text).ok()?;
        let read = |value| serde_json::from_value::<Jwk>(value).ok().and_then(PublicKey::from_jwk);
        Some(Self(jwks.keys.into_iter().filter_map(read).take(MAX_KEYS).collect()))
    }

    /// The keys that a token which asks for `id` may be signed with: those of that id, or all where it asks for none.
    pub(in crate::login) fn of<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a PublicKey> {
        self.0.iter().filter(move |key| id.is_none_or(|id| key.id.as_deref() == Some(id)))
    }

    /// Every key.
    pub(in crate::login) fn all(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter()
    }
}

/// How often something may be done: some times at once, then once for each pause.
#[derive(Debug, Clone, Copy)]
pub(in crate::login) struct Allowance {
    /// When all of it will have come back.
    full: Timestamp,
}

impl Allowance {
    const AT_ONCE: u64 = 3;
    const PAUSE: u64 = 10;

    pub(in crate::login) fn new() -> Self {
        Self { full: Timestamp::UNIX_EPOCH }
    }

    /// Takes one, if there is one.
    pub(in crate::login) fn take(&mut self, now: Timestamp) -> bool {
        let used = clock::after(self.full.max(now), Self::PAUSE);
        let allowed = used <= clock::after(now, Self::AT_ONCE * Self::PAUSE);
        if allowed {
            self.full = used;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_comes_back_with_time() {
        let mut allowance = Allowance::new();
        let at = |second| Timestamp::from_second(second).expect("a time");
        let mut taken = |second| (0..50).filter(|_| allowance.take(at(second))).count();
        assert_eq!((taken(1000), taken(1009), taken(1010), taken(1011), taken(2000)), (3, 0, 1, 0, 3));
    }

    #[test]
    fn one_strange_key_does_not_spoil_a_set() {
        let set = KeySet::from_jwks(
            br#"{"keys":[7,{"kty":"new"},{"kty":"OKP","crv":"Ed25519","kid":"a",
                "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
        )
        .expect("a set");
        assert_eq!((set.of(Some("a")).count(), set.of(Some("b")).count(), set.of(None).count()), (1, 0, 1));
        assert!(KeySet::from_jwks(b"<html>").is_none());
        assert!(KeySet::from_jwks(br#"{"jwks":[]}"#).is_none());
    }
}
