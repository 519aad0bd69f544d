//! JSON Web Tokens as logins need them: public keys, the signature, the times. Only asymmetric signatures: whoever can
//! verify a token must not be able to make one.
//!
//! Nothing in a token says how it is verified, except for which of the trusted keys it wants (`kid`) and with which of
//! the algorithms that such a key is for (`alg`). Keys and addresses of keys that a token brings along are not looked
//! at.

mod key;
mod keyset;
mod time;
mod token;

pub(super) use key::PublicKey;
pub(super) use keyset::{Allowance, KeySet};
pub(super) use time::{Leeways, check_times};
pub(super) use token::{Claims, Token};

use jsonwebtoken::Algorithm;

/// The longest token, in bytes.
pub(super) const MAX_TOKEN: usize = 32 * 1024;

/// Every algorithm that is accepted, by the name that tokens have for it.
const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// Whether tokens signed by this algorithm can be accepted.
pub(super) fn is_algorithm(name: &str) -> bool {
    algorithm(name).is_some()
}

fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

/// Why a token is refused. No text quotes the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It is none.
    #[error("error verifying token signature: malformed jwt: {0}")]
    Malformed(&'static str),
    /// No trusted key made its signature.
    #[error("error verifying token signature: no known key successfully validated the token signature")]
    Signature,
    /// It is signed in a way that is not accepted.
    #[error("invalid algorithm (alg) header parameter: token signed with unexpected algorithm")]
    Algorithm,
    /// Its time is over.
    #[error("invalid expiration time (exp) claim: token is expired")]
    Expired,
    /// A claim is not as it has to be.
    #[error("{0}")]
    Claim(&'static str),
}
