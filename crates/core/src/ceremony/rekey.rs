//! New shares in the place of the old ones.
//!
//! ```text
//! start -> old shares … -> [new shares shown] -> in force
//!                          [new shares shown] -> new shares given back … -> in force     with verification
//! ```
//!
//! What waits for its verification is sealed ([`Reseal`]): neither the root key nor the new shares are kept. Putting it
//! in force is one commit. Without verification, nobody knows the new shares if the answer that shows them is lost; with
//! it, the old shares hold until the new ones have proved to be in the hands of people.

use super::{CeremonyError, Given};
use crate::{
    door::Permit,
    node::Node,
    seal::{Reseal, SealConfig, SealError, SealKind},
    secret::SecretBytes,
};

const WHAT: &str = "rekey";
const VERIFICATION: &str = "rekey verification";

/// What is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RekeyPlan {
    /// How many shares.
    pub shares: u8,
    /// How many of them open the store.
    pub threshold: u8,
    /// Whether the new shares must be given back before they are in force.
    pub verify: bool,
}

/// A ceremony under way.
pub(super) struct RekeyAttempt {
    nonce: String,
    plan: RekeyPlan,
    given: Given,
    made: Option<Made>,
}

/// New shares that wait for their verification.
struct Made {
    nonce: String,
    reseal: Reseal,
    given: Given,
}

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RekeyStatus {
    /// What was planned; `None`: nothing is under way.
    pub plan: Option<RekeyPlan>,
    /// Names the ceremony.
    pub nonce: String,
    /// Old shares given.
    pub progress: usize,
    /// Old shares needed.
    pub required: u8,
    /// Names the verification, if that is what is waited for.
    pub verification_nonce: String,
}

/// What an old share led to.
#[derive(Debug)]
pub enum RekeyProgress {
    /// More are needed.
    More(RekeyStatus),
    /// The new shares: to be shown, once.
    Made {
        /// Names the ceremony.
        nonce: String,
        /// One for each holder.
        shares: Vec<SecretBytes>,
        /// Names the verification; `None`: the new shares are in force.
        verification_nonce: Option<String>,
    },
}

/// How far the verification is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyStatus {
    /// Whether new shares wait for it.
    pub started: bool,
    /// Names it.
    pub nonce: String,
    /// What was planned.
    pub plan: RekeyPlan,
    /// New shares given back.
    pub progress: usize,
}

/// What a new share led to.
#[derive(Debug)]
pub enum VerifyProgress {
    /// More are needed.
    More(VerifyStatus),
    /// The new shares are in force.
    Done {
        /// Names the verification.
        nonce: String,
    },
}

impl RekeyAttempt {
    fn status(&self, required: u8) -> RekeyStatus {
        RekeyStatus {
            plan: Some(self.plan),
            nonce: self.nonce.clone(),
            progress: self.given.shares.len(),
            required,
            verification_nonce: self.made.as_ref().map(|made| made.nonce.clone()).unwrap_or_default(),
        }
    }

    fn verify_status(&self) -> VerifyStatus {
        VerifyStatus {
            started: self.made.is_some(),
            nonce: self.made.as_ref().map(|made| made.nonce.clone()).unwrap_or_default(),
            plan: self.plan,
            progress: self.made.as_ref().map_or(0, |made| made.given.shares.len()),
        }
    }
}

impl Node {
    /// How far a rekey is.
    ///
    /// # Errors
    /// When the store is not open.
    pub async fn rekey_status(&self, permit: Permit) -> Result<RekeyStatus, CeremonyError> {
        permit.spend();
        let ceremonies = self.changing.lock().await;
        let required = self.opened()?.0.threshold;
        let none = RekeyStatus { required, ..RekeyStatus::default() };
        Ok(ceremonies.rekey.as_ref().map_or(none, |attempt| attempt.status(required)))
    }

    /// Starts a rekey.
    ///
    /// # Errors
    /// When one is under way, the numbers are out of bounds, or the store has no shares.
    pub async fn start_rekey(&self, permit: Permit, plan: RekeyPlan) -> Result<RekeyStatus, CeremonyError> {
        permit.spend();
        let mut ceremonies = self.changing.lock().await;
        let config = self.opened_with_shares()?;
        if ceremonies.rekey.is_some() {
            return Err(CeremonyError::AlreadyStarted(WHAT));
        }
        self.seal.check_numbers(plan.shares, plan.threshold)?;
        let nonce = self.random.uuid()?.to_string();
        tracing::info!(nonce, shares = plan.shares, threshold = plan.threshold, "a rekey was started");
        let attempt = RekeyAttempt { nonce, plan, given: Given::default(), made: None };
        Ok(ceremonies.rekey.insert(attempt).status(config.threshold))
    }

    /// Forgets the rekey, the shares given and the shares made, if there is one. The old shares stay in force.
    ///
    /// # Errors
    /// When the store is not open.
    pub async fn cancel_rekey(&self, permit: Permit) -> Result<(), CeremonyError> {
        permit.spend();
        let mut ceremonies = self.changing.lock().await;
        self.opened()?;
        if let Some(attempt) = ceremonies.rekey.take() {
            tracing::info!(nonce = attempt.nonce, "a rekey was cancelled");
        }
        Ok(())
    }

    /// Takes an old share. The last one needed makes the new shares; if the old ones do not fit, all are forgotten.
    ///
    /// # Errors
    /// When none is under way, the nonce is another's, or the share or the shares are wrong.
    pub async fn give_rekey_share(
        &self,
        permit: Permit,
        share: SecretBytes,
        nonce: &str,
    ) -> Result<RekeyProgress, CeremonyError> {
        permit.spend();
        let mut ceremonies = self.changing.lock().await;
        let config = self.opened_with_shares()?;
        let attempt = ceremonies.rekey.as_mut().ok_or(CeremonyError::NotStarted(WHAT))?;
        if let Some(made) = &attempt.made {
            return Err(CeremonyError::AwaitsVerification(made.nonce.clone()));
        }
        if attempt.nonce != nonce {
            return Err(CeremonyError::WrongNonce { what: WHAT, nonce: attempt.nonce.clone() });
        }
        if attempt.given.take(share)? < usize::from(config.threshold) {
            return Ok(RekeyProgress::More(attempt.status(config.threshold)));
        }
        let RekeyPlan { shares, threshold, verify } = attempt.plan;
        let (reseal, shares) = match self.seal.reseal(&attempt.given.empty(), shares, threshold).await {
            Ok(made) => made,
            Err(error) => {
                tracing::warn!(nonce, %error, "a rekey: the shares do not fit");
                if attempt.given.failed() {
                    ceremonies.rekey = None;
                    return Err(CeremonyError::TooManyFailures);
                }
                return Err(error.into());
            }
        };
        let nonce = attempt.nonce.clone();
        let verification_nonce = if verify {
            let nonce = self.random.uuid()?.to_string();
            attempt.made = Some(Made { nonce: nonce.clone(), reseal, given: Given::default() });
            Some(nonce)
        } else {
            self.put_in_force(&reseal).await?;
            ceremonies.rekey = None;
            None
        };
        Ok(RekeyProgress::Made { nonce, shares, verification_nonce })
    }

    /// How far the verification of new shares is.
    ///
    /// # Errors
    /// When no rekey is under way.
    pub async fn verify_status(&self, permit: Permit) -> Result<VerifyStatus, CeremonyError> {
        permit.spend();
        let ceremonies = self.changing.lock().await;
        self.opened()?;
        let attempt = ceremonies.rekey.as_ref().ok_or(CeremonyError::NotStarted(WHAT))?;
        Ok(attempt.verify_status())
    }

    /// Forgets the new shares given back so far; the verification goes on under another nonce.
    ///
    /// # Errors
    /// When no verification is under way.
    pub async fn restart_verify(&self, permit: Permit) -> Result<VerifyStatus, CeremonyError> {
        permit.spend();
        let mut ceremonies = self.changing.lock().await;
        self.opened()?;
        let attempt = ceremonies.rekey.as_mut().ok_or(CeremonyError::NotStarted(WHAT))?;
        let made = attempt.made.as_mut().ok_or(CeremonyError::NotStarted(VERIFICATION))?;
        made.nonce = self.random.uuid()?.to_string();
        made.given = Given { failures: made.given.failures, ..Given::default() };
        Ok(attempt.verify_status())
    }

    /// Takes a new share back. The last one needed puts the new shares in force; if they do not fit, all are forgotten,
    /// and the old shares stay in force.
    ///
    /// # Errors
    /// When no verification is under way, the nonce is another's, or the share or the shares are wrong.
    pub async fn give_verify_share(
        &self,
        permit: Permit,
        share: SecretBytes,
        nonce: &str,
    ) -> Result<VerifyProgress, CeremonyError> {
        permit.spend();
        let mut ceremonies = self.changing.lock().await;
        self.opened_with_shares()?;
        let attempt = ceremonies.rekey.as_mut().ok_or(CeremonyError::NotStarted(WHAT))?;
        let threshold = usize::from(attempt.plan.threshold);
        let made = attempt.made.as_mut().ok_or(CeremonyError::NotStarted(VERIFICATION))?;
        if made.nonce != nonce {
            return Err(CeremonyError::WrongNonce { what: VERIFICATION, nonce: made.nonce.clone() });
        }
        if made.given.take(share)? < threshold {
            return Ok(VerifyProgress::More(attempt.verify_status()));
        }
        if let Err(error) = self.seal.check_reseal(&made.reseal, &made.given.empty()) {
            tracing::warn!(nonce, %error, "the verification of a rekey: the shares do not fit");
            if made.given.failed() {
                ceremonies.rekey = None;
                return Err(CeremonyError::TooManyFailures);
            }
            return Err(error.into());
        }
        let nonce = made.nonce.clone();
        self.put_in_force(&made.reseal).await?;
        ceremonies.rekey = None;
        Ok(VerifyProgress::Done { nonce })
    }

    async fn put_in_force(&self, reseal: &Reseal) -> Result<(), CeremonyError> {
        self.seal.replace(reseal).await?;
        self.reconfigure(&reseal.config);
        let SealConfig { shares, threshold, .. } = reseal.config;
        tracing::info!(shares, threshold, "the store has new shares");
        Ok(())
    }

    fn opened_with_shares(&self) -> Result<SealConfig, CeremonyError> {
        match self.opened()?.0 {
            SealConfig { kind: SealKind::Static, .. } => Err(SealError::NoShares.into()),
            config => Ok(config),
        }
    }
}
