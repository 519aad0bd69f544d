//! Secrets that are part of a record: written below the barrier, never told.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::secret::SecretString;

pub(crate) fn serialize<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    secret.expose_secret().serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    SecretString::deserialize(deserializer)
}
