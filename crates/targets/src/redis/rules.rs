//! What a user may do, as operators write it: Vault's list of ACL rules in JSON, `["~app:*", "+@read"]`.
//!
//! Passwords and whether a user is on are no matter of rules: those are refused, in every spelling.

use keyturn_core::target::{Purpose, TargetError};

/// What a user may do if nobody says: read everything.
const DEFAULT: [&str; 2] = ["~*", "+@read"];

/// Rules of one word that concern neither passwords nor whether the user is on.
const WORDS: [&str; 10] = [
    "allkeys",
    "resetkeys",
    "allchannels",
    "resetchannels",
    "allcommands",
    "nocommands",
    "clearselectors",
    "sanitize-payload",
    "skip-sanitize-payload",
    "",
];

/// Looks at statements before they are kept. Statements for anything but creation have no meaning here.
pub(crate) fn check(purpose: Purpose, statements: &[String]) -> Result<(), TargetError> {
    if purpose == Purpose::Create { rules(statements, "x").map(drop) } else { Ok(()) }
}

/// The rules for a user, with the name in their patterns.
pub(super) fn rules(statements: &[String], username: &str) -> Result<Vec<String>, TargetError> {
    let mut rules = Vec::new();
    for (number, statement) in (1..).zip(statements) {
        let refuse = |reason: &str| TargetError::Settings(format!("statement {number} is refused: {reason}"));
        let text = statement.trim();
        let words: Vec<String> = if text.starts_with('[') {
            serde_json::from_str(text)
                .map_err(|_| refuse("it must be a list of rules in JSON, [\"~*\", \"+@read\"]"))?
        } else {
            text.split_whitespace().map(str::to_owned).collect()
        };
        for word in words {
            rules.push(rule(&word, username).map_err(refuse)?);
        }
    }
    if rules.is_empty() {
        rules.extend(DEFAULT.map(str::to_owned));
    }
    Ok(rules)
}

fn rule(text: &str, username: &str) -> Result<String, &'static str> {
    if text.chars().any(char::is_control) {
        return Err("a rule holds a control character");
    }
    if let Some(selector) = text.strip_prefix('(') {
        let inner = selector.strip_suffix(')').ok_or("a selector is not closed")?;
        if inner.contains("{{") || inner.contains('(') {
            return Err("a selector holds a placeholder or another selector");
        }
        for word in inner.split_whitespace() {
            rule(word, username)?;
        }
        return Ok(text.to_owned());
    }
    if let Some(pattern) = pattern(text) {
        if pattern.contains(char::is_whitespace) {
            return Err("a pattern holds a space");
        }
        return filled(text, username);
    }
    let command = |name: &str| {
        let rest = name.strip_prefix('@').unwrap_or(name);
        !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || "|_.-".contains(c))
    };
    if text.strip_prefix(['+', '-']).is_some_and(command) || WORDS.contains(&text.to_lowercase().as_str()) {
        return Ok(text.to_owned());
    }
    Err("a rule must allow or forbid commands, keys or channels; passwords, on and off are set by no rule")
}

/// The pattern of a rule on keys or channels.
fn pattern(text: &str) -> Option<&str> {
    if let Some(pattern) = text.strip_prefix(['~', '&']) {
        return Some(pattern);
    }
    let (access, pattern) = text.strip_prefix('%')?.split_once('~')?;
    matches!(access.to_ascii_uppercase().as_str(), "R" | "W" | "RW" | "WR").then_some(pattern)
}

/// A rule with the name in it, in which no character means more than itself.
fn filled(text: &str, username: &str) -> Result<String, &'static str> {
    let mut name = String::with_capacity(username.len());
    for character in username.chars() {
        if "*?[]\\".contains(character) {
            name.push('\\');
        }
        name.push(character);
    }
    // One after the other from the left, for a name may hold what looks like a placeholder.
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        rest = after
            .strip_prefix("name}}")
            .or_else(|| after.strip_prefix("username}}"))
            .ok_or("a rule may name {{name}} and {{username}} only, and those in patterns of keys and channels")?;
        out.push_str(&name);
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(statement: &str) -> Result<Vec<String>, TargetError> {
        rules(&[statement.to_owned()], "a*b?[\\c]{{name}}")
    }

    #[test]
    fn rules_are_read_in_both_forms() {
        assert_eq!(rules(&[], "u").unwrap(), ["~*", "+@read"]);
        assert_eq!(
            read(r#"["~app:*", "+@read", "-keys", "+config|get", "&ch", "%R~x", "(~y +get)"]"#).unwrap().len(),
            7
        );
        assert_eq!(read("~* +@all AllChannels").unwrap(), ["~*", "+@all", "AllChannels"]);
        assert_eq!(read(r#"["~{{name}}:*"]"#).unwrap(), [r"~a\*b\?\[\\c\]{{name}}:*"]);
    }

    #[test]
    fn what_concerns_passwords_and_state_is_refused() {
        for rule in [
            "on",
            "OFF",
            "nopass",
            "NoPass",
            "resetpass",
            "reset",
            ">secret",
            "<secret",
            "#abc",
            "!abc",
            "(~x nopass)",
            "(~x >p)",
            "(~x",
            "(~{{name}})",
            "+",
            "+@",
            "+get keys",
            "~a b",
            "~{{password}}",
            "~{{ name }}",
            "%X~a",
            "~a\nb",
        ] {
            let statement = serde_json::to_string(&[rule]).unwrap();
            assert!(matches!(read(&statement), Err(TargetError::Settings(_))), "{rule}");
        }
        assert!(read("[\"~*\"").is_err() && read(r#"["~*", 1]"#).is_err());
        check(Purpose::Revoke, &["anything".to_owned()]).unwrap();
        check(Purpose::Create, &["nopass".to_owned()]).unwrap_err();
    }
}
