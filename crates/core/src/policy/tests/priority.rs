//! Which rule decides: the documented order, and what a trailing slash does to a list.

use super::super::{DenyReason, Operation};
use super::{acl, granted, plain, reason};

/// Of the two patterns, both matching `path`, the second decides.
fn second_decides(lower: &str, higher: &str, path: &str) {
    for texts in [[(lower, "read"), (higher, "update")], [(higher, "update"), (lower, "read")]] {
        let texts = texts.map(|(pattern, word)| format!("path \"{pattern}\" {{ capabilities = [\"{word}\"] }}"));
        let both = acl(&[&texts.concat()]);
        assert!(granted(plain(&both, Operation::Update, path)), "{higher} over {lower} on {path}");
        assert!(!granted(plain(&both, Operation::Read, path)), "{higher} over {lower} on {path}");
    }
    let alone = acl(&[&format!("path \"{lower}\" {{ capabilities = [\"read\"] }}")]);
    assert!(granted(plain(&alone, Operation::Read, path)), "{lower} on {path}");
}

#[test]
fn documented_order() {
    for (lower, higher, path) in [
        // An exact path beats everything.
        ("secret/*", "secret/super-secret", "secret/super-secret"),
        ("secret/+", "secret/foo", "secret/foo"),
        // 1. The first wildcard comes later.
        ("*", "secret/*", "secret/foo"),
        ("secret/*", "secret/f*", "secret/foo"),
        ("+/*", "foo/+/*", "foo/bar/bar/baz"),
        ("foo/+/(ar/baz", "foo/(ar/+/baz", "foo/(ar/(ar/baz"),
        ("secret/+/teamb", "secret/foo/*", "secret/foo/teamb"),
        ("secret/+", "secret/f*", "secret/foo"),
        // 2. No glob at the end.
        ("secret/*", "secret/+/teamb", "secret/foo/teamb"),
        ("foo/bar/+/baz*", "foo/bar/+/baz", "foo/bar/bar/baz"),
        ("1/2/*", "1/2/+", "1/2/3"),
        ("1/2/*", "1/2/+/+", "1/2/3/4"),
        // 3. Fewer segments of a wildcard; the documentation's own example first.
        ("secret/+/+/foo/*", "secret/*", "secret/a/b/foo/c"),
        ("+/*", "*", "foo/bar/bar/baz"),
        ("foo/+/+/baz", "foo/+/bar/baz", "foo/bar/bar/baz"),
        ("foo/+/+/*", "foo/+/bar/baz", "foo/bar/bar/baz"),
        // 4. Longer.
        ("foo/bar/+/b*", "foo/bar/+/ba*", "foo/bar/bar/baz"),
        ("foo/*", "foo/bar*", "foo/bar"),
        ("+/+/c", "+/(((/+", "x/(((/c"),
        // 5. Lexicographically larger.
        ("+/+/c", "+/b/+", "x/b/c"),
        ("+/(/+", "+/+/c", "x/(/c"),
        // A plus that is no segment is no wildcard.
        ("a+b/+/c", "a+b/x/*", "a+b/x/c"),
        // Text that is no ASCII.
        ("é/*", "é/ü*", "é/ü/x"),
    ] {
        second_decides(lower, higher, path);
    }
}

#[test]
fn a_deny_of_higher_priority_decides_and_one_of_lower_does_not() {
    let acl = acl(&[
        r#"path "secret/*" { capabilities = ["read"] } path "secret/super-secret" { capabilities = ["deny"] }"#,
        r#"path "prod/*" { policy = "deny" } path "prod/version" { policy = "read" }"#,
    ]);
    assert!(granted(plain(&acl, Operation::Read, "secret/foo")));
    assert_eq!(reason(plain(&acl, Operation::Read, "secret/super-secret")), Some(DenyReason::Explicit));
    assert!(granted(plain(&acl, Operation::Read, "secret/super-secret/below")));
    assert!(granted(plain(&acl, Operation::Read, "prod/version")));
    assert_eq!(reason(plain(&acl, Operation::Read, "prod/other")), Some(DenyReason::Explicit));
    assert_eq!(reason(plain(&acl, Operation::Read, "elsewhere")), Some(DenyReason::NoRule));
}

#[test]
fn heads_that_begin_each_other_are_all_tried() {
    let acl = acl(&[r#"
        path "*" { capabilities = ["read"] }
        path "a/+/z" { capabilities = ["update"] }
        path "a/b/+/z" { capabilities = ["list"] }
        path "a/bc/*" { capabilities = ["delete"] }
        path "a/b" { capabilities = ["create"] }
    "#]);
    for (path, names) in [
        ("a/b/c/z", ["list"]),
        ("a/b/c/y", ["read"]),
        ("a/b/z", ["update"]),
        ("a/bc/z", ["delete"]),
        ("a/bd/z", ["update"]),
        ("a/b", ["create"]),
        ("a/", ["read"]),
        ("", ["read"]),
        ("zzz", ["read"]),
    ] {
        assert_eq!(acl.capabilities(path), names, "{path}");
    }
}

#[test]
fn a_list_also_takes_the_rule_without_the_trailing_slash() {
    let acl = acl(&[r#"
        path "exact" { capabilities = ["list", "read"] }
        path "+/policies/acl" { capabilities = ["list", "read"] }
        path "both" { capabilities = ["read"] }
        path "both/" { capabilities = ["list"] }
    "#]);
    for path in ["exact/", "exact", "sys/policies/acl/", "sys/policies/acl", "both/", "/both/"] {
        assert!(granted(plain(&acl, Operation::List, path)), "{path}");
    }
    for path in ["exact/", "sys/policies/acl/"] {
        assert_eq!(reason(plain(&acl, Operation::Read, path)), Some(DenyReason::NoRule), "{path}");
    }
    assert!(!granted(plain(&acl, Operation::List, "exact//")));
    assert!(!granted(plain(&acl, Operation::List, "both")));
}

#[test]
fn a_list_cannot_dodge_a_deny_by_its_trailing_slash() {
    let acl = acl(&[r#"
        path "foo/metadata/*" { capabilities = ["list"] }
        path "foo/metadata/private/*" { capabilities = ["deny"] }
        path "foo/metadata/private/granted/*" { capabilities = ["list"] }
    "#]);
    for (path, expected) in [
        ("foo/", false),
        ("foo/metadata/", true),
        ("foo/metadata/test/", true),
        ("foo/metadata/private/", false),
        ("foo/metadata/private/internal/", false),
        ("foo/metadata/private/granted/", true),
        ("foo/metadata/private/granted/test/", true),
    ] {
        assert_eq!(granted(plain(&acl, Operation::List, path)), expected, "{path}");
    }
}
