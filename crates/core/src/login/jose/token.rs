//! A signed token in its compact form (RFC 7515, section 3.1): `header.payload.signature`.

use std::collections::HashSet;

use jsonwebtoken::{Algorithm, Validation};
use serde_json::{Map, Value};

use super::{MAX_TOKEN, PublicKey, TokenFault};
use crate::secret::SecretString;

/// What a token says, by name.
pub(in crate::login) type Claims = Map<String, Value>;

/// A token whose header has been read and whose signature has not been looked at.
pub(in crate::login) struct Token<'a> {
    text: &'a str,
    algorithm: Algorithm,
    key_id: Option<String>,
}

impl<'a> Token<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is no token, too long, or signed in a way that is never accepted (`none`, HMAC).
    pub(in crate::login) fn parse(token: &'a SecretString) -> Result<Self, TokenFault> {
        let text = token.expose_secret().trim();
        if text.len() > MAX_TOKEN {
            return Err(TokenFault::Malformed("it is longer than 32 KiB"));
        }
        if text.split('.').count() != 3 {
            return Err(TokenFault::Malformed("it must have three parts"));
        }
        let header = jsonwebtoken::decode_header(text).map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidAlgorithmName => TokenFault::Algorithm,
            _ => TokenFault::Malformed("its header cannot be read, or names an algorithm that is not supported"),
        })?;
        if header.crit.is_some() {
            return Err(TokenFault::Malformed("its header demands extensions (crit) that are not understood"));
        }
        if !super::ALGORITHMS.iter().any(|(_, known)| *known == header.alg) {
            return Err(TokenFault::Algorithm);
        }
        Ok(Self { text, algorithm: header.alg, key_id: header.kid })
    }

    /// Which key it wants.
    pub(in crate::login) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Whether it is signed by one of the named algorithms; none named: by any that is accepted at all.
    pub(in crate::login) fn check_algorithm(&self, allowed: &[String]) -> Result<(), TokenFault> {
        let fits = allowed.is_empty() || allowed.iter().any(|name| super::algorithm(name) == Some(self.algorithm));
        if fits { Ok(()) } else { Err(TokenFault::Algorithm) }
    }

    /// Its claims, if one of `keys` made the signature.
    pub(in crate::login) fn verify<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k PublicKey>,
    ) -> Result<Claims, TokenFault> {
        let mut rules = Validation::new(self.algorithm);
        // The claims are checked where the role and the clock are known.
        rules.required_spec_claims = HashSet::new();
        (rules.validate_exp, rules.validate_nbf, rules.validate_aud) = (false, false, false);
        let fitting = keys.into_iter().filter(|key| key.is_for(self.algorithm));
        for key in fitting {
            match jsonwebtoken::decode::<Claims>(self.text, &key.key, &rules) {
                Ok(verified) => return Ok(verified.claims),
                Err(error) => match error.kind() {
                    jsonwebtoken::errors::ErrorKind::Json(_) | jsonwebtoken::errors::ErrorKind::Utf8(_) => {
                        return Err(TokenFault::Malformed("its claims are not a JSON object"));
                    }
                    _ => {}
                },
            }
        }
        Err(TokenFault::Signature)
    }

    /// Its claims, as they are: whoever calls this must ask somebody else whether they are true.
    pub(in crate::login) fn unverified(&self) -> Result<Claims, TokenFault> {
        jsonwebtoken::dangerous::insecure_decode::<Claims>(self.text)
            .map(|token| token.claims)
            .map_err(|_| TokenFault::Malformed("its claims are not a JSON object"))
    }
}
