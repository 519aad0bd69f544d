//! The KEK split among people by Shamir's scheme over GF(256).
//!
//! ```text
//! share: value, 32 B ‖ index, u8 (1 to 255)         of several shares
//!        the KEK, 32 B                              if there is one share only
//! ```

use std::{cell::Cell, convert::Infallible, sync::Arc};

use keyturn_core::{
    barrier::Barrier,
    clock::Clock,
    random::Random,
    seal::{Initialized, Reseal, Seal, SealConfig, SealError, SealKind},
    secret::{Key256, SecretBytes},
    snapshot::{SnapshotError, SnapshotFile, SnapshotInfo},
    storage::{BoxFuture, Storage},
};
use vsss_rs::Gf256;
use zeroize::Zeroizing;

use super::{
    SealRecord, SealedStore, no_randomness,
    reseal::{self, Target},
};
use crate::{barrier::BarrierOptions, hardening::Locked};

const KEY_LEN: usize = 32;
const SHARE_LEN: usize = KEY_LEN + 1;

/// A seal whose KEK is split into shares; nobody, the server included, keeps it whole.
pub struct ShamirSeal(SealedStore);

impl ShamirSeal {
    /// The Shamir seal of `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, options: BarrierOptions, clock: Arc<dyn Clock>) -> Self {
        Self(SealedStore::new(SealKind::Shamir, storage, options, clock))
    }

    async fn initialize(&self, shares: u8, threshold: u8) -> Result<Initialized, SealError> {
        let (kek, parts) = make(shares, threshold, &self.0.random)?;
        let (config, barrier) = self.0.initialize(&kek, shares, threshold).await?;
        Ok(Initialized { shares: parts, config, barrier })
    }

    async fn open(&self, shares: &[SecretBytes]) -> Result<Arc<dyn Barrier>, SealError> {
        let record = self.0.load_initialized().await?.record;
        let kek = combine(shares, record.threshold)?;
        self.0.open(&record, &kek, WRONG_SHARES).await
    }

    async fn check(&self, shares: &[SecretBytes]) -> Result<(), SealError> {
        let record = self.0.load_initialized().await?.record;
        unwrap(&record, shares).map(drop)
    }

    async fn reseal(
        &self,
        shares: &[SecretBytes],
        new_shares: u8,
        new_threshold: u8,
    ) -> Result<(Reseal, Vec<SecretBytes>), SealError> {
        let stored = self.0.load_initialized().await?;
        let root = Locked::new(unwrap(&stored.record, shares)?);
        let (kek, parts) = make(new_shares, new_threshold, &self.0.random)?;
        let target = Target::shares(new_shares, new_threshold);
        Ok((reseal::prepare(&stored, &target, &kek, &root, &self.0.random)?, parts))
    }
}

/// The root key, if `shares` are enough and the right ones.
pub(super) fn unwrap(record: &SealRecord, shares: &[SecretBytes]) -> Result<Key256, SealError> {
    record.unwrap(&combine(shares, record.threshold)?)?.ok_or(SealError::WrongKey(WRONG_SHARES))
}

/// A new KEK and its shares.
pub(super) fn make(shares: u8, threshold: u8, random: &Random) -> Result<(Key256, Vec<SecretBytes>), SealError> {
    check_numbers(shares, threshold)?;
    let kek = random.key().map_err(|_| no_randomness())?;
    let parts = split(&kek, shares, threshold, random)?;
    Ok((kek, parts))
}

const WRONG_SHARES: &str = "at least one share is wrong or of another store; start again with the right ones";

impl Seal for ShamirSeal {
    fn config(&self) -> BoxFuture<'_, Result<Option<SealConfig>, SealError>> {
        Box::pin(self.0.config())
    }

    fn kind(&self) -> SealKind {
        SealKind::Shamir
    }

    fn initialize(&self, shares: u8, threshold: u8) -> BoxFuture<'_, Result<Initialized, SealError>> {
        Box::pin(self.initialize(shares, threshold))
    }

    fn open<'a>(&'a self, shares: &'a [SecretBytes]) -> BoxFuture<'a, Result<Arc<dyn Barrier>, SealError>> {
        Box::pin(self.open(shares))
    }

    fn check_numbers(&self, shares: u8, threshold: u8) -> Result<(), SealError> {
        check_numbers(shares, threshold)
    }

    fn check<'a>(&'a self, shares: &'a [SecretBytes]) -> BoxFuture<'a, Result<(), SealError>> {
        Box::pin(self.check(shares))
    }

    fn reseal<'a>(
        &'a self,
        shares: &'a [SecretBytes],
        new_shares: u8,
        new_threshold: u8,
    ) -> BoxFuture<'a, Result<(Reseal, Vec<SecretBytes>), SealError>> {
        Box::pin(self.reseal(shares, new_shares, new_threshold))
    }

    fn check_reseal(&self, reseal: &Reseal, shares: &[SecretBytes]) -> Result<(), SealError> {
        let kek = combine(shares, reseal.config.threshold)?;
        if reseal::opens(reseal, &kek)? { Ok(()) } else { Err(SealError::WrongKey(WRONG_SHARES)) }
    }

    fn replace<'a>(&'a self, reseal: &'a Reseal) -> BoxFuture<'a, Result<(), SealError>> {
        Box::pin(self.0.replace(reseal))
    }

    fn examine(
        &self,
        snapshot: SnapshotFile,
        origin: Option<Arc<dyn Barrier>>,
    ) -> BoxFuture<'_, Result<(SnapshotInfo, SnapshotFile), SnapshotError>> {
        Box::pin(self.0.examine(snapshot, origin))
    }

    fn restore(&self, snapshot: SnapshotFile) -> BoxFuture<'_, Result<SealConfig, SnapshotError>> {
        Box::pin(self.0.restore(snapshot))
    }

    fn storage_kind(&self) -> &'static str {
        self.0.storage_kind()
    }
}

fn check_numbers(shares: u8, threshold: u8) -> Result<(), SealError> {
    let wrong = match (shares, threshold) {
        (0, _) => "at least one share is needed",
        (_, 0) => "the threshold must be at least 1",
        (shares, threshold) if threshold > shares => "the threshold cannot be higher than the number of shares",
        (2.., 1) => "with several shares the threshold must be at least 2, or each share alone would open the store",
        _ => return Ok(()),
    };
    Err(SealError::InvalidShares(wrong))
}

fn split(kek: &Key256, shares: u8, threshold: u8, random: &Random) -> Result<Vec<SecretBytes>, SealError> {
    if shares == 1 {
        return Ok(vec![SecretBytes::new(kek.expose_secret().to_vec())]);
    }
    let failed = Cell::new(false);
    let rng = SystemRng { random, failed: &failed };
    let parts = Gf256::split_bytes(usize::from(threshold), usize::from(shares), kek.expose_secret(), rng)
        .map(|parts| parts.into_iter().map(SecretBytes::new).collect::<Vec<_>>())
        .map_err(|_| SealError::InvalidShares("the key could not be split into that many shares"))?;
    if failed.get() {
        return Err(no_randomness());
    }
    Ok(parts.into_iter().map(index_last).collect())
}

/// The scheme's library puts the index first, operators of Vault know it last.
fn index_last(mut share: SecretBytes) -> SecretBytes {
    share.expose_secret_mut().rotate_left(1);
    share
}

pub(super) fn combine(shares: &[SecretBytes], threshold: u8) -> Result<Key256, SealError> {
    let wrong = |text| Err(SealError::WrongKey(text));
    if shares.len() < usize::from(threshold) {
        return wrong("there are fewer shares than the threshold; provide more");
    }
    if let (1, [kek, ..]) = (threshold, shares) {
        return Key256::from_slice(kek.expose_secret()).ok_or(SealError::WrongKey(WRONG_LENGTH));
    }
    if shares.iter().any(|share| share.len() != SHARE_LEN) {
        return wrong(WRONG_LENGTH);
    }
    let index = |share: &SecretBytes| share.expose_secret()[KEY_LEN];
    if shares.iter().any(|share| index(share) == 0) {
        return wrong("a share is mistyped: its last byte is never zero");
    }
    if shares.iter().enumerate().any(|(at, share)| shares[..at].iter().any(|other| index(other) == index(share))) {
        return wrong("the same share was given twice; each must come from another holder");
    }
    let index_first = Zeroizing::new(shares.iter().map(index_first).collect::<Vec<_>>());
    let kek = Gf256::combine_bytes(&*index_first).map(SecretBytes::new);
    let kek = kek.ok().and_then(|kek| Key256::from_slice(kek.expose_secret()));
    kek.ok_or(SealError::WrongKey("the shares do not belong together"))
}

fn index_first(share: &SecretBytes) -> Vec<u8> {
    let mut bytes = share.expose_secret().to_vec();
    bytes.rotate_right(1);
    bytes
}

const WRONG_LENGTH: &str = "a share has the wrong length; it must be given whole, as it was printed";

/// The operating system's randomness as the splitting library asks for it: a source that cannot fail. Should it fail
/// all the same, that is noted, and what was made with it is thrown away.
struct SystemRng<'a> {
    random: &'a Random,
    failed: &'a Cell<bool>,
}

impl SystemRng<'_> {
    fn draw<const N: usize>(&self) -> [u8; N] {
        self.random.bytes().unwrap_or_else(|_| {
            self.failed.set(true);
            [0; N]
        })
    }
}

impl rand_core::TryRng for SystemRng<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes(self.draw()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes(self.draw()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        if self.random.fill(out).is_err() {
            self.failed.set(true);
        }
        Ok(())
    }
}

impl rand_core::TryCryptoRng for SystemRng<'_> {}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::subsequence};

    use super::*;

    fn numbers() -> impl Strategy<Value = (u8, u8, Vec<usize>)> {
        (2_u8..=12).prop_flat_map(|shares| (Just(shares), 2..=shares)).prop_flat_map(|(shares, threshold)| {
            let all: Vec<usize> = (0..usize::from(shares)).collect();
            (
                Just(shares),
                Just(threshold),
                subsequence(all, usize::from(threshold)..=usize::from(shares)).prop_shuffle(),
            )
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_threshold_of_shares_in_any_order_gives_the_key((shares, threshold, chosen) in numbers()) {
            let kek = Random::default().key().expect("key");
            let parts = split(&kek, shares, threshold, &Random::default()).expect("split");
            prop_assert_eq!(parts.len(), usize::from(shares));
            let brought: Vec<_> = chosen.iter().map(|index| parts[*index].clone()).collect();
            let combined = combine(&brought, threshold).expect("combine");
            prop_assert_eq!(combined.expose_secret(), kek.expose_secret());
            let few = &brought[..usize::from(threshold) - 1];
            prop_assert!(matches!(combine(few, threshold), Err(SealError::WrongKey(_))));
            // Fewer shares that pretend to be enough give another key, not a part of this one.
            if few.len() > 1 {
                let guess = combine(few, threshold - 1).expect("combine");
                prop_assert_ne!(guess.expose_secret(), kek.expose_secret());
            }
        }
    }

    #[test]
    fn the_most_shares_work() {
        let kek = Random::default().key().expect("key");
        let parts = split(&kek, 255, 255, &Random::default()).expect("split");
        assert_eq!(combine(&parts, 255).expect("combine").expose_secret(), kek.expose_secret());
    }

    #[test]
    fn numbers_out_of_bounds_are_refused_with_the_reason() {
        for (shares, threshold, word) in [(0, 0, "one share"), (3, 0, "at least 1"), (2, 3, "higher"), (2, 1, "alone")]
        {
            let refused = check_numbers(shares, threshold).expect_err("refused").to_string();
            assert!(refused.contains(word), "{shares}/{threshold}: {refused}");
        }
        for (shares, threshold) in [(1, 1), (2, 2), (5, 3), (255, 255)] {
            check_numbers(shares, threshold).expect("allowed");
        }
    }

    #[test]
    fn bad_shares_are_named() {
        let kek = Random::default().key().expect("key");
        let parts = split(&kek, 3, 2, &Random::default()).expect("split");
        let cut = SecretBytes::new(parts[1].expose_secret()[..KEY_LEN].to_vec());
        let mut zero = parts[1].clone();
        zero.expose_secret_mut()[KEY_LEN] = 0;
        for (other, word) in [(parts[0].clone(), "twice"), (cut, "length"), (zero, "mistyped")] {
            let refused = combine(&[parts[0].clone(), other], 2).expect_err("refused").to_string();
            assert!(refused.contains(word), "{refused}");
        }
    }
}
