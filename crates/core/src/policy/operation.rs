//! What a request does, as policies and the audit log see it.

use std::fmt;

use super::capability::Capability;

/// The operation of one request. The door decides it from the method and, for a write, from whether the engine
/// already holds something there ([`Operation::Create`] or [`Operation::Update`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Writing something new.
    Create,
    /// Reading.
    Read,
    /// Writing over something.
    Update,
    /// Deleting.
    Delete,
    /// Listing names.
    List,
    /// Changing a part.
    Patch,
    /// Asking for help on a path; always allowed.
    Help,
    /// Renewing a lease.
    Renew,
    /// Revoking a lease.
    Revoke,
    /// Undoing an unfinished change.
    Rollback,
}

impl Operation {
    /// The capability that a policy must grant for this operation; `None` where none is needed.
    #[must_use]
    pub const fn capability(self) -> Option<Capability> {
        match self {
            Self::Create => Some(Capability::Create),
            Self::Read => Some(Capability::Read),
            Self::Update | Self::Renew | Self::Revoke | Self::Rollback => Some(Capability::Update),
            Self::Delete => Some(Capability::Delete),
            Self::List => Some(Capability::List),
            Self::Patch => Some(Capability::Patch),
            Self::Help => None,
        }
    }

    /// Whether a policy's parameter rules apply. A delete or a list carries no parameters that they could limit.
    #[must_use]
    pub const fn takes_parameters(self) -> bool {
        matches!(self, Self::Create | Self::Read | Self::Update | Self::Patch)
    }

    /// The word that Vault's audit log uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Help => "help",
            Self::Renew => "renew",
            Self::Revoke => "revoke",
            Self::Rollback => "rollback",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
