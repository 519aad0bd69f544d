//! The decision: may this request, with these policies?
//!
//! One rule decides, never several: the stanza on the exact path, else the one of highest priority that matches (see
//! [`super::pattern`]). Stanzas on the same path, from whatever policies, count as one: capabilities add up, a deny
//! wins. Nothing matching is a no.
//!
//! A list of `a/b/` also takes the rule of `a/b`, if none matches `a/b/` itself. The trailing slash goes first, so
//! that a deny on `a/b/*` cannot be dodged through a grant on `a/*`.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Policy;
use super::capability::{Capabilities, Capability};
use super::constraint::Constraints;
use super::index::WildIndex;
use super::operation::Operation;
use super::pattern::{PathPattern, WildPattern};

/// Every policy of a token, compiled; built once per change, asked per request without allocating.
#[derive(Debug)]
pub struct Acl {
    pub(super) root: bool,
    pub(super) exact: HashMap<String, Permissions>,
    pub(super) wild: WildIndex<Permissions>,
}

/// What the stanzas of one path grant together.
#[derive(Debug, Clone, Default)]
pub(super) struct Permissions {
    pub(super) capabilities: Capabilities,
    pub(super) constraints: Constraints,
}

/// One question to an [`Acl`].
#[derive(Clone, Copy)]
pub struct AclAsk<'a> {
    /// The whole path, mount included, without the API version; leading slashes do not matter.
    pub path: &'a str,
    /// What the request does there.
    pub operation: Operation,
    /// The request's parameters, `None` if there are none. Called at most once, and only if the rule that decides
    /// limits parameters: other requests need not parse their body for the decision.
    pub parameters: &'a dyn Fn() -> Option<&'a Map<String, Value>>,
    /// The TTL in seconds of the response wrapping that the request asks for; `None` or 0: no wrapping.
    pub wrap_ttl: Option<u64>,
}

/// The answer, with what it grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a decision that nobody looks at guards nothing"]
pub enum Decision {
    /// Go on, as far as the grant goes.
    Granted(Grant),
    /// No. On the wire this is always `permission denied`; the reason is for the operator.
    Denied(DenyReason),
}

/// How far a granted request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grant {
    /// By the root policy.
    pub root: bool,
    /// Root-protected paths too.
    pub sudo: bool,
    /// Shortest TTL in seconds for wrapping the response; the request keeps to it.
    pub min_wrapping_ttl: Option<u64>,
    /// Longest TTL in seconds for wrapping the response; the request keeps to it.
    pub max_wrapping_ttl: Option<u64>,
}

/// Why a request is denied. Holds nothing of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DenyReason {
    /// No stanza matches the path.
    #[error("no policy of the token has a rule for the path")]
    NoRule,
    /// The stanza that decides denies.
    #[error("a policy denies the path")]
    Explicit,
    /// The stanza that decides does not grant this capability.
    #[error("the rule for the path does not grant {0}")]
    Capability(Capability),
    /// The response must be wrapped.
    #[error("the rule for the path demands response wrapping")]
    WrappingRequired,
    /// The response may be wrapped, with another TTL.
    #[error("the rule for the path demands another response wrapping TTL")]
    WrappingTtlOutOfRange,
    /// A required parameter is absent.
    #[error("the rule for the path requires a parameter that the request lacks")]
    ParameterMissing,
    /// A parameter is denied, with this value or with any.
    #[error("the rule for the path denies a parameter of the request")]
    ParameterDenied,
    /// A parameter is not among those allowed, or not with this value.
    #[error("the rule for the path does not allow a parameter of the request, or its value")]
    ParameterNotAllowed,
}

impl Acl {
    /// Compiles `policies`. Templated stanzas are left out: no identity is there to fill them in.
    #[must_use]
    pub fn compile(policies: &[Arc<Policy>]) -> Self {
        let mut exact: HashMap<String, Permissions> = HashMap::new();
        let mut wild: HashMap<&WildPattern, Permissions> = HashMap::new();
        for rule in policies.iter().flat_map(|policy| policy.rules()) {
            let permissions = match &rule.pattern {
                PathPattern::Exact(path) => exact.entry(path.clone()).or_default(),
                PathPattern::Wild(pattern) => wild.entry(pattern).or_default(),
                PathPattern::Templated => continue,
            };
            permissions.capabilities = permissions.capabilities.union(rule.capabilities);
            permissions.constraints.merge(&rule.constraints);
        }
        let wild = wild.into_iter().map(|(pattern, permissions)| (pattern.clone(), permissions)).collect();
        Self { root: policies.iter().any(|policy| policy.is_root()), exact, wild: WildIndex::new(wild) }
    }

    /// Decides one request.
    pub fn allows(&self, ask: &AclAsk<'_>) -> Decision {
        if self.root {
            return Decision::Granted(Grant { root: true, sudo: true, ..Grant::default() });
        }
        let Some(needed) = ask.operation.capability() else {
            return Decision::Granted(Grant::default());
        };
        let Some(permissions) = self.find(ask.path, ask.operation == Operation::List) else {
            return Decision::Denied(DenyReason::NoRule);
        };
        match permissions.check(ask, needed) {
            Ok(()) => Decision::Granted(permissions.grant()),
            Err(reason) => Decision::Denied(reason),
        }
    }

    /// The capabilities on `path`, as `sys/capabilities` lists them: sorted words, `["root"]` or `["deny"]`. What a
    /// list would be granted by the path without its trailing slash counts.
    #[must_use]
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        if self.root {
            return vec!["root"];
        }
        self.find(path, true).map_or(Capabilities::NONE, |permissions| permissions.capabilities).names()
    }

    /// Whether some rule grants something at or below `mount_path` (`secret/`), so that `sys/internal/ui/mounts`
    /// may show the mount. A rule that a more specific deny shadows counts: this shows a name, it grants nothing.
    #[must_use]
    pub fn allows_anything_below(&self, mount_path: &str) -> bool {
        let mount = mount_path.trim_matches('/');
        let itself = |path: &str| self.find(path, true).is_some_and(Permissions::grants_any);
        let below = |path: &str| path.strip_prefix(mount).is_some_and(|rest| mount.is_empty() || rest.starts_with('/'));
        self.root
            || itself(&format!("{mount}/"))
            || self.exact.iter().any(|(path, permissions)| permissions.grants_any() && below(path))
            || self.wild.iter().any(|(pattern, permissions)| {
                permissions.grants_any() && (mount.is_empty() || pattern.reaches_below(mount))
            })
    }

    /// The one rule that decides on `path`.
    fn find(&self, path: &str, list: bool) -> Option<&Permissions> {
        let path = path.trim_start_matches('/');
        let bare = if list { path.strip_suffix('/') } else { None };
        self.exact
            .get(path)
            .or_else(|| self.exact.get(bare?))
            .or_else(|| self.wild.find(path))
            .or_else(|| self.wild.find(bare?))
    }
}

impl Permissions {
    const fn grants_any(&self) -> bool {
        self.capabilities.grants_any()
    }

    fn check(&self, ask: &AclAsk<'_>, needed: Capability) -> Result<(), DenyReason> {
        if self.capabilities.denies() {
            return Err(DenyReason::Explicit);
        }
        if !self.capabilities.contains(needed) {
            return Err(DenyReason::Capability(needed));
        }
        self.constraints.check_wrapping(ask.wrap_ttl)?;
        if ask.operation.takes_parameters() && self.constraints.limits_parameters() {
            self.constraints.check_parameters((ask.parameters)())?;
        }
        Ok(())
    }

    const fn grant(&self) -> Grant {
        Grant {
            root: false,
            sudo: self.capabilities.contains(Capability::Sudo),
            min_wrapping_ttl: self.constraints.min_wrapping_ttl,
            max_wrapping_ttl: self.constraints.max_wrapping_ttl,
        }
    }
}
