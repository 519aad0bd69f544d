//! The policies that are always there, and what may be done to a policy by name.

use super::Policy;

/// The policy that grants everything. It has no text and stands alone in a token.
pub const ROOT: &str = "root";

/// The policy that every token gets unless told otherwise; it may be edited, not deleted.
pub const DEFAULT: &str = "default";

/// The policy of wrapping tokens; nobody edits or assigns it.
pub const RESPONSE_WRAPPING: &str = "response-wrapping";

/// The longest name of a policy in bytes.
pub const MAX_NAME_BYTES: usize = 512;

/// The text that [`DEFAULT`] starts with: the same grants as Vault's.
pub const DEFAULT_TEXT: &str = r#"# What any token may do for itself.

# Its own properties, renewal and revocation.
path "auth/token/lookup-self" {
    capabilities = ["read"]
}
path "auth/token/renew-self" {
    capabilities = ["update"]
}
path "auth/token/revoke-self" {
    capabilities = ["update"]
}

# Its own capabilities on a path.
path "sys/capabilities-self" {
    capabilities = ["update"]
}

# Its own entity, by id or by name.
path "identity/entity/id/{{identity.entity.id}}" {
    capabilities = ["read"]
}
path "identity/entity/name/{{identity.entity.name}}" {
    capabilities = ["read"]
}

# All its rules in one, for user interfaces. The format of the answer may change.
path "sys/internal/ui/resultant-acl" {
    capabilities = ["read"]
}

# Renewing a lease and looking it up; both need its id. The first path is for older clients.
path "sys/renew" {
    capabilities = ["update"]
}
path "sys/leases/renew" {
    capabilities = ["update"]
}
path "sys/leases/lookup" {
    capabilities = ["update"]
}

# Its own cubbyhole.
path "cubbyhole/*" {
    capabilities = ["create", "read", "update", "delete", "list"]
}

# Wrapping values, looking at a wrapping token, unwrapping it.
path "sys/wrapping/wrap" {
    capabilities = ["update"]
}
path "sys/wrapping/lookup" {
    capabilities = ["update"]
}
path "sys/wrapping/unwrap" {
    capabilities = ["update"]
}

# Hashing.
path "sys/tools/hash" {
    capabilities = ["update"]
}
path "sys/tools/hash/*" {
    capabilities = ["update"]
}

# Authorizing at an OIDC provider.
path "identity/oidc/provider/+/authorize" {
    capabilities = ["read", "update"]
}
"#;

/// The text of [`RESPONSE_WRAPPING`].
pub const RESPONSE_WRAPPING_TEXT: &str = r#"path "cubbyhole/response" {
    capabilities = ["create", "read"]
}
path "sys/wrapping/unwrap" {
    capabilities = ["update"]
}
"#;

/// What somebody wants to do with a policy name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameUse {
    /// Reading its text.
    Read,
    /// Creating or editing it.
    Write,
    /// Deleting it.
    Delete,
    /// Giving it to a token. That [`ROOT`] goes to root's own children only, and alone, is for the caller to check.
    Assign,
}

/// A name that cannot be used so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No name.
    #[error("policy name missing: give the name in the path")]
    Empty,
    /// Over [`MAX_NAME_BYTES`].
    #[error("a policy name of {bytes} bytes is too long: at most {MAX_NAME_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A control character, or a comma, which separates names in lists.
    #[error("a policy name cannot hold {found:?}: use letters, digits, '-', '_', '.' and '/'")]
    BadCharacter {
        /// The first such character.
        found: char,
    },
    /// Nobody edits it.
    #[error("cannot update {name:?} policy: it is built in; write a policy of another name")]
    Immutable {
        /// The policy.
        name: &'static str,
    },
    /// Nobody deletes it.
    #[error("cannot delete {name} policy: it is built in")]
    Undeletable {
        /// The policy.
        name: &'static str,
    },
    /// It is the scope of tokens, which the server makes by itself.
    #[error("a policy name cannot begin with \"config-scope:\": such policies are made with the tokens of configs")]
    Reserved,
    /// No token gets it but by wrapping.
    #[error("cannot assign policy {name:?}: it is for wrapping tokens alone")]
    Unassignable {
        /// The policy.
        name: &'static str,
    },
}

/// Checks `name` for `purpose` and gives it as it is stored: trimmed and in lower case.
///
/// # Errors
/// When the name is empty, too long or holds a forbidden character, or when a built-in policy is in the way.
pub fn validate_name(name: &str, purpose: NameUse) -> Result<String, NameError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong { bytes: name.len() });
    }
    if let Some(found) = name.chars().find(|c| c.is_control() || *c == ',') {
        return Err(NameError::BadCharacter { found });
    }
    let name = name.to_lowercase();
    if purpose != NameUse::Read && crate::project::is_scope(&name) {
        return Err(NameError::Reserved);
    }
    let built_in = [ROOT, DEFAULT, RESPONSE_WRAPPING].into_iter().find(|built_in| *built_in == name);
    match (built_in, purpose) {
        (Some(name @ (ROOT | RESPONSE_WRAPPING)), NameUse::Write) => Err(NameError::Immutable { name }),
        (Some(name), NameUse::Delete) => Err(NameError::Undeletable { name }),
        (Some(name @ RESPONSE_WRAPPING), NameUse::Assign) => Err(NameError::Unassignable { name }),
        _ => Ok(name),
    }
}

impl Policy {
    /// The policy that grants everything; the only way to one that does.
    #[must_use]
    pub fn root() -> Self {
        Self { root: true, ..Self::with_rules(ROOT, Vec::new()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_texts_parse() {
        assert_eq!(Policy::parse(DEFAULT, DEFAULT_TEXT).unwrap().rules().len(), 17);
        assert_eq!(Policy::parse(RESPONSE_WRAPPING, RESPONSE_WRAPPING_TEXT).unwrap().rules().len(), 2);
    }

    #[test]
    fn names_are_folded_and_built_in_ones_guarded() {
        use NameUse::{Assign, Delete, Read, Write};
        let ok = |name, purpose| validate_name(name, purpose).ok();
        assert_eq!(ok(" Team/DB-Ro ", Write).as_deref(), Some("team/db-ro"));
        for (name, allowed) in [
            ("Root", [true, false, false, true]),
            ("DEFAULT", [true, true, false, true]),
            (" response-Wrapping", [true, false, false, false]),
            ("other", [true; 4]),
            ("Config-Scope:read:secret/a/b", [true, false, false, false]),
        ] {
            assert_eq!([Read, Write, Delete, Assign].map(|purpose| ok(name, purpose).is_some()), allowed, "{name}");
        }
    }

    #[test]
    fn bad_names_are_refused() {
        for name in ["", "  ", "a,b", "a\0", "a\nb", &"a".repeat(MAX_NAME_BYTES + 1)] {
            assert!(validate_name(name, NameUse::Write).is_err(), "{name:?}");
        }
        assert!(validate_name(&"a".repeat(MAX_NAME_BYTES), NameUse::Write).is_ok());
    }
}
