//! Policies that an identity fills in: no value reaches further than a harmless one.

use std::{borrow::Cow, sync::Arc};

use proptest::prelude::*;

use super::super::{Acl, Operation, Policy, Values};
use super::{granted, plain};

const OPERATIONS: [Operation; 4] = [Operation::Read, Operation::Update, Operation::Delete, Operation::List];

/// An identity of which one thing is known.
struct Known<'a>(&'a str);

impl Values for Known<'_> {
    fn value(&self, directive: &str) -> Option<Cow<'_, str>> {
        (directive == "v").then_some(Cow::Borrowed(self.0))
    }
}

fn filled(text: &str, value: &str) -> Acl {
    let policies = [Arc::new(Policy::parse("test", text).unwrap())];
    Acl::compile(&policies).filled_in(&policies, &Known(value))
}

fn reads(acl: &Acl, path: &str) -> bool {
    granted(plain(acl, Operation::Read, path))
}

#[test]
fn stanzas_of_anybody_and_of_the_identity_count_together() {
    let text = r#"
        path "a/*"       { capabilities = ["read"] }
        path "a/{{v}}"   { capabilities = ["update"] }
        path "a/b"       { capabilities = ["list"] }
        path "b/+/{{v}}" { capabilities = ["read"] }
        path "b/+/c"     { capabilities = ["delete"] }
        path "c/*"       { capabilities = ["read"] }
        path "c/{{v}}/*" { capabilities = ["deny"] }
    "#;
    let acl = filled(text, "b");
    assert_eq!(acl.capabilities("a/b"), ["list", "update"], "the same path in both");
    assert_eq!(acl.capabilities("a/c"), ["read"]);
    assert_eq!(acl.capabilities("b/x/b"), ["read"]);
    assert_eq!(acl.capabilities("c/b/x"), ["deny"], "the later wildcard decides");
    assert_eq!(acl.capabilities("c/d/x"), ["read"]);
    assert_eq!(filled(text, "c").capabilities("b/x/c"), ["delete", "read"], "the same pattern in both");
    assert!(acl.allows_anything_below("b/"));
}

#[test]
fn what_cannot_be_filled_in_is_not_there() {
    let text = r#"path "a/{{w}}" { capabilities = ["read"] }"#;
    assert!(!reads(&filled(text, "b"), "a/{{w}}") && !reads(&filled(text, "b"), "a/b"));
}

/// Patterns with the directive somewhere, and some without; few literals, so that they meet.
fn stanza() -> impl Strategy<Value = (String, &'static str)> {
    let part = prop::sample::select(vec!["a", "b", "{{v}}", "{{v}}", "+", "a{{v}}", "{{ v }}b", "{{v}}{{v}}"]);
    let word = prop::sample::select(vec!["read", "update", "delete", "list", "deny"]);
    (prop::collection::vec(part, 1..4), any::<bool>(), word)
        .prop_map(|(parts, glob, word)| (format!("{}{}", parts.join("/"), if glob { "*" } else { "" }), word))
        .prop_filter("refused by the parser", |(path, _)| !path.contains("+*"))
}

fn text_of(stanzas: &[(String, &str)]) -> String {
    stanzas.iter().map(|(path, word)| format!("path {path:?} {{ capabilities = [{word:?}] }}\n")).collect()
}

fn path() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["a", "b", "ab", "aa", "*", "+", "x", "a*", "{{v}}"]);
    prop::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"))
}

/// Values that would be syntax if they were taken for it.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["*", "+", "/", "\0", "a", "b", "..", "", "x"]);
    prop::collection::vec(part, 0..4)
        .prop_map(|parts| parts.concat())
        .prop_filter("harmless", |value| value.is_empty() || value.contains(['*', '+', '/', '\0']))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What a hostile value is granted, a value that nobody has heard of is granted too.
    #[test]
    fn no_hostile_value_is_granted_more(
        stanzas in prop::collection::vec(stanza(), 1..10),
        value in hostile(),
        paths in prop::collection::vec(path(), 1..12),
    ) {
        let text = text_of(&stanzas);
        let (hostile, unheard) = (filled(&text, &value), filled(&text, "~~~"));
        for path in paths.iter().chain([&value]) {
            for operation in OPERATIONS {
                if granted(plain(&hostile, operation, path)) {
                    prop_assert!(granted(plain(&unheard, operation, path)), "{} {} with {:?}", operation, path, value);
                }
            }
        }
    }

    /// A harmless value, however strange, is granted exactly what another one of the same length is in its own place.
    #[test]
    fn harmless_values_are_alike(
        stanzas in prop::collection::vec(stanza(), 1..10),
        value in "[{}%. \"'$~]{2,4}",
        paths in prop::collection::vec(prop::collection::vec(prop::sample::select(vec!["a", "b", "V", "aV", "Vb", "VV", "x"]), 1..5), 1..12),
    ) {
        let text = text_of(&stanzas);
        let other: String = "#".repeat(value.len());
        let (one, two) = (filled(&text, &value), filled(&text, &other));
        for parts in paths {
            let path = parts.join("/");
            let (of_one, of_two) = (path.replace('V', &value), path.replace('V', &other));
            for operation in OPERATIONS {
                prop_assert_eq!(
                    granted(plain(&one, operation, &of_one)),
                    granted(plain(&two, operation, &of_two)),
                    "{} {} as {:?}", operation, path, value
                );
            }
        }
    }
}
