//! Keys that sign identity tokens: made, used and told by AWS-LC.
//!
//! A JSON Web Signature in its compact form (RFC 7515) is `base64url(header).base64url(payload).base64url(signature)`.
//! The algorithm is the key's own: what the header of a token claims is never asked.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    error::{KeyRejected, Unspecified},
    rand::SystemRandom,
    rsa,
    signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::secret::SecretBytes;

/// How a key signs (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSA of 2048 bits with SHA-256.
    Rs256,
    /// RSA of 2048 bits with SHA-384.
    Rs384,
    /// RSA of 2048 bits with SHA-512.
    Rs512,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over P-384 with SHA-384.
    Es384,
    /// ECDSA over P-521 with SHA-512.
    Es512,
    /// Ed25519.
    EdDsa,
}

/// A key could not be made or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signing key could not be made or used")]
pub struct SigningError;

impl From<Unspecified> for SigningError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

impl From<KeyRejected> for SigningError {
    fn from(_: KeyRejected) -> Self {
        Self
    }
}

impl Algorithm {
    /// All, in the order in which discovery tells them.
    pub const ALL: [Self; 7] =
        [Self::Rs256, Self::Rs384, Self::Rs512, Self::Es256, Self::Es384, Self::Es512, Self::EdDsa];

    /// The name that clients know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    fn ecdsa(self) -> Option<&'static EcdsaSigningAlgorithm> {
        match self {
            Self::Es256 => Some(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Self::Es384 => Some(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Self::Es512 => Some(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            _ => None,
        }
    }

    /// Makes a key: its private part in PKCS #8, its public part as [`Algorithm::verify`] takes it. RSA takes a while.
    pub(super) fn generate(self) -> Result<(SecretBytes, Vec<u8>), SigningError> {
        let secret = |document: &[u8]| SecretBytes::new(document.to_vec());
        if let Some(algorithm) = self.ecdsa() {
            let key = EcdsaKeyPair::generate(algorithm)?;
            return Ok((secret(key.to_pkcs8v1()?.as_ref()), key.public_key().as_ref().to_vec()));
        }
        if self == Self::EdDsa {
            let key = Ed25519KeyPair::generate()?;
            return Ok((secret(key.to_pkcs8v1()?.as_ref()), key.public_key().as_ref().to_vec()));
        }
        let key = rsa::KeyPair::generate(rsa::KeySize::Rsa2048)?;
        let private: Pkcs8V1Der<'_> = key.as_der()?;
        Ok((secret(private.as_ref()), key.public_key().as_ref().to_vec()))
    }

    fn sign(self, private: &SecretBytes, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let (private, random) = (private.expose_secret(), SystemRandom::new());
        if let Some(algorithm) = self.ecdsa() {
            let key = EcdsaKeyPair::from_pkcs8(algorithm, private)?;
            return Ok(key.sign(&random, message)?.as_ref().to_vec());
        }
        let padding: &'static dyn signature::RsaEncoding = match self {
            Self::EdDsa => return Ok(Ed25519KeyPair::from_pkcs8(private)?.sign(message).as_ref().to_vec()),
            Self::Rs384 => &signature::RSA_PKCS1_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_SHA512,
            _ => &signature::RSA_PKCS1_SHA256,
        };
        let key = rsa::KeyPair::from_pkcs8(private)?;
        let mut signed = vec![0; key.public_modulus_len()];
        key.sign(padding, &random, message, &mut signed)?;
        Ok(signed)
    }

    /// Whether `signature` is that of `message` by the key with this public part.
    pub(super) fn verify(self, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn signature::VerificationAlgorithm = match self {
            Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
            Self::EdDsa => &signature::ED25519,
        };
        UnparsedPublicKey::new(algorithm, public).verify(message, signature).is_ok()
    }

    /// The public part as a JSON Web Key (RFC 7517).
    pub(super) fn jwk(self, id: &str, public: &[u8]) -> Option<Value> {
        let mut jwk = match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 => {
                let (modulus, exponent) = rsa_parts(public)?;
                json!({ "kty": "RSA", "n": encode(modulus), "e": encode(exponent) })
            }
            Self::EdDsa => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(public) }),
            Self::Es256 | Self::Es384 | Self::Es512 => {
                let curve = match self {
                    Self::Es256 => "P-256",
                    Self::Es384 => "P-384",
                    _ => "P-521",
                };
                // An uncompressed point: a 4, then both coordinates in full length.
                let point = public.strip_prefix(&[4])?;
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
        };
        let object = jwk.as_object_mut()?;
        object.insert("use".to_owned(), json!("sig"));
        object.insert("kid".to_owned(), json!(id));
        object.insert("alg".to_owned(), json!(self.name()));
        Some(jwk)
    }

    /// A signed token: `claims` under a header that names the key.
    pub(super) fn token(self, key_id: &str, private: &SecretBytes, claims: &Value) -> Result<String, SigningError> {
        let header = json!({ "alg": self.name(), "kid": key_id, "typ": "JWT" });
        let message = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.sign(private, message.as_bytes())?;
        Ok(format!("{message}.{}", encode(&signature)))
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The parts of a signed token.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    pub(super) key_id: String,
    pub(super) message: &'a str,
    pub(super) signature: Vec<u8>,
    pub(super) claims: Value,
}

/// Takes a token apart. Nothing in it may be believed before its signature is verified.
pub(super) fn parse(token: &str) -> Option<Parsed<'_>> {
    let (message, signature) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let part = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    let key_id = part(header)?.get("kid")?.as_str()?.to_owned();
    let claims = part(claims)?;
    Some(Parsed { key_id, message, signature: URL_SAFE_NO_PAD.decode(signature).ok()?, claims })
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017, A.1.1): a sequence of two integers.
fn rsa_parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, _) = der_value(der, 0x30)?;
    let (modulus, rest) = der_value(body, 0x02)?;
    let (exponent, _) = der_value(rest, 0x02)?;
    // A leading zero only says that the number is not negative.
    Some((trim_zeros(modulus), trim_zeros(exponent)))
}

fn trim_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The content of the DER value with this tag that `der` begins with, and what follows it.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.len() > 4 {
            return None;
        }
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_signs_what_it_verifies_and_nothing_else() {
        for algorithm in Algorithm::ALL {
            let (private, public) = algorithm.generate().expect("a key");
            let token = algorithm.token("id", &private, &json!({ "sub": "x" })).expect("signed");
            let parsed = parse(&token).expect("parsed");
            assert_eq!((parsed.key_id.as_str(), &parsed.claims["sub"]), ("id", &json!("x")));
            let holds = |message: &str| algorithm.verify(&public, message.as_bytes(), &parsed.signature);
            assert!(holds(parsed.message), "{algorithm:?}");
            assert!(!holds(&format!("{}x", parsed.message)), "{algorithm:?}");
            for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
                assert!(!other.verify(&public, parsed.message.as_bytes(), &parsed.signature), "{other:?}");
            }
        }
    }

    #[test]
    fn public_keys_are_told_in_full() {
        for (algorithm, field, length) in [
            (Algorithm::Rs256, "n", 342),
            (Algorithm::Es256, "x", 43),
            (Algorithm::Es384, "y", 64),
            (Algorithm::Es512, "x", 88),
            (Algorithm::EdDsa, "x", 43),
        ] {
            let (_, public) = algorithm.generate().expect("a key");
            let jwk = algorithm.jwk("id", &public).expect("a JWK");
            assert_eq!(jwk[field].as_str().map(str::len), Some(length), "{algorithm:?}");
            assert_eq!(
                (&jwk["use"], &jwk["kid"], &jwk["alg"]),
                (&json!("sig"), &json!("id"), &json!(algorithm.name()))
            );
            assert!(jwk.get("d").is_none());
        }
    }
}
