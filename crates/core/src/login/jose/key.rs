//! Public keys, from PEM and from JSON Web Keys (RFC 7517).
//!
//! A key is for the algorithms of its own kind and no others. That closes the door to algorithm confusion: there is no
//! way to have the text of an RSA key taken for the secret of an HMAC.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use rustls_pki_types::{
    CertificateDer, SubjectPublicKeyInfoDer,
    pem::{PemObject, SectionKind},
};
use serde::Deserialize;
use x509_parser::{prelude::FromDer, public_key, x509::SubjectPublicKeyInfo};

/// The shortest RSA modulus, in bits.
const MIN_RSA_BITS: usize = 2048;
const RSA: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
/// An uncompressed point of P-256 and P-384: a byte, then two coordinates.
const P256_POINT: usize = 65;
const P384_POINT: usize = 97;
const ED25519_KEY: usize = 32;

/// A key that signatures are verified with.
#[derive(Clone)]
pub(in crate::login) struct PublicKey {
    pub(super) id: Option<String>,
    algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

impl PublicKey {
    /// Whether it verifies signatures of `algorithm`.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Reads a public key (`PUBLIC KEY`) or that of a certificate.
    ///
    /// # Errors
    /// What is wrong; the text quotes nothing.
    pub(in crate::login) fn from_pem(pem: &str) -> Result<Self, &'static str> {
        let pem = pem.trim().as_bytes();
        if let Ok(certificate) = CertificateDer::from_pem_slice(pem) {
            let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(&certificate)
                .map_err(|_| "the certificate cannot be read")?;
            return Self::from_info(parsed.public_key());
        }
        let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem).filter_map(Result::ok);
        for (kind, der) in sections {
            match kind {
                SectionKind::PublicKey => {
                    let info = SubjectPublicKeyInfoDer::from(der);
                    let (_, info) =
                        SubjectPublicKeyInfo::from_der(&info).map_err(|_| "the public key cannot be read")?;
                    return Self::from_info(&info);
                }
                SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                    return Err("a private key was given; give the public key");
                }
                _ => {}
            }
        }
        Err("data does not contain any valid public keys: expected PEM with PUBLIC KEY or CERTIFICATE")
    }

    fn from_info(info: &SubjectPublicKeyInfo<'_>) -> Result<Self, &'static str> {
        let bits: &[u8] = &info.subject_public_key.data;
        let unsupported = "the key is of a kind that is not supported: use RSA, P-256, P-384 or Ed25519";
        let parsed = info.parsed().map_err(|_| "the public key cannot be read")?;
        match parsed {
            public_key::PublicKey::RSA(rsa) if rsa.key_size() < MIN_RSA_BITS => Err("an RSA key needs 2048 bits"),
            public_key::PublicKey::RSA(_) => Ok(Self::new(RSA, DecodingKey::from_rsa_der(bits))),
            public_key::PublicKey::EC(_) if bits.first() == Some(&4) => match bits.len() {
                P256_POINT => Ok(Self::new(&[Algorithm::ES256], DecodingKey::from_ec_der(bits))),
                P384_POINT => Ok(Self::new(&[Algorithm::ES384], DecodingKey::from_ec_der(bits))),
                _ => Err(unsupported),
            },
            _ if info.algorithm.algorithm == x509_parser::oid_registry::OID_SIG_ED25519
                && bits.len() == ED25519_KEY =>
            {
                Ok(Self::new(&[Algorithm::EdDSA], DecodingKey::from_ed_der(bits)))
            }
            _ => Err(unsupported),
        }
    }

    /// Reads a JSON Web Key; `None` for one that signatures of tokens cannot be verified with.
    pub(super) fn from_jwk(jwk: Jwk) -> Option<Self> {
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let decode = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?.trim_end_matches('=')).ok();
        let point = |length: usize| {
            let point = [&[4][..], &decode(&jwk.x)?, &decode(&jwk.y)?].concat();
            (point.len() == length).then(|| DecodingKey::from_ec_der(&point))
        };
        let mut key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let (modulus, exponent) = (decode(&jwk.n)?, decode(&jwk.e)?);
                Self::new(RSA, DecodingKey::from_rsa_raw_components(&modulus, &exponent))
            }
            ("EC", Some("P-256")) => Self::new(&[Algorithm::ES256], point(P256_POINT)?),
            ("EC", Some("P-384")) => Self::new(&[Algorithm::ES384], point(P384_POINT)?),
            ("OKP", Some("Ed25519")) => {
                let key = decode(&jwk.x).filter(|key| key.len() == ED25519_KEY)?;
                Self::new(&[Algorithm::EdDSA], DecodingKey::from_ed_der(&key))
            }
            _ => return None,
        };
        if let Some(name) = &jwk.alg {
            let only = super::algorithm(name)?;
            key.algorithms.retain(|algorithm| *algorithm == only);
        }
        key.id = jwk.kid;
        (!key.algorithms.is_empty()).then_some(key)
    }

    fn new(algorithms: &[Algorithm], key: DecodingKey) -> Self {
        Self { id: None, algorithms: algorithms.to_vec(), key }
    }
}

/// What is read of a JSON Web Key.
#[derive(Debug, Deserialize)]
pub(super) struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn algorithms_of(kind: &'static rcgen::SignatureAlgorithm) -> Vec<Algorithm> {
        let pair = rcgen::KeyPair::generate_for(kind).expect("a pair");
        PublicKey::from_pem(&pair.public_key_pem()).expect("a key").algorithms
    }

    #[test]
    fn a_key_is_for_its_own_kind() {
        assert_eq!(algorithms_of(&rcgen::PKCS_ECDSA_P256_SHA256), [Algorithm::ES256]);
        assert_eq!(algorithms_of(&rcgen::PKCS_ECDSA_P384_SHA384), [Algorithm::ES384]);
        assert_eq!(algorithms_of(&rcgen::PKCS_ED25519), [Algorithm::EdDSA]);
        assert_eq!(algorithms_of(&rcgen::PKCS_RSA_SHA256), RSA);
    }

    #[test]
    fn the_key_of_a_certificate_is_taken_and_a_private_one_is_not() {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        assert!(PublicKey::from_pem(&issued.cert.pem()).is_ok());
        let refused = PublicKey::from_pem(&issued.signing_key.serialize_pem()).err().unwrap_or_default();
        assert!(refused.contains("private"), "{refused}");
        assert!(PublicKey::from_pem("no key").is_err());
    }

    #[test]
    fn keys_that_do_not_verify_tokens_are_left_out() {
        let read = |text: &str| PublicKey::from_jwk(serde_json::from_str(text).expect("a JWK"));
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        assert!(read(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)).is_some());
        for other in [
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","use":"enc"}}"#),
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","alg":"RS256"}}"#),
            format!(r#"{{"kty":"OKP","crv":"X25519","x":"{x}"}}"#),
            format!(r#"{{"kty":"oct","k":"{x}"}}"#),
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#.to_owned(),
            r#"{"kty":"RSA","n":"AQAB"}"#.to_owned(),
        ] {
            assert!(read(&other).is_none(), "{other}");
        }
    }
}
