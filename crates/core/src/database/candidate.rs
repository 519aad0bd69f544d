//! Passwords that are persisted before they are set.
//!
//! ```text
//! candidate written beside the password -> set at the target -> candidate becomes the password
//!          |                                  |  the target says no: candidate dropped
//!          +--- a crash, or no answer --------+  candidate kept: it, or the password, is the one that works
//! ```
//!
//! What is in doubt is settled by setting the candidate once more: a target that was slow may still be about to set it,
//! so that finding it refused would not say that it stays so.

use serde::{Deserialize, Serialize};

use crate::{login::kept, secret::SecretString};

/// A password that is not known to be set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Candidate {
    #[serde(with = "kept")]
    pub(super) password: SecretString,
}

impl Candidate {
    pub(super) fn new(password: SecretString) -> Self {
        Self { password }
    }
}
