//! A root token from the shares, for those who have lost theirs.
//!
//! Whoever starts it has a one-time password; the token comes out combined with it (XOR, then base64 without padding),
//! so that the holder of the last share does not see the token, and the holder of the password does not without it.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::{CeremonyError, Given};
use crate::{
    door::Permit,
    node::Node,
    seal::{SealError, SealKind},
    secret::{SecretBytes, SecretString},
    token::Issued,
};

/// The length of a one-time password: that of a root token.
pub const OTP_LENGTH: usize = 28;

const WHAT: &str = "root generation";

/// A ceremony under way.
pub(super) struct RootAttempt {
    nonce: String,
    otp: SecretString,
    given: Given,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootStatus {
    /// Whether there is one under way.
    pub started: bool,
    /// Names it; empty if there is none.
    pub nonce: String,
    /// Shares given.
    pub progress: usize,
    /// Shares needed.
    pub required: u8,
}

/// What a share led to.
#[derive(Debug)]
pub enum RootProgress {
    /// More are needed.
    More(RootStatus),
    /// The token is issued.
    Done {
        /// The ceremony's end.
        status: RootStatus,
        /// The token combined with the one-time password.
        encoded: SecretString,
        /// The token, for the audit log alone.
        issued: Box<Issued>,
    },
}

impl Node {
    /// How far the generation of a root token is.
    ///
    /// # Errors
    /// When the store is not open.
    pub async fn root_status(&self, permit: Permit) -> Result<RootStatus, CeremonyError> {
        permit.spend();
        let ceremonies = self.changing.lock().await;
        self.root_status_of(ceremonies.root.as_ref())
    }

    /// Starts the generation of a root token. Without an `otp` one is made, and given back this once.
    ///
    /// # Errors
    /// When one is under way, the password has the wrong length, or the store has no shares.
    pub async fn start_root(
        &self,
        permit: Permit,
        otp: Option<SecretString>,
    ) -> Result<(RootStatus, Option<SecretString>), CeremonyError> {
        permit.spend();
        let mut ceremonies = self.changing.lock().await;
        if self.opened()?.0.kind == SealKind::Static {
            return Err(SealError::NoShares.into());
        }
        if ceremonies.root.is_some() {
            return Err(CeremonyError::AlreadyStarted(WHAT));
        }
        let (otp, made) = match otp {
            Some(otp) => (otp, None),
            None => {
                let otp = self.random.base62(OTP_LENGTH)?;
                (otp.clone(), Some(otp))
            }
        };
        if otp.len() != OTP_LENGTH {
            return Err(CeremonyError::OtpLength);
        }
        let nonce = self.random.uuid()?.to_string();
        tracing::info!(nonce, "the generation of a root token was started");
        let attempt = ceremonies.root.insert(RootAttempt { nonce, otp, given: Given::default() });
        Ok((self.root_status_of(Some(attempt))?, made))
    }

    /// Forgets the attempt and the shares given, if there is one.
    ///
    /// # Errors
    /// When the store is not open.
    pub async fn cancel_root(&self, permit: Permit) -> Result<(), CeremonyError> {
        permit.spend();
        let mut ceremonies = self.changing.lock().await;
        self.opened()?;
        if let Some(attempt) = ceremonies.root.take() {
            tracing::info!(nonce = attempt.nonce, "the generation of a root token was cancelled");
        }
        Ok(())
    }

    /// Takes a share. The last one needed issues the token; if the shares do not fit, all are forgotten.
    ///
    /// # Errors
    /// When none is under way, the nonce is another's, or the share or the shares are wrong.
    pub async fn give_root_share(
        &self,
        permit: Permit,
        share: SecretBytes,
        nonce: &str,
    ) -> Result<RootProgress, CeremonyError> {
        permit.spend();
        let mut ceremonies = self.changing.lock().await;
        let (config, core) = self.opened()?;
        let attempt = ceremonies.root.as_mut().ok_or(CeremonyError::NotStarted(WHAT))?;
        if attempt.nonce != nonce {
            return Err(CeremonyError::WrongNonce { what: WHAT, nonce: attempt.nonce.clone() });
        }
        let progress = attempt.given.take(share)?;
        if progress < usize::from(config.threshold) {
            return Ok(RootProgress::More(self.root_status_of(Some(attempt))?));
        }
        if let Err(error) = self.seal.check(&attempt.given.empty()).await {
            tracing::warn!(nonce, %error, "the generation of a root token: the shares do not fit");
            if attempt.given.failed() {
                ceremonies.root = None;
                return Err(CeremonyError::TooManyFailures);
            }
            return Err(error.into());
        }
        let issued = core.issue_root(None).await?;
        let encoded = combine(&issued.token, &attempt.otp)?;
        let nonce = attempt.nonce.clone();
        ceremonies.root = None;
        tracing::info!(nonce, accessor = issued.entry.accessor, "a root token was generated from the shares");
        let status = RootStatus { started: true, nonce, progress, required: config.threshold };
        Ok(RootProgress::Done { status, encoded, issued: Box::new(issued) })
    }

    fn root_status_of(&self, attempt: Option<&RootAttempt>) -> Result<RootStatus, CeremonyError> {
        let required = self.opened()?.0.threshold;
        Ok(RootStatus {
            started: attempt.is_some(),
            nonce: attempt.map(|attempt| attempt.nonce.clone()).unwrap_or_default(),
            progress: attempt.map_or(0, |attempt| attempt.given.shares.len()),
            required,
        })
    }
}

/// Both texts have the same length, or the shorter would leave part of the token in the clear.
fn combine(token: &SecretString, otp: &SecretString) -> Result<SecretString, CeremonyError> {
    if token.len() != otp.len() {
        return Err(CeremonyError::OtpLength);
    }
    let pairs = token.expose_secret().bytes().zip(otp.expose_secret().bytes());
    let combined = SecretBytes::new(pairs.map(|(token, otp)| token ^ otp).collect());
    Ok(SecretString::new(STANDARD_NO_PAD.encode(combined.expose_secret())))
}

/// Undoes what a ceremony did to its token. `None`: it is not base64, or of another length than the password.
#[must_use]
pub fn decode_token(encoded: &str, otp: &SecretString) -> Option<SecretString> {
    let bytes = STANDARD_NO_PAD.decode(encoded.trim().trim_end_matches('=')).map(SecretBytes::new).ok()?;
    if bytes.len() != otp.len() {
        return None;
    }
    let pairs = bytes.expose_secret().iter().zip(otp.expose_secret().bytes());
    String::from_utf8(pairs.map(|(byte, otp)| byte ^ otp).collect()).ok().map(SecretString::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combined_token_needs_its_password() {
        let (token, otp) = (SecretString::from("hvs.abc"), SecretString::from("0123456"));
        let encoded = combine(&token, &otp).expect("encode");
        assert_eq!(encoded.expose_secret(), "WEdBHVVXVQ");
        assert_eq!(decode_token(encoded.expose_secret(), &otp).expect("decode").expose_secret(), "hvs.abc");
        assert_ne!(
            decode_token(encoded.expose_secret(), &"0123457".into()).expect("decode").expose_secret(),
            "hvs.abc"
        );
        assert!(decode_token(encoded.expose_secret(), &"012345".into()).is_none());
        assert!(decode_token("!", &otp).is_none());
        assert!(combine(&token, &"0".into()).is_err());
    }
}
