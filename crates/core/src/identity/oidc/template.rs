//! Templates of claims: a JSON object whose values may be directives (`{{identity.entity.name}}`).
//!
//! A directive stands for a whole JSON value, which is written as JSON: no value of an identity can add a claim. What
//! the entity does not have is empty.

use serde_json::{Map, Value, json};

use super::OidcError;
use crate::{
    clock::{SignedDuration, Timestamp},
    duration,
    identity::{Effective, template::of_alias},
};

/// Claims that a template cannot set.
const RESERVED: [&str; 10] =
    ["iat", "aud", "exp", "iss", "sub", "namespace", "nonce", "auth_time", "at_hash", "c_hash"];

/// Checks a template that somebody gives.
pub(super) fn check(template: &str, now: Timestamp) -> Result<(), OidcError> {
    if template.is_empty() {
        return Ok(());
    }
    let filled =
        fill(template, None, now).map_err(|error| OidcError::invalid(format!("error parsing template: {error}")))?;
    let claims: Map<String, Value> = serde_json::from_str(&filled)
        .map_err(|error| OidcError::invalid(format!("error parsing template JSON: {error}")))?;
    match claims.keys().find(|name| RESERVED.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(OidcError::invalid(format!(
            "top level key {name:?} not allowed. Restricted keys: {}",
            RESERVED.join(", ")
        ))),
    }
}

/// Adds the template's claims. One that does not come out as it was checked adds none.
pub(super) fn add_claims(claims: &mut Map<String, Value>, template: &str, entity: &Effective, now: Timestamp) {
    let filled = fill(template, Some(entity), now).ok();
    let added: Option<Map<String, Value>> = filled.and_then(|text| serde_json::from_str(&text).ok());
    let added = added.into_iter().flatten().filter(|(name, _)| !RESERVED.contains(&name.as_str()));
    claims.extend(added);
}

/// The template with JSON in place of its directives; without an entity, with what is empty.
fn fill(template: &str, entity: Option<&Effective>, now: Timestamp) -> Result<String, &'static str> {
    const UNBALANCED: &str = "unbalanced templating characters";
    let mut parts = template.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (directive, rest) = part.split_once("}}").ok_or(UNBALANCED)?;
        // Objects in objects end in two braces as well, so what follows may hold them.
        let value = value(directive.trim(), entity, now).ok_or("a directive is unknown")?;
        filled.push_str(&value.to_string());
        filled.push_str(rest);
    }
    Ok(filled)
}

fn value(directive: &str, entity: Option<&Effective>, now: Timestamp) -> Option<Value> {
    if let Some(rest) = directive.strip_prefix("identity.entity.") {
        return of_entity(rest, entity);
    }
    let mut parts = directive.strip_prefix("time.now")?.splitn(3, '.').skip(1);
    let at = match (parts.next(), parts.next()) {
        (None, _) => now,
        (Some(operator), Some(seconds)) => {
            let seconds = i64::try_from(duration::parse_seconds(seconds).ok()?).ok()?;
            let shift = SignedDuration::from_secs(if operator == "minus" { -seconds } else { seconds });
            matches!(operator, "plus" | "minus").then(|| now.checked_add(shift).ok())??
        }
        (Some(_), None) => return None,
    };
    Some(json!(at.as_second()))
}

fn of_entity(rest: &str, entity: Option<&Effective>) -> Option<Value> {
    let record = entity.map(|effective| &*effective.entity);
    let groups = entity.map_or(&[][..], |effective| &effective.groups);
    match rest.split_once('.') {
        None => match rest {
            "id" => Some(json!(record.map_or("", |entity| &entity.id))),
            "name" => Some(json!(record.map_or("", |entity| &entity.name))),
            "metadata" => Some(record.map_or(json!({}), |entity| json!(entity.metadata))),
            _ => None,
        },
        Some(("metadata", key)) => {
            Some(json!(record.and_then(|entity| entity.metadata.get(key)).map_or("", String::as_str)))
        }
        Some(("groups", "names")) => Some(groups.iter().map(|group| group.name.as_str()).collect()),
        Some(("groups", "ids")) => Some(groups.iter().map(|group| group.id.as_str()).collect()),
        Some(("aliases", rest)) => {
            let (accessor, field) = rest.split_once('.')?;
            let alias = record.and_then(|entity| entity.alias_at(accessor));
            match field {
                "metadata" => Some(alias.map_or(json!({}), |alias| json!(alias.metadata))),
                "custom_metadata" => Some(alias.map_or(json!({}), |alias| json!(alias.custom_metadata))),
                "id" | "name" => Some(json!(alias.and_then(|alias| of_alias(alias, field)).unwrap_or(""))),
                _ if field.starts_with("metadata.") || field.starts_with("custom_metadata.") => {
                    Some(json!(alias.and_then(|alias| of_alias(alias, field)).unwrap_or("")))
                }
                _ => None,
            }
        }
        Some(_) => None,
    }
}
