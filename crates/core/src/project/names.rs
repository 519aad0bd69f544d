//! What projects, environments and configs can be called, and which environment a config belongs to.

use super::{Project, ProjectError};

/// The longest name of a project, in characters.
pub const MAX_PROJECT: usize = 80;
/// The longest slug of an environment.
pub const MAX_ENVIRONMENT: usize = 50;
/// The longest name of a config.
pub const MAX_CONFIG: usize = 60;

fn is_slug(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
}

fn check(what: &str, name: &str, longest: usize) -> Result<(), ProjectError> {
    if (1..=longest).contains(&name.len()) && is_slug(name) {
        return Ok(());
    }
    let shown: String = name.chars().take(longest).collect();
    Err(ProjectError::Invalid(format!(
        "{what} '{shown}' must be 1 to {longest} lower-case letters, digits, dashes and underscores"
    )))
}

pub(super) fn check_project(name: &str) -> Result<(), ProjectError> {
    check("project name", name, MAX_PROJECT)
}

/// An environment's slug has no underscore: what follows one names a branch.
pub(super) fn check_environment(slug: &str) -> Result<(), ProjectError> {
    check("environment slug", slug, MAX_ENVIRONMENT)
}

pub(super) fn check_config(name: &str) -> Result<(), ProjectError> {
    check("config name", name, MAX_CONFIG)
}

/// Whether a config of that name is a root or a branch of an environment.
pub(super) fn belongs(config: &str, environment: &str) -> bool {
    config.strip_prefix(environment).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// The environment of a config that nobody said anything about: the longest of those known that its name begins with,
/// else what stands before its first underscore.
pub(super) fn environment_of<'a>(config: &'a str, known: impl Iterator<Item = &'a str>) -> &'a str {
    known
        .filter(|environment| belongs(config, environment))
        .max_by_key(|environment| environment.len())
        .unwrap_or_else(|| config.split('_').next().filter(|slug| !slug.is_empty()).unwrap_or(config))
}

/// The environment of a config, as its project says or its name does.
pub(crate) fn environment_of_config(project: Option<&Project>, config: &str) -> String {
    let declared = project.and_then(|project| project.config(config)).map(|config| config.environment.as_str());
    let known = project.into_iter().flat_map(|project| &project.environments).map(|known| known.slug.as_str());
    declared.unwrap_or_else(|| environment_of(config, known)).to_owned()
}

/// A slug from a name that people gave: lower case, with dashes for what cannot be in one.
#[must_use]
pub fn slug_of(name: &str) -> String {
    let mut slug = String::new();
    for c in name.trim().chars() {
        let c = c.to_ascii_lowercase();
        let c = if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        if c != '-' || !slug.ends_with('-') {
            slug.push(c);
        }
    }
    slug.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_slugs() {
        for name in ["a", "my-app_2", &"x".repeat(80)] {
            assert!(check_project(name).is_ok(), "{name}");
        }
        for name in ["", "A", "a b", "a/b", "ü", "a.b", "*", "+", "{{x}}", "a\"b", &"x".repeat(81)] {
            assert!(check_project(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_config_belongs_to_the_longest_environment_that_it_begins_with() {
        let known = || ["dev", "dev_eu", "prd"].into_iter();
        for (config, environment) in
            [("dev", "dev"), ("dev_x", "dev"), ("dev_eu_x", "dev_eu"), ("develop", "develop"), ("stg_a_b", "stg")]
        {
            assert_eq!(environment_of(config, known()), environment, "{config}");
        }
        assert_eq!(environment_of("_x", [].into_iter()), "_x");
    }

    #[test]
    fn names_for_people_become_slugs() {
        for (name, slug) in [("My App", "my-app"), ("  Été  2 ", "t-2"), ("a_b", "a_b"), ("--", "")] {
            assert_eq!(slug_of(name), slug, "{name}");
        }
    }
}
