//! What the directives of templates stand for: `identity.entity.name`, `identity.groups.names.dev.id` and their kin.

use std::borrow::Cow;

use super::{Alias, Effective, Group};
use crate::policy::Values;

impl Values for Effective {
    fn value(&self, directive: &str) -> Option<Cow<'_, str>> {
        let identity = directive.strip_prefix("identity.")?;
        let text = match identity.split_once('.')? {
            ("entity", rest) => self.of_entity(rest),
            ("groups", rest) => self.of_groups(rest),
            _ => None,
        };
        text.map(Cow::Borrowed)
    }
}

impl Effective {
    fn of_entity(&self, rest: &str) -> Option<&str> {
        let entity = &self.entity;
        match rest.split_once('.') {
            None if rest == "id" => Some(&entity.id),
            None if rest == "name" => Some(&entity.name),
            Some(("metadata", key)) => entity.metadata.get(key).map(String::as_str),
            Some(("aliases", rest)) => {
                let (accessor, field) = rest.split_once('.')?;
                of_alias(entity.alias_at(accessor)?, field)
            }
            _ => None,
        }
    }

    /// Only groups that the entity is in have values.
    fn of_groups(&self, rest: &str) -> Option<&str> {
        let (by, rest) = rest.split_once('.')?;
        let (which, field) = rest.split_once('.')?;
        let group = self.groups.iter().find(|group| match by {
            "ids" => group.id == which,
            "names" => group.name == which,
            _ => false,
        })?;
        of_group(group, field)
    }
}

pub(super) fn of_alias<'a>(alias: &'a Alias, field: &str) -> Option<&'a str> {
    match field.split_once('.') {
        None if field == "id" => Some(&alias.id),
        None if field == "name" => Some(&alias.name),
        Some(("metadata", key)) => alias.metadata.get(key).map(String::as_str),
        Some(("custom_metadata", key)) => alias.custom_metadata.get(key).map(String::as_str),
        _ => None,
    }
}

fn of_group<'a>(group: &'a Group, field: &str) -> Option<&'a str> {
    match field.split_once('.') {
        None if field == "id" => Some(&group.id),
        None if field == "name" => Some(&group.name),
        Some(("metadata", key)) => group.metadata.get(key).map(String::as_str),
        _ => None,
    }
}
