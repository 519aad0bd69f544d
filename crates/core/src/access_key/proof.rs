//! From a signature to somebody whom the door admits.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use super::{AccessKey, AccessKeys, CredentialScope, LastUse, SigningKey, TEMPORARY_PREFIX, session, usage::STEP};
use crate::{
    keys,
    secret::SecretString,
    store::StoreError,
    token::{Entry, Presented, TokenId},
};

/// What a request says to have been signed with. That it was sent lately, and that the string to sign is that of the
/// request, is the protocol's to check.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Which key, for which day, region and service.
    pub scope: CredentialScope<'a>,
    /// The session token, which temporary credentials need and others must not have.
    pub session_token: Option<&'a SecretString>,
    /// What was signed.
    pub string_to_sign: &'a [u8],
    /// The signature.
    pub signature: &'a [u8; 32],
}

/// A claim that is not true.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// No such key, or it has ended, or its session token is not its own. One error, so that it does not tell which.
    #[error("the access key or its session token is not known")]
    Unknown,
    /// The temporary credentials have ended.
    #[error("the temporary credentials have ended")]
    Expired,
    /// It was signed with something else, or is something else than was signed.
    #[error("the signature is not that of this request by this key")]
    Mismatch,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The proof that a request was signed with an access key that is good. Only [`AccessKeys::prove`] makes one; the door
/// takes it for the key's token.
#[derive(Debug)]
pub struct Proven {
    pub(crate) presented: Presented,
    known: Arc<Known>,
}

impl Proven {
    /// The access key's id.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.known.id
    }

    /// What the key is called; for temporary credentials, the role and the session: `role/session`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.known.name
    }

    /// What STS calls whoever uses the key: `AIDA…`, or `AROA…:session` for a role's.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.known.user_id
    }

    /// The account that the key belongs to; empty: the server's own.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.known.account
    }

    /// Whether these are temporary credentials.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.known.id.starts_with(TEMPORARY_PREFIX)
    }

    /// The token that it stands for.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.presented.entry
    }
}

/// What is derived from a key's records and its scope. None of it ever changes: a key's id is never given again, and
/// whether the key is still good is asked of its token each time.
pub(super) struct Known {
    id: String,
    name: String,
    user_id: String,
    account: String,
    token: TokenId,
    key: SigningKey,
    noted: AtomicI64,
}

impl Known {
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("id", &self.id).finish_non_exhaustive()
    }
}

impl AccessKeys {
    /// Finds out whether a claim is true.
    ///
    /// # Errors
    /// When it is not, or the store fails.
    pub async fn prove(&self, claim: &Claim<'_>) -> Result<Proven, ProofError> {
        self.check_session(claim)?;
        let cached = self.known.get(claim.scope.text);
        let known = match &cached {
            Some(known) => Arc::clone(known),
            None => Arc::new(self.derive(&claim.scope).await?),
        };
        let entry = self.tokens.live(&known.token).await?.ok_or(ProofError::Unknown)?;
        if !known.key.verifies(claim.string_to_sign, claim.signature) {
            return Err(ProofError::Mismatch);
        }
        if cached.is_none() {
            // Only what a holder of the secret signed for: nobody else can fill the cache with days and regions.
            self.known.insert(claim.scope.text.to_owned(), Arc::clone(&known));
        }
        self.note(&known, &claim.scope);
        Ok(Proven { presented: Presented { id: known.token.clone(), entry }, known })
    }

    fn check_session(&self, claim: &Claim<'_>) -> Result<(), ProofError> {
        let id = claim.scope.access_key_id;
        match (id.starts_with(TEMPORARY_PREFIX), claim.session_token) {
            (false, None) => Ok(()),
            (false, Some(_)) | (true, None) => Err(ProofError::Unknown),
            (true, Some(token)) => match session::end_of(&self.store, id, token) {
                None => Err(ProofError::Unknown),
                Some(end) if self.store.now().as_second() >= end => Err(ProofError::Expired),
                Some(_) => Ok(()),
            },
        }
    }

    async fn derive(&self, scope: &CredentialScope<'_>) -> Result<Known, ProofError> {
        let id = scope.access_key_id;
        let record = self.store.read::<AccessKey>(&keys::access_key(id)).await?.ok_or(ProofError::Unknown)?;
        let sealed = self.store.barrier.get(&keys::access_key_secret(id)).await.map_err(StoreError::from)?;
        let secret = sealed.ok_or(ProofError::Unknown)?.plaintext;
        let key = SigningKey::derive_from(secret.expose_secret(), scope);
        let noted = record.value.last_use.map_or(0, |last| last.time.as_second());
        let AccessKey { token, name, user_id, account, .. } = record.value;
        Ok(Known { id: id.to_owned(), name, user_id, account, token, key, noted: AtomicI64::new(noted) })
    }

    fn note(&self, known: &Known, scope: &CredentialScope<'_>) {
        let now = self.store.now();
        let noted = known.noted.load(Ordering::Relaxed);
        if (now.as_second() - noted).abs() < STEP {
            return;
        }
        known.noted.store(now.as_second(), Ordering::Relaxed);
        let last_use = LastUse { time: now, region: scope.region.to_owned(), service: scope.service.to_owned() };
        self.note_use(&known.id, last_use);
    }
}
