//! Why a policy text is refused.

use std::fmt;

use super::parse::{MAX_DEPTH, MAX_POLICY_BYTES};
use super::pattern::PatternError;
use crate::duration::DurationError;

/// A policy text that is refused; nothing of it takes effect. Quotations are cut to 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// More text than [`MAX_POLICY_BYTES`].
    #[error(
        "failed to parse policy: {bytes} bytes are too many: at most {MAX_POLICY_BYTES}; split it into several policies"
    )]
    TooLong {
        /// Size of the text.
        bytes: usize,
    },
    /// Braces and brackets deeper than [`MAX_DEPTH`].
    #[error("failed to parse policy: nested deeper than {MAX_DEPTH} levels{line}: a policy needs three")]
    TooDeep {
        /// Where.
        line: Line,
    },
    /// No HCL.
    #[error("failed to parse policy: {problem}{line}")]
    Syntax {
        /// Where.
        line: Line,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// Begins with `{`, but is no JSON.
    #[error("failed to parse policy: a policy that begins with '{{' is JSON, but: {problem}")]
    Json {
        /// What the JSON parser says, with its line and column.
        problem: String,
    },
    /// A key beside `path` and `name`.
    #[error("failed to parse policy: invalid key {key:?}{line}: allowed here are path, name")]
    UnknownTopLevelKey {
        /// The key.
        key: String,
        /// Where.
        line: Line,
    },
    /// A key that no stanza has.
    #[error("failed to parse policy: path {path:?}: invalid key {key:?}{line}: allowed here are {allowed}")]
    UnknownKey {
        /// The stanza's path.
        path: String,
        /// The key.
        key: String,
        /// Where.
        line: Line,
        /// Every key that may stand here.
        allowed: String,
    },
    /// A key twice in one stanza, or a parameter twice in one map; which of them holds would be a guess.
    #[error("failed to parse policy: path {path:?}: {key:?}{line} was already set: write it once")]
    Duplicate {
        /// The stanza's path.
        path: String,
        /// The key or parameter.
        key: String,
        /// Where it stands the second time.
        line: Line,
    },
    /// A value of another type than the key takes.
    #[error("failed to parse policy: {place}{line} must be {expected}")]
    WrongType {
        /// The key, with its stanza's path.
        place: String,
        /// Where.
        line: Line,
        /// What it takes, with an example.
        expected: &'static str,
    },
    /// No capability.
    #[error("failed to parse policy: path {path:?}: invalid capability {word:?}{line}: allowed are {allowed}")]
    BadCapability {
        /// The stanza's path.
        path: String,
        /// The word.
        word: String,
        /// Where.
        line: Line,
        /// Every capability.
        allowed: String,
    },
    /// No legacy policy word.
    #[error(
        "failed to parse policy: path {path:?}: invalid policy {word:?}{line}: allowed are read, write, sudo, deny; better use capabilities"
    )]
    BadLegacyPolicy {
        /// The stanza's path.
        path: String,
        /// The word.
        word: String,
        /// Where.
        line: Line,
    },
    /// A path that cannot match as written.
    #[error("failed to parse policy: path {path:?}{line}: {source}")]
    BadPath {
        /// The path.
        path: String,
        /// Where.
        line: Line,
        /// What is wrong with it.
        source: PatternError,
    },
    /// A wrapping TTL that is no duration.
    #[error("failed to parse policy: path {path:?}: {key}{line}: {source}")]
    BadTtl {
        /// The stanza's path.
        path: String,
        /// Which TTL.
        key: String,
        /// Where.
        line: Line,
        /// What is wrong with it.
        source: DurationError,
    },
    /// A range of wrapping TTLs with nothing in it.
    #[error(
        "failed to parse policy: path {path:?}: max_wrapping_ttl cannot be less than min_wrapping_ttl ({max} s < {min} s)"
    )]
    EmptyTtlRange {
        /// The stanza's path.
        path: String,
        /// The minimum in seconds.
        min: u64,
        /// The maximum in seconds.
        max: u64,
    },
}

/// A line of the text, from 1; unknown for JSON. Prints as ` on line 7`, or as nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line(pub(super) Option<usize>);

impl Line {
    /// The number, from 1.
    #[must_use]
    pub const fn number(self) -> Option<usize> {
        self.0
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, " on line {line}"))
    }
}

/// `text` as far as an error quotes it.
pub(super) fn clip(text: &str) -> String {
    const LIMIT: usize = 64;
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
