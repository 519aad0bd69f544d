//! Passwords made to rules: the generator, the policies that say the rules, and their store.
//!
//! Whatever hands out a password (`sys/policies/password/<name>/generate`, credentials of an engine, a rotation) asks a
//! [`Generator`]; [`PasswordPolicies`] gives one by a policy's name.

mod generator;
mod parse;
mod policies;

pub use generator::{Generator, GeneratorError, MAX_CHARACTERS, MAX_LENGTH, MAX_RULES, Rule};
pub use parse::PasswordPolicyError;
pub use policies::{PasswordPolicies, PasswordPolicyStoreError};
