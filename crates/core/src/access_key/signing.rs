//! The keys of Signature Version 4: derived from a secret for one day, region and service
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).
//!
//! ```text
//! HMAC("AWS4" + secret, date) -> HMAC(·, region) -> HMAC(·, service) -> HMAC(·, "aws4_request") = the signing key
//! ```

use std::fmt;

use aws_lc_rs::hmac::{self, HMAC_SHA256};

use crate::secret::{REDACTED, SecretBytes, SecretString};

/// What every scope ends with.
pub const TERMINATOR: &str = "aws4_request";

/// Who signed, for what: `AKIA…/20261124/eu-west-1/secretsmanager/aws4_request`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialScope<'a> {
    /// The text as it was sent.
    pub text: &'a str,
    /// The access key.
    pub access_key_id: &'a str,
    /// The day: `20261124`.
    pub date: &'a str,
    /// The region.
    pub region: &'a str,
    /// The service.
    pub service: &'a str,
    /// `aws4_request`, or it is not for us.
    pub terminator: &'a str,
}

impl<'a> CredentialScope<'a> {
    /// Takes a scope apart. `None`: it has not five parts, or one of them is empty.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('/');
        let mut next = || parts.next().filter(|part| !part.is_empty());
        let scope = Self {
            text,
            access_key_id: next()?,
            date: next()?,
            region: next()?,
            service: next()?,
            terminator: next()?,
        };
        parts.next().is_none().then_some(scope)
    }

    /// The part behind the access key, as a string to sign has it.
    #[must_use]
    pub fn without_key(&self) -> &'a str {
        self.text.get(self.access_key_id.len() + 1..).unwrap_or_default()
    }
}

/// Signs for one day, region and service.
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// Derives the key of a scope.
    #[must_use]
    pub fn derive(secret: &SecretString, scope: &CredentialScope<'_>) -> Self {
        Self::derive_from(secret.expose_secret().as_bytes(), scope)
    }

    pub(super) fn derive_from(secret: &[u8], scope: &CredentialScope<'_>) -> Self {
        let mut first = SecretBytes::new(Vec::with_capacity(4 + secret.len()));
        first.expose_secret_mut().extend_from_slice(b"AWS4");
        first.expose_secret_mut().extend_from_slice(secret);
        let mut key = hmac::Key::new(HMAC_SHA256, first.expose_secret());
        for part in [scope.date, scope.region, scope.service, scope.terminator] {
            key = hmac::Key::new(HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
        }
        Self(key)
    }

    /// The signature of a string to sign.
    #[must_use]
    pub fn sign(&self, string_to_sign: &[u8]) -> [u8; 32] {
        let mut signature = [0; 32];
        signature.copy_from_slice(hmac::sign(&self.0, string_to_sign).as_ref());
        signature
    }

    /// Whether a signature is good. The comparison takes the same time wherever they differ.
    #[must_use]
    pub fn verifies(&self, string_to_sign: &[u8], signature: &[u8; 32]) -> bool {
        hmac::verify(&self.0, string_to_sign, signature).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_has_five_parts() {
        let scope = CredentialScope::parse("AKID/20150830/us-east-1/iam/aws4_request").expect("a scope");
        assert_eq!((scope.access_key_id, scope.date, scope.service), ("AKID", "20150830", "iam"));
        assert_eq!(scope.without_key(), "20150830/us-east-1/iam/aws4_request");
        for text in ["", "AKID", "AKID/20150830/us-east-1/iam", "AKID//us-east-1/iam/aws4_request", "a/b/c/d/e/f"] {
            assert_eq!(CredentialScope::parse(text), None, "{text}");
        }
    }

    /// The example of AWS's documentation.
    #[test]
    fn the_documented_signature_comes_out() {
        let secret = SecretString::from("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let scope = CredentialScope::parse("AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request").expect("a scope");
        let key = SigningKey::derive(&secret, &scope);
        let text = b"AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
            f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
        let signature = key.sign(text);
        assert_eq!(hex::encode(signature), "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
        assert!(key.verifies(text, &signature) && !key.verifies(b"other", &signature));
        assert_eq!(format!("{key:?}"), REDACTED);
    }
}
