//! All that an [`Acl`] grants, as user interfaces ask for it to show or hide what can be done.

use std::collections::BTreeMap;

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
        if self.shared.root {
            return Resultant { root: true, ..Resultant::default() };
        }
        // What the identity adds to a path comes later, with the demands of both.
        let (mut exact, mut prefixes) = (BTreeMap::new(), BTreeMap::new());
        for rules in std::iter::once(&*self.shared).chain(&self.own) {
            exact.extend(rules.exact.iter().map(|(path, permissions)| (path.as_str(), permissions)));
            let wild = rules.wild.iter();
            prefixes.extend(wild.filter_map(|(pattern, permissions)| Some((pattern.as_prefix()?, permissions))));
        }
        let all = |rules: BTreeMap<&str, &Permissions>| {
            rules.into_iter().map(|(path, permissions)| told(path, permissions)).collect()
        };
        Resultant { root: false, exact: all(exact), prefixes: all(prefixes) }
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
