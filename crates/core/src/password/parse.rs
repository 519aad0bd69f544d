//! The text of a password policy: HCL, or JSON where it begins with `{`.
//!
//! ```text
//! length = 20
//! rule "charset" {
//!   charset   = "abcdefghijklmnopqrstuvwxyz"
//!   min-chars = 1                              # 0 if it is left out
//! }
//! ```
//!
//! A charset is the characters that stand there: it has no ranges and no classes. Whatever is not understood is
//! refused, never skipped.

use serde_json::Value;

use super::generator::{Generator, GeneratorError, Rule};
use crate::policy::{
    PolicyError,
    tree::{Entry, Node, read_text},
};

/// The longest text of a policy, in bytes: 256 characters need few thousand.
const MAX_TEXT: usize = 64 * 1024;
/// Lengths of the passwords of a policy, as with Vault.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=100;

/// A text that is no password policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordPolicyError {
    /// Too much text.
    #[error("invalid password policy: {0} bytes are too many: at most {MAX_TEXT}")]
    TooLong(usize),
    /// Neither HCL nor JSON.
    #[error("invalid password policy: {0}")]
    Syntax(PolicyError),
    /// A key, a rule or a value that a policy does not have.
    #[error("invalid password policy: {0}")]
    Shape(String),
    /// A length that no password of a policy has.
    #[error("passwords must be between {} and {} characters", LENGTHS.start(), LENGTHS.end())]
    Length,
    /// The rules contradict each other.
    #[error("invalid password policy: {0}")]
    Generator(#[from] GeneratorError),
}

/// Reads a policy.
///
/// # Errors
/// When it is none; the error says what and where.
pub(super) fn parse(text: &str) -> Result<Generator, PasswordPolicyError> {
    if text.len() > MAX_TEXT {
        return Err(PasswordPolicyError::TooLong(text.len()));
    }
    let (mut length, mut rules) = (None, Vec::new());
    for entry in read_text(text).map_err(PasswordPolicyError::Syntax)? {
        match entry.key.as_str() {
            "length" if length.is_none() => length = Some(natural(&entry.value, "length", entry.line)?),
            "length" => return Err(shape("length", entry.line, "given once")),
            "rule" => rules_of(entry, &mut rules)?,
            _ => return Err(unknown(&entry, "length, rule")),
        }
    }
    let length = length.filter(|length| LENGTHS.contains(length)).ok_or(PasswordPolicyError::Length)?;
    Ok(Generator::new(length, &rules)?)
}

/// The rules of one `rule` entry. JSON repeats either level as a list of objects.
fn rules_of(entry: Entry, rules: &mut Vec<Rule>) -> Result<(), PasswordPolicyError> {
    const EXPECTED: &str = "a block: rule \"charset\" { charset = \"abc\" }";
    let line = entry.line;
    let named = entry.value.into_objects().filter(|objects| !objects.is_empty());
    for kind in named.ok_or_else(|| shape("rule", line, EXPECTED))?.into_iter().flatten() {
        if kind.key != "charset" {
            return Err(unknown(&kind, "the rule \"charset\""));
        }
        let line = kind.line;
        for body in kind.value.into_objects().ok_or_else(|| shape("rule", line, EXPECTED))? {
            rules.push(charset(body, line)?);
        }
    }
    Ok(())
}

fn charset(body: Vec<Entry>, line: crate::policy::Line) -> Result<Rule, PasswordPolicyError> {
    let (mut charset, mut min_chars) = (None, 0);
    for entry in body {
        match entry.key.as_str() {
            "charset" => {
                let line = entry.line;
                charset = Some(entry.value.into_text().ok_or_else(|| shape("charset", line, "text in quotes"))?);
            }
            "min-chars" => min_chars = natural(&entry.value, "min-chars", entry.line)?,
            _ => return Err(unknown(&entry, "charset, min-chars")),
        }
    }
    let charset = charset.ok_or_else(|| shape("rule \"charset\"", line, "given a charset"))?;
    Ok(Rule { charset, min_chars })
}

fn natural(node: &Node, key: &str, line: crate::policy::Line) -> Result<usize, PasswordPolicyError> {
    let number = match node {
        Node::Scalar(Value::Number(number)) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        _ => None,
    };
    number.ok_or_else(|| shape(key, line, "a whole number, not negative"))
}

fn shape(key: &str, line: crate::policy::Line, expected: &str) -> PasswordPolicyError {
    PasswordPolicyError::Shape(format!("{key}{line} must be {expected}"))
}

fn unknown(entry: &Entry, allowed: &str) -> PasswordPolicyError {
    let key: String = entry.key.chars().take(64).collect();
    PasswordPolicyError::Shape(format!("invalid key {key:?}{}: allowed here are {allowed}", entry.line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HCL: &str = r#"
        length = 20
        rule "charset" { charset = "abcdefghij" min-chars = 1 }
        rule "charset" {
          charset = "0123456789"
        }
    "#;

    #[test]
    fn hcl_and_json_say_the_same() {
        let rules =
            [Rule { charset: "abcdefghij".into(), min_chars: 1 }, Rule { charset: "0123456789".into(), min_chars: 0 }];
        let expected = Generator::new(20, &rules).expect("rules");
        assert_eq!(parse(HCL), Ok(expected.clone()));
        let listed = r#"{"length":20,"rule":[{"charset":{"charset":"abcdefghij","min-chars":1}},
                         {"charset":[{"charset":"0123456789"}]}]}"#;
        assert_eq!(parse(listed), Ok(expected));
    }

    #[test]
    fn what_is_no_policy_is_told_with_its_place() {
        for (text, expected) in [
            ("length = 3\nrule \"charset\" { charset = \"a\" }", "passwords must be between 4 and 100 characters"),
            ("length = 101\nrule \"charset\" { charset = \"a\" }", "passwords must be between 4 and 100 characters"),
            ("rule \"charset\" { charset = \"a\" }", "passwords must be between 4 and 100 characters"),
            ("length = 8", "no charset specified"),
            ("length = -8", "length on line 1 must be a whole number"),
            ("length = \"8\"", "length on line 1 must be a whole number"),
            ("length = 8\nlength = 9", "length on line 2 must be given once"),
            (
                "length = 8\nrule \"regex\" { }",
                "invalid key \"regex\" on line 2: allowed here are the rule \"charset\"",
            ),
            ("rule { }\nlength = 8", "no charset specified"),
            ("rule = 7", "rule on line 1 must be a block"),
            ("rule \"charset\" { min-chars = 1 }", "rule \"charset\" on line 1 must be given a charset"),
            ("rule \"charset\" { charset = 7 }", "charset on line 1 must be text"),
            ("rule \"charset\" { charset = \"a\" max-chars = 1 }", "invalid key \"max-chars\""),
            ("length = 8\nrule \"charset\" { charset = \"ab\" min-chars = 9 }", "require at least 9 characters"),
            ("size = 8", "invalid key \"size\" on line 1: allowed here are length, rule"),
            ("length", "expected '=' or '{'"),
            ("{\"length\":", "EOF"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn bombs_are_refused_before_they_cost_anything() {
        let charset = "x".repeat(MAX_TEXT);
        let text = format!("length = 8\nrule \"charset\" {{ charset = \"{charset}\" }}");
        assert!(matches!(parse(&text), Err(PasswordPolicyError::TooLong(_))));
        let many = "rule \"charset\" { charset = \"a\" }\n".repeat(1000);
        let error = parse(&format!("length = 8\n{many}")).expect_err("too many");
        assert_eq!(error, PasswordPolicyError::Generator(GeneratorError::TooManyRules));
        // What looks like a class is the characters that stand there.
        let literal = parse("length = 8\nrule \"charset\" { charset = \"[a-z]{9999999}\" }").expect("literal");
        let password = literal.generate(&crate::random::Random::default()).expect("generated");
        assert!(password.expose_secret().chars().all(|character| "[a-z]{9}".contains(character)));
    }
}
