//! All that an [`Acl`] grants, as user interfaces ask for it to show or hide what can be done.

use super::acl::{Acl, Permissions};
use super::constraint::Constraints;

/// What is granted on one path.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultantRule {
    /// The path, or the prefix without its `*`.
    pub path: String,
    /// The words that `sys/capabilities` lists.
    pub capabilities: Vec<&'static str>,
    /// What is demanded besides.
    pub constraints: Constraints,
}

/// All rules of an [`Acl`] but those with `+`, which Vault does not tell either.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resultant {
    /// Everything is granted; no rule is listed then.
    pub root: bool,
    /// Rules for one path, sorted.
    pub exact: Vec<ResultantRule>,
    /// Rules for what begins with a text, sorted.
    pub prefixes: Vec<ResultantRule>,
}

impl Acl {
    /// Everything that it grants and denies.
    #[must_use]
    pub fn resultant(&self) -> Resultant {
        if self.root {
            return Resultant { root: true, ..Resultant::default() };
        }
        let sorted = |mut rules: Vec<ResultantRule>| {
            rules.sort_by(|one, other| one.path.cmp(&other.path));
            rules
        };
        let exact = self.exact.iter().map(|(path, permissions)| told(path, permissions));
        let prefixes =
            self.wild.iter().filter_map(|(pattern, permissions)| Some(told(pattern.as_prefix()?, permissions)));
        Resultant { root: false, exact: sorted(exact.collect()), prefixes: sorted(prefixes.collect()) }
    }
}

fn told(path: &str, permissions: &Permissions) -> ResultantRule {
    // A deny wins over what other stanzas on the same path grant.
    let capabilities = if permissions.capabilities.denies() { vec!["deny"] } else { permissions.capabilities.names() };
    ResultantRule { path: path.to_owned(), capabilities, constraints: permissions.constraints.clone() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::Policy;

    #[test]
    fn exact_paths_and_prefixes_are_told_apart() {
        let text = r#"
            path "b" { capabilities = ["read", "list"] }
            path "a" { capabilities = ["update"] min_wrapping_ttl = "90s" }
            path "c/*" { capabilities = ["read"] }
            path "c/*" { capabilities = ["deny"] }
            path "d/+/e" { capabilities = ["read"] }
        "#;
        let acl = Acl::compile(&[Arc::new(Policy::parse("p", text).expect("policy"))]);
        let resultant = acl.resultant();
        let paths = |rules: &[ResultantRule]| -> Vec<(String, String)> {
            rules.iter().map(|rule| (rule.path.clone(), rule.capabilities.join(","))).collect()
        };
        assert_eq!(paths(&resultant.exact), [("a".into(), "update".into()), ("b".into(), "list,read".into())]);
        assert_eq!(paths(&resultant.prefixes), [("c/".into(), "deny".into())]);
        assert_eq!(resultant.exact[0].constraints.min_wrapping_ttl, Some(90));
        assert!(Acl::compile(&[Arc::new(Policy::root())]).resultant().root);
    }
}
