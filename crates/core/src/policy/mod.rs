//! Vault's ACL policies: the language, and the engine that decides by it. Pure: no I/O, no clock, no locks.
//!
//! [`Policy::parse`] turns text into rules, [`Acl::compile`] the policies of a token into an [`Acl`], and
//! [`Acl::allows`] answers one request with a [`Decision`].

mod acl;
pub mod builtin;
mod capability;
mod constraint;
mod error;
mod hcl;
mod index;
mod operation;
mod parse;
mod pattern;
mod resultant;
mod template;
pub(crate) mod tree;

#[cfg(test)]
mod tests;

pub use acl::{Acl, AclAsk, Decision, DenyReason, Grant};
pub use capability::{Capabilities, Capability};
pub use constraint::{Constraints, ParameterValues};
pub use error::{Line, PolicyError};
pub use operation::Operation;
pub use parse::{MAX_DEPTH, MAX_POLICY_BYTES};
pub use pattern::PatternError;
pub use resultant::{Resultant, ResultantRule};
pub use template::Values;

use pattern::PathPattern;

/// A parsed policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    name: String,
    rules: Vec<PathRule>,
    root: bool,
}

impl Policy {
    fn with_rules(name: &str, rules: Vec<PathRule>) -> Self {
        Self { name: name.to_owned(), rules, root: false }
    }

    /// What it is stored as.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its stanzas, in the order of the text; several may have the same path.
    #[must_use]
    pub fn rules(&self) -> &[PathRule] {
        &self.rules
    }

    /// Whether it grants everything, which only [`Policy::root`] does.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.root
    }

    /// Whether a stanza waits for an identity to fill in its `{{…}}`.
    #[must_use]
    pub fn is_templated(&self) -> bool {
        self.rules.iter().any(PathRule::is_templated)
    }
}

/// One stanza of a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct PathRule {
    path: String,
    pattern: PathPattern,
    capabilities: Capabilities,
    constraints: Constraints,
}

impl PathRule {
    /// The path as written, wildcards, templates and leading slash included.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What it grants.
    #[must_use]
    pub const fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// What it demands of a request beyond the capability.
    #[must_use]
    pub const fn constraints(&self) -> &Constraints {
        &self.constraints
    }

    /// Whether the path holds `{{…}}`.
    #[must_use]
    pub const fn is_templated(&self) -> bool {
        matches!(self.pattern, PathPattern::Templated(_))
    }
}
