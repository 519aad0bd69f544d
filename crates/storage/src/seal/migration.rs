//! Moving a stopped store to another seal, or to another key of the same kind. A running server moves a store from
//! shares to its own key by itself (see [`super::StaticSeal`]); everything else is done here, because new shares must be
//! seen by people before they are in force.

use std::sync::Arc;

use keyturn_core::{
    random::Random,
    seal::{Reseal, SealConfig, SealError, SealKind},
    secret::{Key256, SecretBytes},
    storage::Storage,
};

use super::{
    KekSource, Stored, load,
    reseal::{self, Target},
    shamir,
};
use crate::hardening::Locked;

/// Who may move a store.
pub enum Authority<'a> {
    /// The holders of enough shares.
    Shares(&'a [SecretBytes]),
    /// Whoever has the key.
    Key(&'a KekSource),
}

/// A store whose root key is at hand, to be wrapped anew.
pub struct Migration {
    storage: Arc<dyn Storage>,
    stored: Stored,
    root: Locked<Key256>,
    random: Random,
}

impl Migration {
    /// What the store says about its seal; `None`: it is not initialised.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn inspect(storage: &dyn Storage) -> Result<Option<SealConfig>, SealError> {
        Ok(load(storage).await?.map(|stored| stored.record.config()))
    }

    /// Unwraps the root key.
    ///
    /// # Errors
    /// [`SealError::WrongKey`] when `authority` is not good enough.
    pub async fn begin(storage: Arc<dyn Storage>, authority: Authority<'_>) -> Result<Self, SealError> {
        const HINT: &str = "it is of another store; give the one that the store was sealed with last";
        let stored = load(&*storage).await?.ok_or(SealError::NotInitialized)?;
        let kek = match (authority, stored.record.kind) {
            (Authority::Shares(shares), SealKind::Shamir) => shamir::combine(shares, stored.record.threshold)?,
            (Authority::Key(source), SealKind::Static) => source.read()?,
            (Authority::Shares(_), SealKind::Static) => return Err(SealError::NoShares),
            (Authority::Key(_), SealKind::Shamir) => {
                return Err(SealError::WrongKey("the store is opened by shares, not by a key"));
            }
        };
        let root = stored.record.unwrap(&kek)?.ok_or(SealError::WrongKey(HINT))?;
        Ok(Self { storage, stored, root: Locked::new(root), random: Random::default() })
    }

    /// Makes shares. They are in force after [`Migration::put_in_force`]: show them before.
    ///
    /// # Errors
    /// When the numbers are out of bounds.
    pub fn to_shares(&self, shares: u8, threshold: u8) -> Result<(Reseal, Vec<SecretBytes>), SealError> {
        let (kek, parts) = shamir::make(shares, threshold, &self.random)?;
        let target = Target::shares(shares, threshold);
        Ok((reseal::prepare(&self.stored, &target, &kek, &self.root, &self.random)?, parts))
    }

    /// Wraps the root key under the key from `source`.
    ///
    /// # Errors
    /// When there is no key.
    pub fn to_key(&self, source: &KekSource) -> Result<Reseal, SealError> {
        reseal::prepare(&self.stored, &Target::STATIC, &source.read()?, &self.root, &self.random)
    }

    /// Puts the new seal in force, in one commit: before it the old one opens the store, after it the new one does.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_in_force(self, reseal: &Reseal) -> Result<(), SealError> {
        reseal::put_in_force(&*self.storage, reseal).await
    }
}
