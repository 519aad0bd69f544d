//! What a config shows: the fields of its secret as names and texts, with those that it inherits, and with references
//! to other secrets resolved.
//!
//! ```text
//! permit for MOUNT/data/PROJECT/CONFIG -> Reading: the config and those that it inherits from
//!     advance -> another config that references lead to -> the door -> grant or deny -> advance …
//!     etag    from the versions of all that is involved; no payload is opened for it
//!     load    -> values
//! ```
//!
//! What a config inherits was decided when its structure was made, so it shows to all who may read the config. What it
//! refers to does not: each config that a reference leads to is asked about at the door, for the caller. That goes by
//! names: which names a version has and what they refer to is remembered (`Outline`), never a value.
//!
//! A text payload is the one secret `VALUE`. A field that is no text shows as its JSON. Names that could not stand in
//! an environment are not shown, and no write touches them.

mod content;
mod direct;
mod dynamic;
mod edit;
mod fresh;
mod notes;
mod planned;
mod reading;
mod reference;
mod resolve;
mod rotated;
mod values;
mod watch;

pub use content::{FieldMark, Fields, Visibility, is_shown};
pub use direct::Direct;
pub use dynamic::Dynamic;
pub use edit::{FieldsWrite, Written};
pub use reading::Reading;
pub use reference::{MAX_SECRET_NAME, Part, Reference, is_secret_name, parts, references};
pub use resolve::{Computed, MAX_COMPUTED, MAX_DEPTH, MAX_TOTAL, Unresolved};
pub use values::{Overlay, Shown, Values};
pub use watch::{Look, Watch};

pub(crate) use content::Outlines;
pub(crate) use planned::{Planned, payload_of};

use crate::{kv::KvError, project::ConfigName, store::StoreError};

/// The name of the one secret that a text payload is.
pub const TEXT_NAME: &str = "VALUE";
/// The secrets that say which config it is; nobody can set them.
pub const MANAGED: [&str; 3] = ["DOPPLER_CONFIG", "DOPPLER_ENVIRONMENT", "DOPPLER_PROJECT"];
/// Configs that one answer draws from, at the most.
pub const MAX_CONFIGS: usize = 64;

/// A config could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such config.
    #[error("Could not find requested config '{0}'")]
    NotFound(String),
    /// The permit is for no config.
    #[error("the path names no config: it must be MOUNT/data/PROJECT/CONFIG on a kv mount of version 2")]
    NoPlace,
    /// The secret holds bytes.
    #[error(
        "the secret {}/{} holds bytes, which have no names and values: read it through the Vault or AWS API",
        .0.project, .0.config
    )]
    Bytes(ConfigName),
    /// Too many configs are involved.
    #[error("the config draws from more than {MAX_CONFIGS} configs, by references or inheritance")]
    TooMany,
    /// Somebody else changed the config meanwhile.
    #[error("the config was changed by another request meanwhile")]
    Changed,
    /// The write cannot be.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
