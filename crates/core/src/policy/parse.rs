//! Policy text to rules: HCL, or JSON where the text begins with `{`.
//!
//! The shape, in both (<https://developer.hashicorp.com/vault/docs/concepts/policies>):
//!
//! ```text
//! name = "ignored: a policy is called what it is stored as"
//! path "secret/data/+/db" {
//!   comment             = "ignored"
//!   capabilities        = ["create", "read", "update", "patch", "delete", "list", "sudo", "deny"]
//!   policy              = "read"                             # or write, sudo, deny: Vault's old form
//!   allowed_parameters  = { "ttl" = ["1h", "2*"], "*" = [] } # parameter -> values, none meaning any
//!   denied_parameters   = { "force" = [] }
//!   required_parameters = ["reason"]
//!   min_wrapping_ttl    = "90s"                              # or seconds
//!   max_wrapping_ttl    = 3600
//! }
//! ```
//!
//! Whatever is not understood is refused, never skipped: a key that was meant to restrict must not go unnoticed.

use std::collections::BTreeSet;

use serde_json::Value;

use super::capability::{Capabilities, Capability};
use super::constraint::{ANY_PARAMETER, Constraints, ParameterValues};
use super::error::{Line, PolicyError, clip};
use super::pattern::PathPattern;
use super::tree::{Entry, Node, read_text};
use super::{PathRule, Policy};
use crate::duration::parse_seconds;

/// The longest policy text in bytes.
pub const MAX_POLICY_BYTES: usize = 512 * 1024;

/// How deep objects and lists may nest in a policy text; also bounds the recursion over one.
pub const MAX_DEPTH: usize = 32;

const KEYS: [&str; 8] = [
    "comment",
    "capabilities",
    "policy",
    "allowed_parameters",
    "denied_parameters",
    "required_parameters",
    "min_wrapping_ttl",
    "max_wrapping_ttl",
];

impl Policy {
    /// Parses `text` as the policy `name`. A name inside the text is accepted and ignored, so no text can make
    /// itself the root policy.
    ///
    /// # Errors
    /// When the text is over [`MAX_POLICY_BYTES`], is neither HCL nor JSON, nests deeper than [`MAX_DEPTH`], or holds
    /// a key, capability, path or value that a policy does not have. The error names the place and what is allowed.
    pub fn parse(name: &str, text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY_BYTES {
            return Err(PolicyError::TooLong { bytes: text.len() });
        }
        let mut rules = Vec::new();
        for entry in read_text(text)? {
            match entry.key.as_str() {
                "path" => stanzas(entry, &mut rules)?,
                "name" => drop(text_of(entry, None)?),
                _ => return Err(PolicyError::UnknownTopLevelKey { key: clip(&entry.key), line: entry.line }),
            }
        }
        Ok(Self::with_rules(name, rules))
    }
}

/// The stanzas of one `path` entry, each named by its key. JSON may repeat either level as a list of objects.
fn stanzas(entry: Entry, rules: &mut Vec<PathRule>) -> Result<(), PolicyError> {
    const EXPECTED: &str = "a stanza: path \"secret/*\" { capabilities = [\"read\"] }";
    let wrong = |line| PolicyError::WrongType { place: "path".to_owned(), line, expected: EXPECTED };
    for named in entry.value.into_objects().ok_or_else(|| wrong(entry.line))? {
        for stanza in named {
            let (path, line) = (stanza.key, stanza.line);
            for body in stanza.value.into_objects().ok_or_else(|| wrong(line))? {
                rules.push(rule(&path, line, body)?);
            }
        }
    }
    Ok(())
}

fn rule(path: &str, line: Line, body: Vec<Entry>) -> Result<PathRule, PolicyError> {
    let stripped = path.strip_prefix('/').unwrap_or(path);
    let pattern =
        PathPattern::parse(stripped).map_err(|source| PolicyError::BadPath { path: clip(path), line, source })?;
    let (capabilities, constraints) = Stanza { path }.read(body)?;
    Ok(PathRule { path: path.to_owned(), pattern, capabilities, constraints })
}

/// Reads the entries of one stanza; holds its path for errors.
struct Stanza<'a> {
    path: &'a str,
}

impl Stanza<'_> {
    fn read(&self, body: Vec<Entry>) -> Result<(Capabilities, Constraints), PolicyError> {
        let mut capabilities = Capabilities::NONE;
        let mut constraints = Constraints::default();
        let mut seen = BTreeSet::new();
        for entry in body {
            if !seen.insert(entry.key.clone()) {
                return Err(self.duplicate(entry));
            }
            // JSON writers give null for what is not set.
            if entry.value == Node::Scalar(Value::Null) && KEYS.contains(&entry.key.as_str()) {
                continue;
            }
            match entry.key.as_str() {
                "comment" => {}
                "capabilities" => capabilities = capabilities.union(self.capabilities(entry)?),
                "policy" => capabilities = capabilities.union(self.legacy(entry)?),
                "allowed_parameters" => constraints.allowed = self.parameter_values(entry)?,
                "denied_parameters" => constraints.denied = self.parameter_values(entry)?,
                "required_parameters" => constraints.required = self.required(entry)?,
                "min_wrapping_ttl" => constraints.min_wrapping_ttl = self.seconds(entry)?,
                "max_wrapping_ttl" => constraints.max_wrapping_ttl = self.seconds(entry)?,
                _ => return Err(self.unknown(entry)),
            }
        }
        match (constraints.min_wrapping_ttl, constraints.max_wrapping_ttl) {
            (Some(min), Some(max)) if max < min => Err(PolicyError::EmptyTtlRange { path: clip(self.path), min, max }),
            _ => Ok((capabilities, constraints)),
        }
    }

    fn capabilities(&self, entry: Entry) -> Result<Capabilities, PolicyError> {
        let line = entry.line;
        let words = texts_of(entry, self.path, "a list of text: [\"read\", \"list\"]")?;
        let parse = |word: String| {
            Capability::parse(&word).ok_or_else(|| PolicyError::BadCapability {
                path: clip(self.path),
                word: clip(&word),
                line,
                allowed: Capability::ALL.map(Capability::as_str).join(", "),
            })
        };
        words.into_iter().map(parse).collect()
    }

    /// Vault's words from before there were capabilities.
    fn legacy(&self, entry: Entry) -> Result<Capabilities, PolicyError> {
        let line = entry.line;
        let word = text_of(entry, Some(self.path))?;
        let read: Capabilities = [Capability::Read, Capability::List].into_iter().collect();
        let write = read.with(Capability::Create).with(Capability::Update).with(Capability::Delete);
        match word.as_str() {
            // Empty is as good as absent.
            "" => Ok(Capabilities::NONE),
            "read" => Ok(read),
            "write" => Ok(write),
            "sudo" => Ok(write.with(Capability::Sudo)),
            "deny" => Ok(Capabilities::NONE.with(Capability::Deny)),
            _ => Err(PolicyError::BadLegacyPolicy { path: clip(self.path), word: clip(&word), line }),
        }
    }

    fn parameter_values(&self, entry: Entry) -> Result<ParameterValues, PolicyError> {
        const EXPECTED: &str = "a map from a parameter to a list of values, [] meaning any: { \"ttl\" = [\"1h\"] }";
        const ONLY_ANY: &str = "[]: \"*\" stands for every parameter and takes no values";
        let (place, line) = (place(Some(self.path), &entry.key), entry.line);
        let wrong = |line, expected| PolicyError::WrongType { place: place.clone(), line, expected };
        let objects = entry.value.into_objects().filter(|objects| !objects.is_empty());
        let mut all = ParameterValues::new();
        for parameter in objects.ok_or_else(|| wrong(line, EXPECTED))?.into_iter().flatten() {
            let line = parameter.line;
            let Node::List(values) = parameter.value else {
                return Err(wrong(line, EXPECTED));
            };
            if parameter.key == ANY_PARAMETER && !values.is_empty() {
                return Err(wrong(line, ONLY_ANY));
            }
            let name = parameter.key.to_lowercase();
            if all.contains_key(&name) {
                return Err(PolicyError::Duplicate { path: clip(self.path), key: clip(&parameter.key), line });
            }
            all.insert(name, values.into_iter().map(Node::into_value).collect());
        }
        Ok(all)
    }

    fn required(&self, entry: Entry) -> Result<BTreeSet<String>, PolicyError> {
        let names = texts_of(entry, self.path, "a list of parameter names: [\"ttl\"]")?;
        Ok(names.into_iter().map(|name| name.to_lowercase()).collect())
    }

    /// A TTL in seconds; 0 is as good as absent.
    fn seconds(&self, entry: Entry) -> Result<Option<u64>, PolicyError> {
        const EXPECTED: &str = "whole seconds or a duration: 90, \"90s\", \"1h\"";
        let (key, line) = (entry.key, entry.line);
        let seconds = match entry.value {
            Node::Scalar(Value::String(text)) => Some(parse_seconds(&text).map_err(|source| PolicyError::BadTtl {
                path: clip(self.path),
                key: key.clone(),
                line,
                source,
            })?),
            Node::Scalar(Value::Number(number)) => number.as_u64(),
            _ => None,
        };
        let wrong = || PolicyError::WrongType { place: place(Some(self.path), &key), line, expected: EXPECTED };
        let seconds = seconds.ok_or_else(wrong)?;
        Ok(Some(seconds).filter(|seconds| *seconds > 0))
    }

    fn duplicate(&self, entry: Entry) -> PolicyError {
        PolicyError::Duplicate { path: clip(self.path), key: clip(&entry.key), line: entry.line }
    }

    fn unknown(&self, entry: Entry) -> PolicyError {
        let (path, key) = (clip(self.path), clip(&entry.key));
        PolicyError::UnknownKey { path, key, line: entry.line, allowed: KEYS.join(", ") }
    }
}

fn text_of(entry: Entry, path: Option<&str>) -> Result<String, PolicyError> {
    let (place, line) = (place(path, &entry.key), entry.line);
    entry.value.into_text().ok_or(PolicyError::WrongType { place, line, expected: "text in quotes" })
}

fn texts_of(entry: Entry, path: &str, expected: &'static str) -> Result<Vec<String>, PolicyError> {
    let wrong = PolicyError::WrongType { place: place(Some(path), &entry.key), line: entry.line, expected };
    let Node::List(nodes) = entry.value else {
        return Err(wrong);
    };
    nodes.into_iter().map(Node::into_text).collect::<Option<_>>().ok_or(wrong)
}

/// A key as an error quotes it: with the stanza that it stands in.
fn place(path: Option<&str>, key: &str) -> String {
    path.map_or_else(|| clip(key), |path| format!("path {:?}: {}", clip(path), clip(key)))
}
