//! What is stored of identities, and the rules for what may be written into them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::IdentityError;
use crate::{
    clock::{Timestamp, nanos},
    policy::builtin::{NameUse, ROOT, validate_name},
    token::sanitize_policies,
};

/// The longest name of an entity, a group or an alias, in bytes.
pub const MAX_NAME_LEN: usize = 512;

/// Policies of one entity or group at the most.
const MAX_POLICIES: usize = 256;

/// Entries of a map of metadata at the most, and the longest key and value in bytes: Vault's bounds.
const MAX_META: usize = 64;
const MAX_META_KEY: usize = 128;
const MAX_META_VALUE: usize = 512;

/// Somebody or something that may have tokens, under whatever names auth methods know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// A UUID; never used again.
    pub id: String,
    /// Unique, whatever the case of its letters.
    pub name: String,
    /// What its tokens have besides their own policies; sorted.
    pub policies: Vec<String>,
    /// For people and templates.
    pub metadata: BTreeMap<String, String>,
    /// Whether its tokens are refused.
    pub disabled: bool,
    /// The names that auth methods know it by; at most one a mount.
    pub aliases: Vec<Alias>,
    /// The entities that became part of it: their tokens count as its own.
    pub merged_ids: Vec<String>,
    /// When it was made.
    #[serde(with = "nanos")]
    pub created: Timestamp,
    /// When it or one of its aliases last changed.
    #[serde(with = "nanos")]
    pub updated: Timestamp,
}

impl Entity {
    pub(super) fn new(id: String, name: String, now: Timestamp) -> Self {
        Self {
            id,
            name,
            policies: Vec::new(),
            metadata: BTreeMap::new(),
            disabled: false,
            aliases: Vec::new(),
            merged_ids: Vec::new(),
            created: now,
            updated: now,
        }
    }

    /// Its alias at a mount.
    #[must_use]
    pub fn alias_at(&self, accessor: &str) -> Option<&Alias> {
        self.aliases.iter().find(|alias| alias.mount_accessor == accessor)
    }
}

/// A name by which an auth method knows an entity or an external group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// A UUID; never used again.
    pub id: String,
    /// The entity or group that it belongs to.
    pub canonical_id: String,
    /// The accessor of the auth method's mount.
    pub mount_accessor: String,
    /// Unique at its mount, whatever the case of its letters.
    pub name: String,
    /// What the method knows; replaced at each login.
    pub metadata: BTreeMap<String, String>,
    /// What administrators noted.
    pub custom_metadata: BTreeMap<String, String>,
    /// Whether its mount is local to a cluster.
    pub local: bool,
    /// The entities that it belonged to before they were merged.
    pub merged_from: Vec<String>,
    /// When it was made.
    #[serde(with = "nanos")]
    pub created: Timestamp,
    /// When it last changed.
    #[serde(with = "nanos")]
    pub updated: Timestamp,
}

/// Whom a group is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupKind {
    /// Whom administrators put into it.
    Internal,
    /// Whom an auth method says to be in it, at their login.
    External,
}

impl GroupKind {
    /// The name that clients know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::External => "external",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Internal, Self::External].into_iter().find(|kind| kind.name() == name)
    }
}

/// A group of entities and of groups. Its entities are records of their own, so that a login changes one of them, however
/// large the group is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// A UUID; never used again.
    pub id: String,
    /// Unique, whatever the case of its letters.
    pub name: String,
    /// Internal or external.
    pub kind: GroupKind,
    /// What tokens of its members have besides their own policies; sorted.
    pub policies: Vec<String>,
    /// For people and templates.
    pub metadata: BTreeMap<String, String>,
    /// The groups that it is a member of; no circles.
    pub parent_ids: Vec<String>,
    /// An external group's name at its auth method.
    pub alias: Option<Alias>,
    /// How often it was changed.
    pub modify_index: u64,
    /// When it was made.
    #[serde(with = "nanos")]
    pub created: Timestamp,
    /// When it last changed.
    #[serde(with = "nanos")]
    pub updated: Timestamp,
}

impl Group {
    pub(super) fn new(id: String, name: String, kind: GroupKind, now: Timestamp) -> Self {
        Self {
            id,
            name,
            kind,
            policies: Vec::new(),
            metadata: BTreeMap::new(),
            parent_ids: Vec::new(),
            alias: None,
            modify_index: 0,
            created: now,
            updated: now,
        }
    }

    pub(super) fn touch(&mut self, now: Timestamp) {
        self.updated = now;
        self.modify_index += 1;
    }
}

/// Checks a name that somebody gives to an entity, a group or an alias.
pub(super) fn check_name(name: &str) -> Result<(), IdentityError> {
    if name.is_empty() || name.len() > MAX_NAME_LEN || name.contains(char::is_control) {
        return Err(IdentityError::invalid(format!(
            "a name must have 1 to {MAX_NAME_LEN} bytes and no control characters"
        )));
    }
    Ok(())
}

/// Policies as they are kept: in lower case, sorted, none twice. No identity gives `root`.
pub(super) fn clean_policies(given: &[String]) -> Result<Vec<String>, IdentityError> {
    let policies = sanitize_policies(given, false);
    if policies.iter().any(|name| name == ROOT) {
        return Err(IdentityError::invalid("policies cannot contain root"));
    }
    if policies.len() > MAX_POLICIES {
        return Err(IdentityError::invalid(format!("at most {MAX_POLICIES} policies")));
    }
    for name in &policies {
        validate_name(name, NameUse::Assign).map_err(|error| IdentityError::invalid(error.to_string()))?;
    }
    Ok(policies)
}

/// Checks metadata that somebody gives; `what` names it in the error.
pub(super) fn check_metadata(what: &str, metadata: &BTreeMap<String, String>) -> Result<(), IdentityError> {
    let invalid = |problem: String| Err(IdentityError::invalid(format!("invalid {what} metadata: {problem}")));
    if metadata.len() > MAX_META {
        return invalid(format!("metadata cannot contain more than {MAX_META} key/value pairs"));
    }
    for (key, value) in metadata {
        let is_word = |c: char| c.is_ascii_alphanumeric() || "=/+_-.".contains(c);
        if key.is_empty() || key.len() > MAX_META_KEY || !key.chars().all(is_word) {
            return invalid(format!("a key must have 1 to {MAX_META_KEY} letters, digits and characters of =/+_-."));
        }
        if value.len() > MAX_META_VALUE {
            return invalid(format!("value is too long (limit: {MAX_META_VALUE} characters)"));
        }
    }
    Ok(())
}
