//! What a policy can grant on a path, one by one and as a set.

use std::fmt;

/// One capability of Vault's policy language
/// (<https://developer.hashicorp.com/vault/docs/concepts/policies#capabilities>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Creating what does not exist yet.
    Create,
    /// Deleting.
    Delete,
    /// Nothing at all, whatever else is granted.
    Deny,
    /// Listing names.
    List,
    /// Changing a part of what exists.
    Patch,
    /// Reading.
    Read,
    /// Root-protected paths, together with the capability that the operation needs.
    Sudo,
    /// Replacing what exists.
    Update,
}

impl Capability {
    /// Every capability, in the order in which a set lists them.
    pub const ALL: [Self; 8] =
        [Self::Create, Self::Delete, Self::Deny, Self::List, Self::Patch, Self::Read, Self::Sudo, Self::Update];

    /// The word that a policy uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Deny => "deny",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Read => "read",
            Self::Sudo => "sudo",
            Self::Update => "update",
        }
    }

    /// The capability that `word` names, exactly as written: lower case, no blanks.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.as_str() == word)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of capabilities. [`Capability::Deny`] swallows all others, so a set that denies grants nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Capabilities(u8);

impl Capabilities {
    /// No capability: neither granted nor explicitly denied.
    pub const NONE: Self = Self(0);

    /// Both sets together; if either denies, the result denies.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        let both = Self(self.0 | other.0);
        if both.denies() { Self(Capability::Deny.bit()) } else { both }
    }

    /// This set with `capability` in it.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        self.union(Self(capability.bit()))
    }

    /// Whether `capability` is in the set.
    #[must_use]
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// Whether the set is an explicit deny.
    #[must_use]
    pub const fn denies(self) -> bool {
        self.contains(Capability::Deny)
    }

    /// Whether anything at all is granted.
    #[must_use]
    pub const fn grants_any(self) -> bool {
        !self.denies() && self.0 != 0
    }

    /// The words as `sys/capabilities` lists them: sorted; `deny` alone where nothing is granted.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        if !self.grants_any() {
            return vec![Capability::Deny.as_str()];
        }
        Capability::ALL.into_iter().filter(|capability| self.contains(*capability)).map(Capability::as_str).collect()
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        capabilities.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Capability::ALL.into_iter().filter(|capability| self.contains(*capability))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_exact() {
        for capability in Capability::ALL {
            assert_eq!(Capability::parse(capability.as_str()), Some(capability));
        }
        for word in ["", "Read", " read", "root", "scan", "write"] {
            assert_eq!(Capability::parse(word), None, "{word}");
        }
    }

    #[test]
    fn a_set_lists_its_words_sorted() {
        let set: Capabilities =
            [Capability::Update, Capability::Sudo, Capability::Create, Capability::Read].into_iter().collect();
        assert_eq!(set.names(), ["create", "read", "sudo", "update"]);
        assert!(Capability::ALL.is_sorted_by_key(|capability| capability.as_str()));
    }

    #[test]
    fn deny_swallows_the_rest_and_nothing_reads_as_deny() {
        let read = Capabilities::NONE.with(Capability::Read);
        let denied = read.with(Capability::Deny).with(Capability::Sudo);
        assert_eq!(denied, Capabilities::NONE.with(Capability::Deny));
        assert!(!denied.grants_any() && !denied.contains(Capability::Read));
        assert_eq!(denied.names(), ["deny"]);
        assert_eq!(Capabilities::NONE.names(), ["deny"]);
        assert!(!Capabilities::NONE.denies());
    }
}
