//! Randomness for keys, tokens and identifiers: AWS-LC's generator, which the operating system seeds.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use crate::secret::{Key256, SecretString};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The operating system could not give randomness. Nothing can be created safely without it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the operating system's random source failed")]
pub struct RandomError;

/// The one home of randomness.
#[derive(Debug, Clone, Default)]
pub struct Random(SystemRandom);

impl Random {
    /// Fills `buffer`.
    ///
    /// # Errors
    /// When the operating system's source fails.
    pub fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        self.0.fill(buffer).map_err(|_| RandomError)
    }

    /// `N` random bytes.
    ///
    /// # Errors
    /// When the operating system's source fails.
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], RandomError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// A fresh 256-bit key.
    ///
    /// # Errors
    /// When the operating system's source fails.
    pub fn key(&self) -> Result<Key256, RandomError> {
        self.bytes().map(Key256::new)
    }

    /// `length` letters and digits, each of the 62 equally likely (5.95 bits a character).
    ///
    /// # Errors
    /// When the operating system's source fails.
    pub fn base62(&self, length: usize) -> Result<SecretString, RandomError> {
        let mut text = String::with_capacity(length);
        while text.len() < length {
            // 248 is the largest multiple of 62 in a byte: rejecting the rest keeps the draw uniform.
            let draw: [u8; 32] = self.bytes()?;
            let room = length - text.len();
            text.extend(
                draw.iter()
                    .filter(|byte| **byte < 248)
                    .take(room)
                    .map(|byte| char::from(BASE62[usize::from(byte % 62)])),
            );
        }
        Ok(SecretString::new(text))
    }

    /// `length` of A to Z and 2 to 7, each of the 32 equally likely (5 bits a character); for ids that are no secrets.
    ///
    /// # Errors
    /// When the operating system's source fails.
    pub fn base32(&self, length: usize) -> Result<String, RandomError> {
        let mut draw = vec![0; length];
        self.fill(&mut draw)?;
        Ok(base32(&draw))
    }

    /// A version 4 UUID (RFC 9562).
    ///
    /// # Errors
    /// When the operating system's source fails.
    pub fn uuid(&self) -> Result<uuid::Uuid, RandomError> {
        Ok(uuid::Builder::from_random_bytes(self.bytes()?).into_uuid())
    }
}

/// One of A to Z and 2 to 7 for each byte.
pub(crate) fn base32(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(BASE32[usize::from(byte % 32)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base62_has_the_length_asked_for_and_no_other_character() {
        let text = Random::default().base62(241).expect("random");
        assert_eq!(text.len(), 241);
        assert!(text.expose_secret().bytes().all(|byte| BASE62.contains(&byte)));
    }
}
