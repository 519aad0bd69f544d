//! Whether a statement lets everybody in.

use super::Statement;

/// Keys that say who asks or from where: a condition that compares one of them with fixed values narrows a statement.
const NARROWING: [&str; 13] = [
    "aws:principalarn",
    "aws:principalaccount",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "aws:username",
    "aws:viaawsservice",
];

pub(super) fn is_public(statement: &Statement) -> bool {
    let everybody = statement.principals.not || statement.principals.items.iter().any(|principal| principal == "*");
    let narrowed = statement.conditions.iter().any(|condition| {
        NARROWING.contains(&condition.key.as_str())
            && condition.narrows()
            && condition.values.iter().all(|value| is_fixed(value))
    });
    !statement.denies && everybody && !narrowed
}

/// Whether a value stands for few: not for everything, nor for the whole of a network.
fn is_fixed(value: &str) -> bool {
    let wide = value.split_once('/').and_then(|(_, bits)| bits.parse::<u8>().ok()).is_some_and(|bits| bits < 8);
    !value.starts_with('*') && !value.is_empty() && !wide
}
