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

use super::capability::{Capabilities, Capability};
use super::constraint::Constraints;
use super::index::WildIndex;
use super::operation::Operation;
use super::pattern::{PathPattern, WildPattern};
use super::{PathRule, Policy, Values};

/// Every policy of a token, compiled; built once per change, asked per request without allocating.
///
/// The stanzas that hold for anybody are compiled once for a set of policies. Those with templates in them are few, and
/// are compiled for each identity on top of it.
#[derive(Debug)]
pub struct Acl {
    pub(super) shared: Arc<Rules>,
    /// What the identity adds. A path that is in both is here with the demands of both.
    pub(super) own: Option<Rules>,
}

#[derive(Debug)]
pub(super) struct Rules {
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
            match &rule.pattern {
                PathPattern::Exact(path) => exact.entry(path.clone()).or_default().add(rule),
                PathPattern::Wild(pattern) => wild.entry(pattern).or_default().add(rule),
                PathPattern::Templated(_) => {}
            }
        }
        let wild = wild.into_iter().map(|(pattern, permissions)| (pattern.clone(), permissions)).collect();
        let root = policies.iter().any(|policy| policy.is_root());
        Self { shared: Arc::new(Rules { root, exact, wild: WildIndex::new(wild) }), own: None }
    }

    /// The same rules, and those of the templated stanzas of `policies` that `values` fill in. `self` is what
    /// [`Acl::compile`] made of the same policies.
    #[must_use]
    pub fn filled_in(&self, policies: &[Arc<Policy>], values: &dyn Values) -> Self {
        let mut exact: HashMap<String, Permissions> = HashMap::new();
        let mut wild: HashMap<WildPattern, Permissions> = HashMap::new();
        for rule in policies.iter().flat_map(|policy| policy.rules()) {
            let PathPattern::Templated(template) = &rule.pattern else { continue };
            match template.fill(values, rule.capabilities.denies()) {
                Some(PathPattern::Exact(path)) => {
                    let shared = || self.shared.exact.get(&path).cloned().unwrap_or_default();
                    exact.entry(path.clone()).or_insert_with(shared).add(rule);
                }
                Some(PathPattern::Wild(pattern)) => {
                    let same = || self.shared.wild.iter().find(|(other, _)| **other == pattern);
                    let shared = || same().map(|(_, permissions)| permissions.clone()).unwrap_or_default();
                    wild.entry(pattern.clone()).or_insert_with(shared).add(rule);
                }
                Some(PathPattern::Templated(_)) | None => {}
            }
        }
        let own = Rules { root: false, exact, wild: WildIndex::new(wild.into_iter().collect()) };
        Self { shared: Arc::clone(&self.shared), own: Some(own) }
    }

    /// Decides one request.
    pub fn allows(&self, ask: &AclAsk<'_>) -> Decision {
        if self.shared.root {
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
        if self.shared.root {
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
        let in_rules = |rules: &Rules| {
            rules.exact.iter().any(|(path, permissions)| permissions.grants_any() && below(path))
                || rules.wild.iter().any(|(pattern, permissions)| {
                    permissions.grants_any() && (mount.is_empty() || pattern.reaches_below(mount))
                })
        };
        self.shared.root
            || itself(&format!("{mount}/"))
            || in_rules(&self.shared)
            || self.own.as_ref().is_some_and(in_rules)
    }

    /// The one rule that decides on `path`.
    fn find(&self, path: &str, list: bool) -> Option<&Permissions> {
        let path = path.trim_start_matches('/');
        let bare = if list { path.strip_suffix('/') } else { None };
        self.exact(path).or_else(|| self.exact(bare?)).or_else(|| self.wild(path)).or_else(|| self.wild(bare?))
    }

    fn exact(&self, path: &str) -> Option<&Permissions> {
        self.own.as_ref().and_then(|own| own.exact.get(path)).or_else(|| self.shared.exact.get(path))
    }

    fn wild(&self, path: &str) -> Option<&Permissions> {
        let shared = self.shared.wild.find(path);
        let own = self.own.as_ref().and_then(|own| own.wild.find(path));
        let found = match (own, shared) {
            // Of the same pattern in both, the identity's own has the demands of both.
            (Some(own), Some(shared)) if own.0.rank() > shared.0.rank() => Some(shared),
            (Some(own), _) => Some(own),
            (None, shared) => shared,
        };
        found.map(|(_, permissions)| permissions)
    }
}

impl Permissions {
    /// Takes another stanza on the same path in.
    fn add(&mut self, rule: &PathRule) {
        self.capabilities = self.capabilities.union(rule.capabilities);
        self.constraints.merge(&rule.constraints);
    }

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
