//! How records are written below the barrier: MessagePack arrays, in the order of the struct's fields.
//!
//! A record type grows by new fields at its end, each with `#[serde(default)]`; older records then read as if the
//! field held its default. Fields are never removed, reordered or skipped.

use serde::{Serialize, de::DeserializeOwned};

use crate::secret::SecretBytes;

/// A record that does not read as the type that its key promises.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The value could not be written.
    #[error("a record could not be encoded: {0}")]
    Encode(String),
    /// The stored bytes are of another shape. The message names the mismatch, never the content.
    #[error("a stored record could not be decoded: {0}")]
    Decode(&'static str),
}

/// Writes `value` as a record.
///
/// # Errors
/// When the value has a part that MessagePack cannot hold.
pub fn encode<T: Serialize>(value: &T) -> Result<SecretBytes, CodecError> {
    rmp_serde::to_vec(value).map(SecretBytes::new).map_err(|error| CodecError::Encode(error.to_string()))
}

/// Reads a record.
///
/// # Errors
/// When the bytes are not a record of type `T`.
pub fn decode<T: DeserializeOwned>(record: &SecretBytes) -> Result<T, CodecError> {
    // The decoder's own message may quote the value, so it is not passed on.
    rmp_serde::from_slice(record.expose_secret()).map_err(|_| CodecError::Decode(std::any::type_name::<T>()))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Serialize)]
    struct Old {
        name: String,
    }

    #[derive(Deserialize)]
    struct New {
        name: String,
        #[serde(default)]
        added: Option<u64>,
    }

    #[test]
    fn a_record_written_before_a_field_existed_still_reads() {
        let record = encode(&Old { name: "db".into() }).expect("encode");
        let read: New = decode(&record).expect("decode");
        assert_eq!((read.name.as_str(), read.added), ("db", None));
    }
}
