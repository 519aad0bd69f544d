//! What a client of the Vault HTTP API sees in answers.
//!
//! The shapes are lenient, as a client must be: a field that is absent or that a newer server added does no harm.
//! Whatever holds a secret is held in a type that cannot print itself.
//! Source: <https://developer.hashicorp.com/vault/api-docs>.

mod envelope;
mod kv;
mod secret_json;
mod sys;

pub use envelope::{Auth, Envelope, Errors, Keys};
pub use kv::{Fields, Metadata, VersionMetadata, VersionState, Versioned};
pub use secret_json::SecretJson;
pub use sys::{Initialized, MountInfo, Rekey, RootGeneration, SealStatus};
