//! The compiled engine against one that is slow and obvious: it keeps every stanza as text, matches segment by
//! segment, and compares all that match by the documented order, word for word.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::{Acl, Operation};
use super::{acl, granted, plain};

/// Path as written, capabilities.
type Stanza = (String, Vec<&'static str>);

const OPERATIONS: [(Operation, &str); 6] = [
    (Operation::Create, "create"),
    (Operation::Read, "read"),
    (Operation::Update, "update"),
    (Operation::Delete, "delete"),
    (Operation::List, "list"),
    (Operation::Patch, "patch"),
];

struct Reference(Vec<Stanza>);

impl Reference {
    /// The words granted on `path`, `deny` included.
    fn words(&self, path: &str, list: bool) -> BTreeSet<&'static str> {
        let bare = path.strip_suffix('/').filter(|_| list);
        let candidates = [Some(path), bare];
        let exact = candidates.into_iter().flatten().find_map(|path| self.best(path, |pattern| !is_wild(pattern)));
        let found = exact.or_else(|| candidates.into_iter().flatten().find_map(|path| self.best(path, is_wild)));
        let Some(pattern) = found else { return BTreeSet::new() };
        let same_path = self.0.iter().filter(|(other, _)| *other == pattern);
        let words: BTreeSet<_> = same_path.flat_map(|(_, words)| words.iter().copied()).collect();
        if words.contains("deny") { BTreeSet::from(["deny"]) } else { words }
    }

    fn best(&self, path: &str, kind: impl Fn(&str) -> bool) -> Option<String> {
        let matching = self.0.iter().map(|(pattern, _)| pattern.as_str());
        let matching = matching.filter(|pattern| kind(pattern) && matches(pattern, path));
        matching.max_by(|one, other| priority(one, other)).map(str::to_owned)
    }
}

fn is_wild(pattern: &str) -> bool {
    pattern.ends_with('*') || pattern.split('/').any(|segment| segment == "+")
}

fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<_> = pattern.split('/').collect();
    let path: Vec<_> = path.split('/').collect();
    for (index, segment) in pattern.iter().enumerate() {
        let Some(part) = path.get(index) else { return false };
        let last = index + 1 == pattern.len();
        match segment.strip_suffix('*') {
            Some(prefix) if last => return path[index..].join("/").starts_with(prefix),
            _ if *segment == "+" || segment == part => {}
            _ => return false,
        }
    }
    pattern.len() == path.len()
}

fn priority(one: &str, other: &str) -> Ordering {
    let text = |pattern: &str| pattern.strip_suffix('*').unwrap_or(pattern).to_owned();
    let first_wildcard = |pattern: &str| {
        let segments: Vec<_> = pattern.split('/').collect();
        let plus = segments.iter().position(|segment| *segment == "+");
        plus.map_or(text(pattern).len(), |plus| segments[..plus].iter().map(|segment| segment.len() + 1).sum())
    };
    let pluses = |pattern: &str| pattern.split('/').filter(|segment| *segment == "+").count();
    // "P1 is lower priority if …", one rule after the other.
    first_wildcard(one)
        .cmp(&first_wildcard(other))
        .then(other.ends_with('*').cmp(&one.ends_with('*')))
        .then(pluses(other).cmp(&pluses(one)))
        .then(text(one).len().cmp(&text(other).len()))
        .then(text(one).cmp(&text(other)))
}

/// Few segments, so that many patterns match the same path; `(` sorts before `+`, letters after it.
fn segment() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "a", "a", "(a", "é", "+", "+", "+", "a+", "*"]).prop_map(str::to_owned)
}

fn pattern() -> impl Strategy<Value = String> {
    (prop::collection::vec(segment(), 1..5), any::<bool>())
        .prop_map(|(segments, glob)| format!("{}{}", segments.join("/"), if glob { "*" } else { "" }))
        .prop_filter("refused by the parser, or changed by it", |path| !path.contains("+*") && !path.starts_with('/'))
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["", "a", "a", "a", "(a", "(a", "é", "+", "a+", "ab"]);
    prop::collection::vec(segment, 1..6)
        .prop_map(|segments| segments.join("/"))
        .prop_filter("leading slashes are dropped", |path| !path.starts_with('/'))
}

fn stanza() -> impl Strategy<Value = Stanza> {
    let word = prop::sample::select(vec!["create", "read", "update", "delete", "list", "patch", "sudo", "deny"]);
    (pattern(), prop::collection::vec(word, 0..3))
}

fn compiled(stanzas: &[Stanza]) -> Acl {
    let texts = stanzas.iter().map(|(path, words)| format!("path {path:?} {{ capabilities = {words:?} }}"));
    let texts: Vec<_> = texts.collect();
    acl(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_engine_decides_as_the_reference(
        stanzas in prop::collection::vec(stanza(), 0..24),
        paths in prop::collection::vec(path(), 1..12),
    ) {
        let (acl, reference) = (compiled(&stanzas), Reference(stanzas));
        for path in &paths {
            for (operation, word) in OPERATIONS {
                let expected = reference.words(path, operation == Operation::List).contains(word);
                prop_assert_eq!(granted(plain(&acl, operation, path)), expected, "{} {}", operation, path);
            }
            let mut words: Vec<_> = reference.words(path, true).into_iter().collect();
            if words.is_empty() {
                words.push("deny");
            }
            prop_assert_eq!(acl.capabilities(path), words, "{}", path);
        }
    }

    #[test]
    fn a_mount_shows_if_anything_below_it_is_granted(
        stanzas in prop::collection::vec(stanza(), 0..24),
        mount in "(a|é|ab)(/(a|é|ab)){0,2}/",
        rests in prop::collection::vec(path(), 1..12),
    ) {
        let acl = compiled(&stanzas);
        for rest in &rests {
            let path = format!("{mount}{rest}");
            if OPERATIONS.into_iter().any(|(operation, _)| granted(plain(&acl, operation, &path))) {
                prop_assert!(acl.allows_anything_below(&mount), "{} is granted below {}", path, mount);
            }
        }
    }
}
