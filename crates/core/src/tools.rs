//! Small services to clients: random bytes and hashes (`sys/tools`). They touch no record.

use aws_lc_rs::digest;

use crate::{
    core::Core,
    door::Permit,
    random::{Random, RandomError},
    secret::SecretBytes,
};

/// Random bytes of one answer at the most.
pub const MAX_RANDOM_BYTES: usize = 128 * 1024;

/// Random bytes cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RandomBytesError {
    /// None were asked for.
    #[error("'bytes' cannot be less than 1")]
    TooFew,
    /// More than [`MAX_RANDOM_BYTES`].
    #[error("'bytes' should be less than {MAX_RANDOM_BYTES}")]
    TooMany,
    /// No randomness.
    #[error("the operating system's random source failed")]
    Random,
}

impl From<RandomError> for RandomBytesError {
    fn from(_: RandomError) -> Self {
        Self::Random
    }
}

/// A hash function that clients may ask for.
#[derive(Debug, Clone, Copy)]
pub struct HashAlgorithm(&'static digest::Algorithm);

impl HashAlgorithm {
    /// The names that [`HashAlgorithm::named`] knows.
    pub const NAMES: &'static [&'static str] =
        &["sha2-224", "sha2-256", "sha2-384", "sha2-512", "sha3-256", "sha3-384", "sha3-512"];

    /// The function that Vault's clients call `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(Self(match name {
            "sha2-224" => &digest::SHA224,
            "sha2-256" => &digest::SHA256,
            "sha2-384" => &digest::SHA384,
            "sha2-512" => &digest::SHA512,
            "sha3-256" => &digest::SHA3_256,
            "sha3-384" => &digest::SHA3_384,
            "sha3-512" => &digest::SHA3_512,
            _ => return None,
        }))
    }
}

impl Core {
    /// Random bytes for a client.
    ///
    /// # Errors
    /// When the number is out of bounds, or there is no randomness.
    pub fn random_bytes(&self, permit: Permit, count: u64) -> Result<SecretBytes, RandomBytesError> {
        permit.spend();
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        match count {
            0 => return Err(RandomBytesError::TooFew),
            1..=MAX_RANDOM_BYTES => {}
            _ => return Err(RandomBytesError::TooMany),
        }
        let mut bytes = SecretBytes::new(vec![0; count]);
        Random::default().fill(bytes.expose_secret_mut())?;
        Ok(bytes)
    }

    /// The hash of what a client brought.
    #[must_use]
    pub fn hash_of(&self, permit: Permit, algorithm: HashAlgorithm, input: &SecretBytes) -> Vec<u8> {
        permit.spend();
        digest::digest(algorithm.0, input.expose_secret()).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_function_of_that_size() {
        for name in HashAlgorithm::NAMES {
            let algorithm = HashAlgorithm::named(name).expect(name);
            let (_, bits) = name.split_once('-').expect("a size");
            assert_eq!(algorithm.0.output_len() * 8, bits.parse::<usize>().expect("a number"), "{name}");
        }
        assert!(HashAlgorithm::named("sha3-224").is_none() && HashAlgorithm::named("md5").is_none());
    }
}
