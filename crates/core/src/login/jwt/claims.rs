//! What a token says, held against what a role demands.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value;

use super::{JwtError, JwtRole};
use crate::login::{glob, jose::Claims};

/// The longest user and group, and the longest claim that becomes metadata, in bytes: all of it is kept with the token.
const MAX_NAME: usize = 512;
const MAX_METADATA: usize = 4096;

/// A claim by its name, or by a JSON pointer (RFC 6901) if it begins with a slash. A single audience is a list of one.
pub(super) fn claim<'a>(claims: &'a Claims, name: &str) -> Option<Cow<'a, Value>> {
    let found = match name.strip_prefix('/') {
        None => claims.get(name),
        Some(pointer) => at(claims, pointer),
    };
    match found {
        None | Some(Value::Null) => None,
        Some(Value::String(single)) if name == "aud" => Some(Cow::Owned(Value::from(vec![single.as_str()]))),
        Some(value) => Some(Cow::Borrowed(value)),
    }
}

fn at<'a>(claims: &'a Claims, pointer: &str) -> Option<&'a Value> {
    let (first, rest) = pointer.split_once('/').unwrap_or((pointer, ""));
    let first = claims.get(&first.replace("~1", "/").replace("~0", "~"))?;
    if rest.is_empty() { Some(first) } else { first.pointer(&format!("/{rest}")) }
}

/// A value as a list of plain values: providers make a text of a list of one. `None`: it holds what is no plain value.
pub(super) fn as_list(value: &Value) -> Option<Vec<&Value>> {
    let plain = |value: &Value| value.is_string() || value.is_boolean() || value.is_number();
    match value {
        Value::Array(values) => Some(values.iter().collect()),
        value if plain(value) => Some(vec![value]),
        _ => None,
    }
}

/// Checks the role's `bound_claims`: each must be there, with one of its values.
pub(super) fn check_bound(role: &JwtRole, claims: &Claims) -> Result<(), JwtError> {
    let refused = |text: String| JwtError::Claims(format!("error validating claims: {text}"));
    for (name, expected) in &role.bound_claims {
        let actual = claim(claims, name).ok_or_else(|| refused(format!("claim {name:?} is missing")))?;
        let odd = || refused(format!("claim {name:?} is not a string, bool, number or list"));
        let (actual, expected) = (as_list(&actual).ok_or_else(odd)?, as_list(expected).ok_or_else(odd)?);
        let fits = |expected: &Value| actual.iter().any(|actual| fits(role.glob_claims, expected, actual));
        if !expected.into_iter().any(fits) {
            return Err(refused(format!("claim {name:?} does not match any associated bound claim values")));
        }
    }
    Ok(())
}

fn fits(globs: bool, expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::String(pattern), Value::String(text)) if globs => glob::matches(pattern, text),
        (Value::Number(a), Value::Number(b)) if !globs => a == b || (a.as_f64().is_some() && a.as_f64() == b.as_f64()),
        _ => !globs && expected == actual,
    }
}

/// Who it is.
pub(super) fn user(role: &JwtRole, claims: &Claims) -> Result<String, JwtError> {
    let name = &role.user_claim;
    let found = if role.user_claim_json_pointer {
        claim(claims, name)
    } else {
        claims.get(name).filter(|value| !value.is_null()).map(Cow::Borrowed)
    };
    let missing = || JwtError::Claims(format!("claim {name:?} not found in token"));
    let text = found.ok_or_else(missing)?;
    let user = text.as_str().filter(|user| (1..=MAX_NAME).contains(&user.len()));
    user.map(str::to_owned).ok_or_else(|| JwtError::Claims(format!("claim {name:?} could not be converted to string")))
}

/// The groups it is in.
pub(super) fn groups(role: &JwtRole, claims: &Claims) -> Result<Vec<String>, JwtError> {
    let name = &role.groups_claim;
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let missing = || JwtError::Claims(format!("failed to fetch groups: {name:?} claim not found in token"));
    let odd = || JwtError::Claims(format!("{name:?} claim could not be converted to string list"));
    let found = claim(claims, name).ok_or_else(missing)?;
    let names: Option<Vec<&str>> = as_list(&found).ok_or_else(odd)?.into_iter().map(Value::as_str).collect();
    Ok(names
        .ok_or_else(odd)?
        .into_iter()
        .filter(|name| (1..=MAX_NAME).contains(&name.len()))
        .map(str::to_owned)
        .collect())
}

/// Claims that become metadata. One that is not there is left out.
pub(super) fn metadata(role: &JwtRole, claims: &Claims) -> Result<BTreeMap<String, String>, JwtError> {
    let mut metadata = BTreeMap::new();
    for (source, target) in &role.claim_mappings {
        let Some(value) = claim(claims, source) else { continue };
        let odd = || JwtError::Claims(format!("error converting claim '{source}' to string"));
        let text = value.as_str().filter(|text| text.len() <= MAX_METADATA).ok_or_else(odd)?;
        metadata.insert(target.clone(), text.to_owned());
    }
    Ok(metadata)
}

/// The audiences that a token is meant for.
pub(super) fn audiences(claims: &Claims) -> Vec<&str> {
    match claims.get("aud") {
        Some(Value::String(single)) => vec![single],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims() -> Claims {
        let claims = json!({
            "sub": "repo:org/app:ref:refs/heads/main",
            "aud": "keyturn",
            "ids": ["a", "b"],
            "admin": true,
            "level": 3,
            "https://x/y": "odd",
            "nested": {"groups": ["dev", "", "ops"], "a/b": {"c": "deep"}, "list": [{"n": "first"}]},
            "nothing": null,
        });
        claims.as_object().cloned().unwrap_or_default()
    }

    fn bound(globs: bool, bound: &Value) -> Result<(), JwtError> {
        let bound_claims = bound.as_object().cloned().unwrap_or_default();
        check_bound(&JwtRole { glob_claims: globs, bound_claims, ..JwtRole::default() }, &claims())
    }

    #[test]
    fn claims_are_found_by_name_and_by_pointer() {
        let claims = claims();
        let text = |name: &str| claim(&claims, name).map(|value| value.to_string());
        assert_eq!(text("/nested/a~1b/c").as_deref(), Some("\"deep\""));
        assert_eq!(text("/nested/list/0/n").as_deref(), Some("\"first\""));
        assert_eq!(text("/https:~1~1x~1y").as_deref(), Some("\"odd\""));
        assert_eq!(text("aud").as_deref(), Some("[\"keyturn\"]"));
        for missing in ["nothing", "/nested/none", "nested/groups", "/", ""] {
            assert_eq!(text(missing), None, "{missing}");
        }
    }

    #[test]
    fn every_bound_claim_must_fit_and_one_of_its_values_is_enough() {
        for (globs, demand, good) in [
            (false, json!({"sub": "repo:org/app:ref:refs/heads/main"}), true),
            (false, json!({"sub": "repo:org/*"}), false),
            (true, json!({"sub": "repo:org/*"}), true),
            (true, json!({"sub": ["repo:other/*", "repo:*:ref:refs/heads/main"]}), true),
            (true, json!({"sub": "repo:org/app"}), false),
            (true, json!({"admin": "*"}), false),
            (false, json!({"ids": "b", "admin": true, "level": 3}), true),
            (false, json!({"ids": "b", "admin": false}), false),
            (false, json!({"level": "3"}), false),
            (false, json!({"level": 3.0}), true),
            (false, json!({"aud": ["other", "keyturn"]}), true),
            (false, json!({"absent": "x"}), false),
            (false, json!({"nested": "x"}), false),
            (false, json!({"ids": []}), false),
        ] {
            assert_eq!(bound(globs, &demand).is_ok(), good, "{demand}");
        }
    }

    #[test]
    fn the_user_is_a_text_and_groups_are_texts() {
        let user = |claim: &str, pointer| {
            let role = JwtRole { user_claim: claim.into(), user_claim_json_pointer: pointer, ..JwtRole::default() };
            user(&role, &claims())
        };
        assert_eq!(user("/nested/a~1b/c", true).expect("a user"), "deep");
        let long = json!({"sub": "x".repeat(MAX_NAME + 1)}).as_object().cloned().unwrap_or_default();
        assert!(super::user(&JwtRole { user_claim: "sub".into(), ..JwtRole::default() }, &long).is_err());
        assert!(user("/nested/a~1b/c", false).is_err() && user("level", false).is_err());
        let groups = |claim: &str| groups(&JwtRole { groups_claim: claim.into(), ..JwtRole::default() }, &claims());
        assert_eq!(groups("/nested/groups").expect("groups"), ["dev", "ops"]);
        assert_eq!(groups("sub").expect("one group").len(), 1);
        assert!(groups("level").is_err() && groups("none").is_err());
        assert!(groups("").expect("none").is_empty());
    }
}
