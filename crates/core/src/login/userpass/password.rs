//! Password hashes: Argon2id with 19 MiB of memory, two passes and one lane, as OWASP's Password Storage Cheat Sheet
//! recommends at the least (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>).
//!
//! A hash is stored as a PHC string (`$argon2id$v=19$m=19456,t=2,p=1$salt$hash`), sealed like every record. It names
//! its parameters, so that stronger ones can come without a change of what is stored.

use std::{sync::Arc, thread::available_parallelism};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

use super::MAX_PASSWORD_LEN;
use crate::secret::SecretString;

/// Bytes of salt (RFC 9106, section 3.1).
const SALT_LEN: usize = 16;

/// Hashes that are worked on at once, at the most: each takes 19 MiB and a whole core.
const MAX_WORKERS: usize = 4;

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// More than [`MAX_PASSWORD_LEN`] bytes.
    #[error("password is longer than {MAX_PASSWORD_LEN} bytes")]
    TooLong,
    /// No memory, or the server is stopping.
    #[error("a password could not be hashed: {0}")]
    Failed(String),
}

/// A password's hash, as a PHC string. Nearly as worthy of protection as the password.
#[derive(Debug, Clone)]
pub(super) struct PasswordHash(SecretString);

impl Serialize for PasswordHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

impl<'de> Deserialize<'de> for PasswordHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SecretString::deserialize(deserializer).map(Self)
    }
}

/// Hands out the right to hash, to so many at once that logins cannot exhaust memory or starve the rest.
pub(super) struct Passwords(Arc<Semaphore>);

impl Passwords {
    /// Half of the machine's cores may hash, one to [`MAX_WORKERS`].
    pub(super) fn new() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new((cores / 2).clamp(1, MAX_WORKERS))))
    }

    /// Waits for its turn.
    pub(super) async fn worker(&self) -> Result<Worker, PasswordError> {
        let turn = Arc::clone(&self.0).acquire_owned().await;
        Ok(Worker { _turn: turn.map_err(|error| PasswordError::Failed(error.to_string()))? })
    }
}

/// The right to hash one password. It ends with the work, even if nobody waits for the outcome any more.
pub(super) struct Worker {
    _turn: OwnedSemaphorePermit,
}

impl Worker {
    pub(super) async fn hash(
        self,
        password: SecretString,
        salt: [u8; SALT_LEN],
    ) -> Result<PasswordHash, PasswordError> {
        if password.len() > MAX_PASSWORD_LEN {
            return Err(PasswordError::TooLong);
        }
        self.work(move || hash(&password, salt)).await?
    }

    /// Whether `password` is the one of `hash`. Without a hash it is not, after the same work.
    pub(super) async fn verify(
        self,
        password: SecretString,
        hash: Option<PasswordHash>,
    ) -> Result<bool, PasswordError> {
        // No password that is stored is so long.
        if password.len() > MAX_PASSWORD_LEN {
            return Ok(false);
        }
        self.work(move || verify(&password, hash.as_ref())).await?
    }

    async fn work<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
        let task = spawn_blocking(move || {
            let done = work();
            drop(self);
            done
        });
        task.await.map_err(|error| PasswordError::Failed(error.to_string()))
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

fn hash(password: &SecretString, salt: [u8; SALT_LEN]) -> Result<PasswordHash, PasswordError> {
    let hashed = argon2().hash_password_with_salt(password.expose_secret().as_bytes(), &salt);
    let phc = hashed.map_err(|error| PasswordError::Failed(error.to_string()))?.to_string();
    Ok(PasswordHash(SecretString::new(phc)))
}

fn verify(password: &SecretString, known: Option<&PasswordHash>) -> Result<bool, PasswordError> {
    let Some(known) = known else {
        hash(password, [0; SALT_LEN])?;
        return Ok(false);
    };
    // Parameters and salt are taken from the hash; the comparison is constant-time.
    match argon2().verify_password(password.expose_secret().as_bytes(), known.0.expose_secret()) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(PasswordError::Failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_are_those_that_owasp_recommends() {
        let hash = hash(&"pw".into(), [7; SALT_LEN]).expect("hashed");
        assert!(hash.0.expose_secret().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(format!("{hash:?}"), "PasswordHash([REDACTED])");
    }

    #[tokio::test]
    async fn a_hash_knows_its_password_and_no_other() {
        let passwords = Passwords::new();
        let work = async || passwords.worker().await.expect("a turn");
        let hash = work().await.hash("pw".into(), [7; SALT_LEN]).await.expect("hashed");
        assert!(work().await.verify("pw".into(), Some(hash.clone())).await.expect("verified"));
        assert!(!work().await.verify("pW".into(), Some(hash)).await.expect("verified"));
        assert!(!work().await.verify("pw".into(), None).await.expect("verified"));
        let long = SecretString::new("x".repeat(MAX_PASSWORD_LEN + 1));
        assert!(matches!(work().await.hash(long, [7; SALT_LEN]).await, Err(PasswordError::TooLong)));
    }

    #[tokio::test]
    async fn no_more_than_a_few_hash_at_once() {
        let passwords = Passwords::new();
        let free = passwords.0.available_permits();
        assert!((1..=MAX_WORKERS).contains(&free));
        let worker = passwords.worker().await.expect("a turn");
        assert_eq!(passwords.0.available_permits(), free - 1);
        worker.verify("pw".into(), None).await.expect("verified");
        assert_eq!(passwords.0.available_permits(), free, "the turn ends with the work");
    }
}
