//! The record `core/seal`; its layout is drawn in the header of the module above.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, SHA256_OUTPUT_LEN, digest},
    error::Unspecified,
    hkdf,
};
use keyturn_core::{
    barrier::BarrierError,
    random::Random,
    seal::{SealConfig, SealError, SealKind},
    secret::{Key256, SecretBytes},
};

use super::no_randomness;

const MAGIC: &[u8; 12] = b"keyturn-seal";
const FORMAT: u8 = 1;
const ID_LEN: usize = 36;
const CLEAR_LEN: usize = MAGIC.len() + 4 + ID_LEN;
const ROOT_LEN: usize = 32;
const WRAPPED_LEN: usize = ROOT_LEN + MAX_TAG_LEN;
const SUMMED_LEN: usize = CLEAR_LEN + NONCE_LEN + WRAPPED_LEN;
const RECORD_LEN: usize = SUMMED_LEN + SHA256_OUTPUT_LEN;

/// What is known of a store's seal without any key.
pub(super) struct SealRecord {
    pub(super) kind: SealKind,
    pub(super) shares: u8,
    pub(super) threshold: u8,
    store_id: String,
    nonce: [u8; NONCE_LEN],
    wrapped: [u8; WRAPPED_LEN],
}

impl SealRecord {
    /// Wraps `root` under `kek`.
    pub(super) fn wrap(
        kind: SealKind,
        shares: u8,
        threshold: u8,
        store_id: &str,
        kek: &Key256,
        root: &Key256,
        random: &Random,
    ) -> Result<Self, SealError> {
        let nonce = random.bytes().map_err(|_| no_randomness())?;
        let wrapped = [0; WRAPPED_LEN];
        let mut record = Self { kind, shares, threshold, store_id: store_id.to_owned(), nonce, wrapped };
        let clear = record.clear();
        let (body, tag) = record.wrapped.split_at_mut(ROOT_LEN);
        let nonce = Nonce::assume_unique_for_key(nonce);
        wrapping_key(kek)
            .and_then(|key| {
                key.seal_out_of_place_scatter(nonce, Aad::from(&clear), root.expose_secret(), body, &[], tag)
            })
            .map_err(|Unspecified| BarrierError::Seal("the root key could not be wrapped"))?;
        Ok(record)
    }

    /// The root key, if `kek` is the one that wrapped it.
    pub(super) fn unwrap(&self, kek: &Key256) -> Result<Option<Key256>, SealError> {
        let key = wrapping_key(kek).map_err(|Unspecified| BarrierError::Seal("the cipher refused its key"))?;
        let (body, tag) = self.wrapped.split_at(ROOT_LEN);
        let mut root = SecretBytes::new(vec![0; ROOT_LEN]);
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        match key.open_separate_gather(nonce, Aad::from(self.clear()), body, tag, root.expose_secret_mut()) {
            Ok(()) => Ok(Key256::from_slice(root.expose_secret())),
            Err(Unspecified) => Ok(None),
        }
    }

    /// The same store's record under another key: `root` is what [`SealRecord::unwrap`] gave.
    pub(super) fn rewrap(
        &self,
        kind: SealKind,
        shares: u8,
        threshold: u8,
        kek: &Key256,
        root: &Key256,
        random: &Random,
    ) -> Result<Self, SealError> {
        Self::wrap(kind, shares, threshold, &self.store_id, kek, root, random)
    }

    /// What the store says about its seal.
    pub(super) fn config(&self) -> SealConfig {
        let Self { kind, shares, threshold, .. } = *self;
        SealConfig { kind, shares, threshold, store_id: self.store_id.clone() }
    }

    /// The stored form.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = [self.clear().as_slice(), &self.nonce, &self.wrapped].concat();
        bytes.extend_from_slice(digest(&SHA256, &bytes).as_ref());
        bytes
    }

    /// Reads the stored form.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, SealError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| unusable("is not one of keyturn's"))?;
        match rest.first() {
            Some(&FORMAT) => {}
            Some(&newer) if newer > FORMAT => {
                return Err(SealError::Unusable(format!(
                    "the store's seal (core/seal) has format {newer} and this version of keyturn reads {FORMAT}; \
                     upgrade keyturn"
                )));
            }
            _ => return Err(unusable(DAMAGED)),
        }
        let (summed, sum) = bytes.split_at_checked(SUMMED_LEN).ok_or_else(|| unusable(DAMAGED))?;
        if bytes.len() != RECORD_LEN || digest(&SHA256, summed).as_ref() != sum {
            return Err(unusable(DAMAGED));
        }
        Self::fields(&summed[MAGIC.len() + 1..]).ok_or_else(|| unusable(DAMAGED))
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        let ([kind, shares, threshold], rest) = bytes.split_first_chunk()?;
        let (store_id, rest) = rest.split_first_chunk::<ID_LEN>()?;
        let (nonce, wrapped) = rest.split_first_chunk()?;
        let kind = match kind {
            1 => SealKind::Shamir,
            2 => SealKind::Static,
            _ => return None,
        };
        Some(Self {
            kind,
            shares: *shares,
            threshold: *threshold,
            store_id: str::from_utf8(store_id).ok()?.to_owned(),
            nonce: *nonce,
            wrapped: wrapped.try_into().ok()?,
        })
    }

    fn clear(&self) -> Vec<u8> {
        let kind = match self.kind {
            SealKind::Shamir => 1,
            SealKind::Static => 2,
        };
        let mut clear = Vec::with_capacity(CLEAR_LEN);
        clear.extend_from_slice(MAGIC);
        clear.extend_from_slice(&[FORMAT, kind, self.shares, self.threshold]);
        clear.extend_from_slice(self.store_id.as_bytes());
        clear
    }
}

const DAMAGED: &str = "is damaged";

fn unusable(what: &str) -> SealError {
    SealError::Unusable(format!("the store's seal (core/seal) {what}; restore the store from a backup"))
}

/// A KEK may serve elsewhere too, so what wraps the root key is derived from it.
fn wrapping_key(kek: &Key256) -> Result<LessSafeKey, Unspecified> {
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"keyturn/v1/kek").extract(kek.expose_secret());
    extracted.expand(&[b"keyturn/v1/seal"], &AES_256_GCM).map(|key| LessSafeKey::new(UnboundKey::from(key)))
}
