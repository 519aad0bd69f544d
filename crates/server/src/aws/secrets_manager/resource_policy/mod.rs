//! Resource policies: JSON documents in the language of IAM that a secret carries. They restrict: a `Deny` that fits
//! what is asked denies it, whatever the policies of the access key allow. An `Allow` grants nothing by itself.

mod condition;
mod parse;
mod pattern;
mod public;

use std::collections::HashMap;

pub(super) use self::parse::Malformed;
use self::{condition::Condition, pattern::matches};

/// A policy that has been read.
#[derive(Debug)]
pub(super) struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug)]
struct Statement {
    denies: bool,
    principals: Listed<String>,
    actions: Listed<String>,
    resources: Listed<String>,
    conditions: Vec<Condition>,
}

/// What a statement is about, or what it is not about.
#[derive(Debug)]
struct Listed<T> {
    not: bool,
    items: Vec<T>,
}

impl<T> Listed<T> {
    fn fits(&self, fits: impl Fn(&T) -> bool) -> bool {
        self.items.iter().any(fits) != self.not
    }
}

/// What a policy says to something that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It denies it.
    Deny,
    /// It allows it.
    Allow,
    /// It has nothing to say.
    Nothing,
}

/// What is asked, by whom.
#[derive(Debug)]
pub(super) struct Asked {
    /// `secretsmanager:GetSecretValue`.
    pub(super) action: String,
    /// The secret's ARN.
    pub(super) resource: String,
    /// The caller's ARN.
    pub(super) principal: String,
    /// The account of whoever asks.
    pub(super) account: String,
    /// What conditions can ask about: keys in lower case.
    pub(super) values: HashMap<String, String>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`Malformed`], with what is wrong and where.
    pub(super) fn read(text: &str) -> Result<Self, Malformed> {
        parse::policy(text)
    }

    /// What the policy says.
    pub(super) fn decide(&self, asked: &Asked) -> Effect {
        let mut effect = Effect::Nothing;
        for statement in self.statements.iter().filter(|statement| statement.fits(asked)) {
            if statement.denies {
                return Effect::Deny;
            }
            effect = Effect::Allow;
        }
        effect
    }

    /// Whether the policy allows something to everybody.
    pub(super) fn is_public(&self) -> bool {
        self.statements.iter().any(public::is_public)
    }
}

impl Statement {
    fn fits(&self, asked: &Asked) -> bool {
        let action = |pattern: &String| matches(&pattern.to_ascii_lowercase(), &asked.action.to_ascii_lowercase());
        self.principals.fits(|principal| is_principal(principal, asked))
            && self.actions.fits(action)
            && self.resources.fits(|pattern| matches(pattern, &asked.resource))
            && self.conditions.iter().all(|condition| condition.holds(&asked.values))
    }
}

/// Whether a principal of a policy is the caller: everybody, its account, itself, or the role of its session.
fn is_principal(principal: &str, asked: &Asked) -> bool {
    let Asked { account, principal: caller, .. } = asked;
    if principal == "*" || principal == account || principal == caller {
        return true;
    }
    if principal == format!("arn:aws:iam::{account}:root") {
        return true;
    }
    let role =
        caller.strip_prefix(&format!("arn:aws:sts::{account}:assumed-role/")).and_then(|rest| rest.rsplit_once('/'));
    role.is_some_and(|(role, _)| principal == format!("arn:aws:iam::{account}:role/{role}"))
}

#[cfg(test)]
mod tests;
