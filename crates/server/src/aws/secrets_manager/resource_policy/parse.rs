//! From JSON to a policy. What the language does not have is refused, so that a rule is never passed over.

use serde_json::{Map, Value};

use super::{Condition, Listed, Policy, Statement, condition};

/// A text that is no policy: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

fn malformed<T>(text: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(text.into()))
}

const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];

pub(super) fn policy(text: &str) -> Result<Policy, Malformed> {
    let Ok(document) = serde_json::from_str::<Map<String, Value>>(text) else {
        return malformed("The policy is not a JSON object.");
    };
    for (name, value) in &document {
        match name.as_str() {
            "Version" if value.as_str().is_some_and(|version| VERSIONS.contains(&version)) => {}
            "Version" => return malformed("Version must be \"2012-10-17\"."),
            "Id" if value.is_string() => {}
            "Statement" => {}
            _ => return malformed(format!("Unknown member {name:?} of the policy.")),
        }
    }
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.as_slice(),
        Some(statement @ Value::Object(_)) => std::slice::from_ref(statement),
        _ => return malformed("Statement is missing or empty."),
    };
    let read = |(index, statement): (usize, &Value)| {
        read_statement(statement).map_err(|Malformed(text)| Malformed(format!("Statement {}: {text}", index + 1)))
    };
    Ok(Policy { statements: statements.iter().enumerate().map(read).collect::<Result<_, _>>()? })
}

fn read_statement(statement: &Value) -> Result<Statement, Malformed> {
    const MEMBERS: [&str; 9] =
        ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];
    let Some(members) = statement.as_object() else { return malformed("it is not a JSON object.") };
    if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return malformed(format!("unknown member {unknown:?}."));
    }
    let denies = match members.get("Effect").and_then(Value::as_str) {
        Some("Allow") => false,
        Some("Deny") => true,
        _ => return malformed("Effect must be \"Allow\" or \"Deny\"."),
    };
    let actions = listed(members, "Action", "NotAction", texts)?;
    if let Some(action) = actions.items.iter().find(|action| !is_action(action)) {
        return malformed(format!("{action:?} is no action of Secrets Manager."));
    }
    let resources = listed(members, "Resource", "NotResource", texts)?;
    if let Some(resource) = resources.items.iter().find(|item| *item != "*" && !item.starts_with("arn:")) {
        return malformed(format!("{resource:?} is neither an ARN nor \"*\"."));
    }
    let conditions = match members.get("Condition") {
        None => Vec::new(),
        Some(Value::Object(operators)) => condition::read(operators)?,
        Some(_) => return malformed("Condition must be an object."),
    };
    Ok(Statement {
        denies,
        principals: listed(members, "Principal", "NotPrincipal", principals)?,
        actions,
        resources,
        conditions,
    })
}

fn is_action(action: &str) -> bool {
    let lower = action.to_ascii_lowercase();
    lower == "*"
        || lower.strip_prefix("secretsmanager:").is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic() || b"*?".contains(&byte))
        })
}

fn listed(
    members: &Map<String, Value>,
    name: &str,
    not_name: &str,
    read: fn(&Value, &str) -> Result<Vec<String>, Malformed>,
) -> Result<Listed<String>, Malformed> {
    match (members.get(name), members.get(not_name)) {
        (Some(value), None) => Ok(Listed { not: false, items: read(value, name)? }),
        (None, Some(value)) => Ok(Listed { not: true, items: read(value, not_name)? }),
        _ => malformed(format!("it needs {name} or {not_name}, and not both.")),
    }
}

/// One text or several.
pub(super) fn texts(value: &Value, name: &str) -> Result<Vec<String>, Malformed> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    let texts = match value {
        Value::Array(items) if !items.is_empty() => items.iter().map(text).collect(),
        single => text(single).map(|text| vec![text]),
    };
    texts.map_or_else(|| malformed(format!("{name} must be text or a list of texts.")), Ok)
}

/// `"*"` or `{"AWS": …}`; other kinds of principals never ask here, but are taken.
fn principals(value: &Value, name: &str) -> Result<Vec<String>, Malformed> {
    match value {
        Value::String(all) if all == "*" => Ok(vec!["*".to_owned()]),
        Value::Object(kinds) if !kinds.is_empty() => {
            let mut items = Vec::new();
            for (kind, value) in kinds {
                let texts = texts(value, name)?;
                match kind.as_str() {
                    "AWS" => {
                        if let Some(odd) = texts.iter().find(|text| !is_aws_principal(text)) {
                            return malformed(format!("{odd:?} is no principal."));
                        }
                        items.extend(texts);
                    }
                    "Service" | "Federated" | "CanonicalUser" => {
                        items.extend(texts.into_iter().map(|text| format!("{kind}:{text}")));
                    }
                    _ => return malformed(format!("unknown kind of principal {kind:?}.")),
                }
            }
            Ok(items)
        }
        _ => malformed(format!("{name} must be \"*\" or an object such as {{\"AWS\": \"arn:aws:iam::…\"}}.")),
    }
}

fn is_aws_principal(text: &str) -> bool {
    text == "*"
        || text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
        || ["arn:aws:iam::", "arn:aws:sts::"].iter().any(|prefix| text.starts_with(prefix)) && !text.contains('*')
}

impl Condition {
    pub(super) fn unknown<T>(operator: &str) -> Result<T, Malformed> {
        malformed(format!("unknown condition operator {operator:?}."))
    }
}
