//! The system's own routes. `sys/init` and `sys/seal-status` answer without the envelope.

use std::collections::BTreeMap;

use keyturn_core::secret::SecretString;
use serde::Deserialize;

/// `GET sys/seal-status`, and the answer to each share given to `sys/unseal`.
#[derive(Debug, Deserialize)]
pub struct SealStatus {
    /// `shamir` or the name of an automatic seal.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Whether `sys/init` was ever done.
    #[serde(default)]
    pub initialized: bool,
    /// Whether the store is locked.
    pub sealed: bool,
    /// How many shares open it.
    #[serde(default)]
    pub t: u64,
    /// How many shares there are.
    #[serde(default)]
    pub n: u64,
    /// How many shares were given so far.
    #[serde(default)]
    pub progress: u64,
    /// The server's version.
    #[serde(default)]
    pub version: String,
    /// What keeps the data.
    #[serde(default)]
    pub storage_type: String,
}

/// The answer to `PUT sys/init`: shown once, kept nowhere.
#[derive(Debug, Deserialize)]
pub struct Initialized {
    /// The unseal shares in hex.
    #[serde(default)]
    pub keys: Vec<SecretString>,
    /// The same shares in base64.
    #[serde(default)]
    pub keys_base64: Vec<SecretString>,
    /// The first token, which may do everything.
    pub root_token: SecretString,
}

/// The `data` of `GET sys/internal/ui/mounts/<path>`: which mount serves a path.
#[derive(Debug, Deserialize)]
pub struct MountInfo {
    /// The mount's path with its closing `/`.
    pub path: String,
    /// The engine's settings; `version` is `"2"` for a key-value engine with versions.
    pub options: Option<BTreeMap<String, String>>,
}

/// The answers of `sys/rekey/…`: how far a rekey or its verification is, and at its end the new shares.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Rekey {
    /// Names the ceremony, or the verification that the answer is about.
    pub nonce: String,
    /// Whether there is one under way.
    pub started: bool,
    /// How many of the new shares will open the store.
    pub t: u64,
    /// How many new shares there will be.
    pub n: u64,
    /// How many shares were given so far.
    pub progress: u64,
    /// How many are needed.
    pub required: u64,
    /// Whether the new shares must be given back before they are in force.
    pub verification_required: bool,
    /// Names the verification that is waited for; empty if none is.
    pub verification_nonce: String,
    /// Whether this was the last step.
    pub complete: bool,
    /// The new shares in base64.
    pub keys_base64: Vec<SecretString>,
}

/// The answers of `sys/generate-root/…`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RootGeneration {
    /// Names the ceremony.
    pub nonce: String,
    /// Whether there is one under way.
    pub started: bool,
    /// How many shares were given so far.
    pub progress: u64,
    /// How many are needed.
    pub required: u64,
    /// Whether this was the last step.
    pub complete: bool,
    /// The token, combined with the one-time password.
    pub encoded_token: String,
    /// The one-time password, if the server made it.
    pub otp: SecretString,
}
