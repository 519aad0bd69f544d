//! Key ceremonies: what needs the shares of several people while the store is open. New shares (`rekey`) and a root token
//! for those who lost theirs (`generate_root`).
//!
//! A ceremony lives in memory, under the lock that changes of the server's state take; sealing ends it. Its nonce tells
//! people that they all take part in the same one. Shares are checked together, once there are enough: wrong ones are
//! forgotten, and after [`MAX_FAILURES`] wrong sets the ceremony is.

mod generate_root;
mod rekey;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use self::{generate_root::RootAttempt, rekey::RekeyAttempt};
pub use self::{
    generate_root::{OTP_LENGTH, RootProgress, RootStatus, decode_token},
    rekey::{RekeyPlan, RekeyProgress, RekeyStatus, VerifyProgress, VerifyStatus},
};
use crate::{node::NotReady, random::RandomError, seal::SealError, secret::SecretBytes, token::TokenError};

/// How many wrong sets of shares end a ceremony.
pub const MAX_FAILURES: u32 = 10;

/// The shortest and the longest share, in bytes: a key, and a key with the share's index.
const SHARE_LENGTHS: std::ops::RangeInclusive<usize> = 32..=33;

/// The ceremonies under way.
#[derive(Default)]
pub(crate) struct Ceremonies {
    rekey: Option<RekeyAttempt>,
    root: Option<RootAttempt>,
}

/// Why a step of a ceremony was refused.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyError {
    /// There is none under way.
    #[error("no {0} in progress; start one")]
    NotStarted(&'static str),
    /// There is one under way already.
    #[error("{0} already in progress; finish or cancel it first")]
    AlreadyStarted(&'static str),
    /// The step belongs to another ceremony. The nonce is no secret: it is there to be compared.
    #[error("incorrect nonce supplied; nonce for this {what} operation is {nonce:?}")]
    WrongNonce {
        /// Which ceremony.
        what: &'static str,
        /// Its nonce.
        nonce: String,
    },
    /// No share has this length.
    #[error("a share has 32 or 33 bytes; give it whole, as it was printed")]
    ShareLength,
    /// The share was given before.
    #[error("given key has already been provided during this operation")]
    AlreadyGiven,
    /// The new shares are made and wait to be given back.
    #[error(
        "rekey operation already finished; verification must be performed; nonce for the verification operation is {0:?}"
    )]
    AwaitsVerification(String),
    /// The one-time password does not fit the token.
    #[error("OTP string has incorrect length: it must have {OTP_LENGTH} bytes, or be left out to have one made")]
    OtpLength,
    /// The shares were wrong too often.
    #[error("the shares were wrong {MAX_FAILURES} times, so the operation was cancelled; start it again")]
    TooManyFailures,
    /// The store is not open.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// The seal refused.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The token could not be issued.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// The shares given so far, for one purpose.
#[derive(Default)]
struct Given {
    shares: Vec<SecretBytes>,
    failures: u32,
}

impl Given {
    /// Takes a share. Of each holder there is one: a second look at the same share says so.
    fn take(&mut self, share: SecretBytes) -> Result<usize, CeremonyError> {
        if !SHARE_LENGTHS.contains(&share.len()) {
            return Err(CeremonyError::ShareLength);
        }
        let known = |given: &SecretBytes| verify_slices_are_equal(given.expose_secret(), share.expose_secret()).is_ok();
        if self.shares.iter().any(known) {
            return Err(CeremonyError::AlreadyGiven);
        }
        self.shares.push(share);
        Ok(self.shares.len())
    }

    /// The shares, to be checked; none are left.
    fn empty(&mut self) -> Vec<SecretBytes> {
        std::mem::take(&mut self.shares)
    }

    /// Notes that the shares did not fit; whether that was once too often.
    fn failed(&mut self) -> bool {
        self.failures += 1;
        self.failures >= MAX_FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_counts_once_and_has_a_length() {
        let mut given = Given::default();
        assert!(matches!(given.take(SecretBytes::new(vec![1; 31])), Err(CeremonyError::ShareLength)));
        assert!(matches!(given.take(SecretBytes::new(vec![1; 34])), Err(CeremonyError::ShareLength)));
        assert!(matches!(given.take(SecretBytes::new(vec![1; 33])), Ok(1)));
        assert!(matches!(given.take(SecretBytes::new(vec![1; 33])), Err(CeremonyError::AlreadyGiven)));
        assert!(matches!(given.take(SecretBytes::new(vec![2; 33])), Ok(2)));
        assert_eq!(given.empty().len(), 2);
        assert!(matches!(given.take(SecretBytes::new(vec![1; 33])), Ok(1)));
    }
}
