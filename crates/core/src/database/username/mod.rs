//! Templates of usernames: the part of Go's `text/template` that Vault's users write.
//!
//! ```text
//! {{ printf "v-%s-%s" (.DisplayName | truncate 8) (random 20) | truncate 63 }}
//! {{ .RoleName | lowercase | replace "_" "-" }}-{{ unix_time }}
//! ```
//!
//! A template is text with actions in double braces. An action is a pipeline of calls, each of which gets the value
//! before it as its last argument. Arguments are `.DisplayName`, `.RoleName`, texts in quotes or backquotes, whole
//! numbers, and pipelines in parentheses. Control structures, variables and other fields are refused when the template
//! is written, as is a call with too many or too few arguments.

mod evaluate;
mod function;
mod parse;

#[cfg(test)]
mod tests;

use crate::{
    clock::Timestamp,
    random::{Random, RandomError},
};
use function::Function;

/// The longest template, in bytes.
pub(super) const MAX_TEMPLATE: usize = 1024;
/// The longest value that may occur while a name is made, in bytes.
const MAX_VALUE: usize = 1024;
/// How deep parentheses may stand in each other.
const MAX_DEPTH: usize = 16;

/// A template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// It is none that this server reads.
    #[error("unable to parse template: {0}")]
    Template(String),
    /// It does not give a name.
    #[error("unable to apply template: {0}")]
    Apply(String),
    /// No randomness.
    #[error("the operating system's random source failed")]
    Random,
}

impl From<RandomError> for UsernameError {
    fn from(_: RandomError) -> Self {
        Self::Random
    }
}

/// What a name is made from.
pub(super) struct Naming<'a> {
    /// The display name of who asks.
    pub(super) display_name: &'a str,
    /// The role's name.
    pub(super) role_name: &'a str,
    /// When it is made.
    pub(super) now: Timestamp,
    /// For what must not repeat.
    pub(super) random: &'a Random,
}

/// A template that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Action(Pipeline),
}

/// Calls, each with the value before it as its last argument.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pipeline(Vec<Call>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Call {
    /// A value as it is.
    Value(Argument),
    /// A function of values.
    Function(Function, Vec<Argument>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Argument {
    Text(String),
    Number(i64),
    DisplayName,
    RoleName,
    Nested(Pipeline),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When it is empty, too long, or has what this server does not read.
    pub(super) fn parse(text: &str) -> Result<Self, UsernameError> {
        parse::template(text).map(Self).map_err(UsernameError::Template)
    }

    /// Makes a name.
    ///
    /// # Errors
    /// When a function does not take what it is given, or the name would be empty or have control characters.
    pub(super) fn name(&self, naming: &Naming<'_>) -> Result<String, UsernameError> {
        let name = evaluate::parts(&self.0, naming)?;
        if name.is_empty() {
            return Err(UsernameError::Apply("the name is empty".to_owned()));
        }
        if name.chars().any(char::is_control) {
            return Err(UsernameError::Apply("the name has control characters".to_owned()));
        }
        Ok(name)
    }
}
