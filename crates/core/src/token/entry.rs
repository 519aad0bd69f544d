//! What is known of a token. The token itself is never stored: a record lies under its keyed hash.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    clock::{self, Timestamp, nanos},
    policy::builtin::RESPONSE_WRAPPING,
};

/// The prefix of service tokens.
pub const SERVICE_PREFIX: &str = "hvs.";
/// The prefix of batch tokens.
pub const BATCH_PREFIX: &str = "hvb.";

/// A token's keyed hash in hex: where its record lies. Says nothing about the token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenId(pub(crate) String);

/// How a token lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenKind {
    /// Stored; renewable, revocable, counted.
    Service,
    /// Self-contained and sealed; costs no storage and cannot be revoked before it ends.
    Batch,
}

impl TokenKind {
    /// The name that clients know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Batch => "batch",
        }
    }
}

/// A token's record. All times are in seconds where they are durations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The public handle by which the token can be looked up and revoked, but not used. Empty for batch tokens.
    pub accessor: String,
    /// Sorted names.
    pub policies: Vec<String>,
    /// The path that issued it: `auth/token/create`, `auth/approle/login`.
    pub path: String,
    /// For people and audit logs.
    pub display_name: String,
    /// What the issuer attached.
    pub meta: BTreeMap<String, String>,
    /// When it was issued.
    #[serde(with = "nanos")]
    pub created: Timestamp,
    /// Seconds it was given at first; 0: it does not end.
    pub ttl: u64,
    /// When it ends.
    #[serde(with = "nanos::option")]
    pub expires: Option<Timestamp>,
    /// Seconds after which it ends whatever happens; 0: none.
    pub explicit_max_ttl: u64,
    /// Seconds that each renewal gives a periodic token; 0: not periodic.
    pub period: u64,
    /// The issuer's own maximum in seconds (a role's `token_max_ttl`); 0: the mount's.
    pub max_ttl: u64,
    /// Requests it is still good for; 0: unlimited, negative: used up.
    pub uses: i64,
    /// The token that it ends with; `None` for an orphan.
    pub parent: Option<TokenId>,
    /// Service or batch.
    pub kind: TokenKind,
    /// Whether it may be renewed.
    pub renewable: bool,
    /// The token role that issued it.
    pub role: Option<String>,
    /// Source addresses it may be used from; empty: any.
    pub bound_cidrs: Vec<IpNet>,
    /// When it was last renewed.
    #[serde(with = "nanos::option")]
    pub last_renewal: Option<Timestamp>,
    /// The entity that it stands for; empty: none.
    #[serde(default)]
    pub entity_id: String,
    /// The access key that stands for it. Such a token is not known to anybody: requests are signed with the key.
    #[serde(default)]
    pub access_key: Option<String>,
    /// Where it is listed by a name, if it is: the end of the key of that record.
    #[serde(default)]
    pub named: Option<String>,
}

impl Entry {
    /// Whether the token is good at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.uses >= 0 && self.expires.is_none_or(|end| now < end)
    }

    /// Seconds left; 0 for a token that does not end.
    #[must_use]
    pub fn remaining(&self, now: Timestamp) -> u64 {
        self.expires.map_or(0, |end| clock::seconds_until(now, end))
    }

    /// Whether it stands for a wrapped answer and can do nothing but be unwrapped.
    #[must_use]
    pub fn is_wrapping(&self) -> bool {
        matches!(self.policies.as_slice(), [only] if only == RESPONSE_WRAPPING)
    }

    /// Whether it has the root policy.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }
}
