//! Holds what a client sent to the model's constraints, in the words that the service has for each.
//!
//! Values stay where they lie in the text: nothing of a secret is copied but into memory that is wiped.

use std::{borrow::Cow, collections::BTreeMap};

use keyturn_core::secret::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::rule::{Member, Rule, Text};

/// Values that are quoted in a message are cut here.
const QUOTED: usize = 128;

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// It is no JSON object, or a member has another type.
    Shape(String),
    /// Constraints that do not hold.
    Constraints(String),
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

type Object<'a> = BTreeMap<Name<'a>, &'a RawValue>;

/// Checks the text of a request against what its operation takes. Members that it does not know are passed over.
///
/// # Errors
/// [`Misfit::Shape`] for the first member of another type, else [`Misfit::Constraints`] with all that do not hold.
pub fn check(members: &[Member], text: &[u8]) -> Result<(), Misfit> {
    let mut checking = Checking::default();
    let object: Object<'_> = serde_json::from_slice(text)
        .map_err(|_| Misfit::Shape("Start of structure or map found where not expected.".to_owned()))?;
    checking.structure(members, &object, "")?;
    match checking.broken.len() {
        0 => Ok(()),
        count => {
            let errors = if count == 1 { "error" } else { "errors" };
            Err(Misfit::Constraints(format!("{count} validation {errors} detected: {}", checking.broken.join("; "))))
        }
    }
}

#[derive(Default)]
struct Checking {
    broken: Vec<String>,
}

impl Checking {
    fn structure(&mut self, members: &[Member], object: &Object<'_>, at: &str) -> Result<(), Misfit> {
        for member in members {
            let path = || format!("{at}{}", in_lower_case(member.name));
            let value = object.get(&Name(Cow::Borrowed(member.name))).filter(|value| value.get() != "null");
            match value {
                Some(value) => self.value(member.rule, value, &path())?,
                None if member.required => self.fail(None, &path(), "Member must not be null"),
                None => {}
            }
        }
        Ok(())
    }

    fn value(&mut self, rule: &Rule, value: &RawValue, at: &str) -> Result<(), Misfit> {
        match rule {
            Rule::Flag => typed::<bool>(value, "Boolean").map(|_| ()),
            Rule::Integer { min, max } => {
                let number = typed::<i64>(value, "Integer")?;
                let quoted = number.to_string();
                if number < *min {
                    self.fail(Some(&quoted), at, &format!("Member must have value greater than or equal to {min}"));
                } else if number > *max {
                    self.fail(Some(&quoted), at, &format!("Member must have value less than or equal to {max}"));
                }
                Ok(())
            }
            Rule::Text(text) => {
                let value = typed::<SecretString>(value, "String")?;
                self.text(text, value.expose_secret(), at);
                Ok(())
            }
            Rule::Bytes { min, max } => {
                let value = typed::<SecretString>(value, "Blob")?;
                self.length(None, decoded_len(value.expose_secret()), (*min, *max), at);
                Ok(())
            }
            Rule::List { of, min, max } => {
                let items = typed::<Vec<&RawValue>>(value, "List")?;
                self.length(None, items.len(), (*min, *max), at);
                for (index, item) in items.iter().enumerate() {
                    self.value(of, item, &format!("{at}.{}.member", index + 1))?;
                }
                Ok(())
            }
            Rule::Structure(members) => {
                let object = typed::<Object<'_>>(value, "Structure")?;
                self.structure(members, &object, &format!("{at}."))
            }
        }
    }

    fn text(&mut self, rule: &Text, value: &str, at: &str) {
        let shown = (!rule.sensitive).then_some(value);
        // A secret's bound is one of bytes, all others count characters.
        let length = if rule.sensitive { value.len() } else { value.chars().count() };
        self.length(shown, length, (rule.min, rule.max), at);
        if let Some(pattern) = rule.pattern.filter(|pattern| !(pattern.matches)(value)) {
            self.fail(shown, at, &format!("Member must satisfy regular expression pattern: {}", pattern.text));
        }
        if !rule.one_of.is_empty() && !rule.one_of.contains(&value) {
            self.fail(shown, at, &format!("Member must satisfy enum value set: [{}]", rule.one_of.join(", ")));
        }
    }

    fn length(&mut self, shown: Option<&str>, length: usize, (min, max): (usize, usize), at: &str) {
        if length < min {
            self.fail(shown, at, &format!("Member must have length greater than or equal to {min}"));
        } else if length > max {
            self.fail(shown, at, &format!("Member must have length less than or equal to {max}"));
        }
    }

    fn fail(&mut self, shown: Option<&str>, at: &str, constraint: &str) {
        let value = match shown {
            _ if constraint == "Member must not be null" => "Value null".to_owned(),
            Some(value) => format!("Value '{}'", value.chars().take(QUOTED).collect::<String>()),
            None => "Value".to_owned(),
        };
        self.broken.push(format!("{value} at '{at}' failed to satisfy constraint: {constraint}"));
    }
}

fn typed<'a, T: Deserialize<'a>>(value: &'a RawValue, expected: &str) -> Result<T, Misfit> {
    let found = match value.get().as_bytes().first() {
        Some(b'"') => "STRING_VALUE",
        Some(b'{') => "START_OBJECT",
        Some(b'[') => "START_ARRAY",
        Some(b't') => "TRUE_VALUE",
        Some(b'f') => "FALSE_VALUE",
        Some(b'n') => "NULL_VALUE",
        _ => "NUMBER_VALUE",
    };
    serde_json::from_str(value.get()).map_err(|_| Misfit::Shape(format!("{found} can not be converted to {expected}")))
}

/// The number of bytes that base64 text stands for.
fn decoded_len(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

fn in_lower_case(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_ascii_lowercase().to_string() + chars.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::Operation, *};

    fn check(operation: Operation, text: &str) -> Result<(), Misfit> {
        super::check(operation.members(), text.as_bytes())
    }

    #[test]
    fn each_broken_constraint_is_told_with_its_place() {
        let text = r#"{"Filters":[{"Key":"size","Values":["a*"]}],"MaxResults":0,"Other":{}}"#;
        let expected = "3 validation errors detected: Value '0' at 'maxResults' failed to satisfy constraint: Member must \
             have value greater than or equal to 1; Value 'size' at 'filters.1.member.key' failed to satisfy constraint: \
             Member must satisfy enum value set: [description, name, tag-key, tag-value, primary-region, \
             owning-service, all]; Value 'a*' at 'filters.1.member.values.1.member' failed to satisfy constraint: Member \
             must satisfy regular expression pattern: ^\\!?[a-zA-Z0-9 :_@\\/\\+\\=\\.\\-\\!]*$";
        assert_eq!(check(Operation::ListSecrets, text), Err(Misfit::Constraints(expected.to_owned())));
    }

    #[test]
    fn what_is_missing_is_null() {
        let expected = "1 validation error detected: Value null at 'secretId' failed to satisfy constraint: Member must \
             not be null";
        for text in ["{}", r#"{"SecretId":null}"#] {
            assert_eq!(check(Operation::DescribeSecret, text), Err(Misfit::Constraints(expected.to_owned())));
        }
    }

    #[test]
    fn a_secret_is_never_quoted() {
        let text = format!(r#"{{"SecretId":"a","SecretString":"{}"}}"#, "hunter2".repeat(10_000));
        let Err(Misfit::Constraints(message)) = check(Operation::PutSecretValue, &text) else { panic!("accepted") };
        assert!(message.contains("'secretString'") && !message.contains("hunter2"), "{message}");
        let text = format!(r#"{{"SecretId":"a","SecretBinary":"{}"}}"#, "A".repeat(65_537 * 4 / 3 + 4));
        assert!(check(Operation::PutSecretValue, &text).is_err());
    }

    #[test]
    fn another_type_is_another_error() {
        for text in
            [r#"{"SecretId":1}"#, r#"{"SecretId":["a"]}"#, "[]", "{", r#"{"SecretId":"a","IncludeDeprecated":1}"#]
        {
            assert!(matches!(check(Operation::ListSecretVersionIds, text), Err(Misfit::Shape(_))), "{text}");
        }
    }
}
