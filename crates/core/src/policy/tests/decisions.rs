//! What the rule that decides grants: capabilities, parameters, wrapping, and stanzas on the same path together.

use std::cell::Cell;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::builtin::DEFAULT_TEXT;
use super::super::{Acl, AclAsk, Capability, Decision, DenyReason, Grant, Operation, Policy};
use super::{acl, ask, granted, plain, reason};

const WRITES: [Operation; 4] = [Operation::Create, Operation::Read, Operation::Update, Operation::Patch];

/// An ACL with one stanza on `x` that grants every capability and demands `demands`.
fn demanding(demands: &str) -> Acl {
    let every = r#"["create", "read", "update", "patch", "delete", "list"]"#;
    acl(&[&format!("path \"x\" {{ capabilities = {every}\n{demands} }}")])
}

fn with(acl: &Acl, parameters: &Value) -> Option<DenyReason> {
    let answers = WRITES.map(|operation| reason(ask(acl, operation, "x", Some(parameters), None)));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    answers[0]
}

#[test]
fn each_operation_needs_its_capability() {
    for (operation, word) in [
        (Operation::Create, "create"),
        (Operation::Read, "read"),
        (Operation::Update, "update"),
        (Operation::Delete, "delete"),
        (Operation::List, "list"),
        (Operation::Patch, "patch"),
        (Operation::Renew, "update"),
        (Operation::Revoke, "update"),
        (Operation::Rollback, "update"),
    ] {
        let needed = Capability::parse(word).unwrap();
        for granted_word in Capability::ALL.map(Capability::as_str) {
            let acl = acl(&[&format!("path \"x\" {{ capabilities = [\"{granted_word}\"] }}")]);
            let expected = match granted_word {
                granted_word if granted_word == word => None,
                "deny" => Some(DenyReason::Explicit),
                _ => Some(DenyReason::Capability(needed)),
            };
            assert_eq!(reason(plain(&acl, operation, "x")), expected, "{operation} with {granted_word}");
        }
    }
    assert!(granted(plain(&acl(&[]), Operation::Help, "anything")));
    assert_eq!(reason(plain(&acl(&[""]), Operation::Read, "x")), Some(DenyReason::NoRule));
}

#[test]
fn sudo_comes_with_the_grant() {
    let acl = acl(&[r#"path "sys/audit" { capabilities = ["read", "sudo"] } path "sys/mounts" { policy = "read" }"#]);
    let grant = |path| plain(&acl, Operation::Read, path);
    assert_eq!(grant("sys/audit"), Decision::Granted(Grant { sudo: true, ..Grant::default() }));
    assert_eq!(grant("/sys/mounts"), Decision::Granted(Grant::default()));
}

#[test]
fn root_is_everything_and_no_text_makes_it() {
    let root = Acl::compile(&[Arc::new(Policy::root())]);
    let everything = Decision::Granted(Grant { root: true, sudo: true, ..Grant::default() });
    assert_eq!(plain(&root, Operation::Delete, "sys/anything"), everything);
    assert_eq!(root.capabilities("x"), ["root"]);
    assert!(root.allows_anything_below("x/"));

    let feigned = Acl::compile(&[Arc::new(Policy::parse("root", "name = \"root\"").unwrap())]);
    assert_eq!(reason(plain(&feigned, Operation::Read, "x")), Some(DenyReason::NoRule));
}

#[test]
fn the_default_policy_and_its_templates() {
    let acl = acl(&[DEFAULT_TEXT]);
    assert_eq!(acl.capabilities("auth/token/lookup-self"), ["read"]);
    assert_eq!(acl.capabilities("cubbyhole/x"), ["create", "delete", "list", "read", "update"]);
    assert_eq!(acl.capabilities("identity/oidc/provider/p/authorize"), ["read", "update"]);
    for path in ["identity/entity/id/", "identity/entity/id/{{identity.entity.id}}", "secret/x"] {
        assert_eq!(acl.capabilities(path), ["deny"], "{path}");
    }
}

#[test]
fn capabilities_are_listed_as_vault_does() {
    let acl = acl(&[r#"
        path "all" { capabilities = ["update", "sudo", "read", "patch", "list", "delete", "create"] }
        path "none" {}
        path "denied" { capabilities = ["deny"] }
        path "dir" { capabilities = ["list"] }
    "#]);
    assert_eq!(acl.capabilities("/all"), ["create", "delete", "list", "patch", "read", "sudo", "update"]);
    for path in ["none", "denied", "elsewhere"] {
        assert_eq!(acl.capabilities(path), ["deny"], "{path}");
    }
    assert_eq!(acl.capabilities("dir/"), ["list"]);
}

#[test]
fn the_same_path_in_several_policies_counts_as_one() {
    let acl = acl(&[
        r#"path "a/*" { capabilities = ["read"] } path "d" { policy = "write" } path "a/*" { capabilities = ["list"] }"#,
        r#"path "/a/*" { capabilities = ["sudo"] } path "d" { capabilities = ["deny"] }"#,
        r#"path "d" { capabilities = ["read"] } path "w/+/x" { policy = "read" }"#,
        r#"path "w/+/x" { capabilities = ["update"] } path "a/" { capabilities = ["patch"] }"#,
    ]);
    assert_eq!(acl.capabilities("a/b"), ["list", "read", "sudo"]);
    assert_eq!(acl.capabilities("a/"), ["patch"]);
    assert_eq!(acl.capabilities("d"), ["deny"]);
    assert_eq!(acl.capabilities("w/v/x"), ["list", "read", "update"]);
}

#[test]
fn required_parameters_must_be_there() {
    let acl = demanding(r#"required_parameters = ["bar", "Baz"]"#);
    assert_eq!(with(&acl, &json!({"bar": 1, "baz": null, "other": 2})), None);
    assert_eq!(with(&acl, &json!({"bar": 1})), Some(DenyReason::ParameterMissing));
    assert_eq!(with(&acl, &json!({})), Some(DenyReason::ParameterMissing));
    assert_eq!(reason(plain(&acl, Operation::Update, "x")), Some(DenyReason::ParameterMissing));
    // Neither of these carries parameters.
    assert!(granted(plain(&acl, Operation::Delete, "x")) && granted(plain(&acl, Operation::List, "x")));
}

#[test]
fn allowed_parameters_exclude_all_others() {
    let acl = demanding(r#"allowed_parameters = { "Foo" = [] "bar" = ["zip", "zap", "foo-*", 1, false] }"#);
    for parameters in [json!({}), json!({"foo": "any"}), json!({"FOO": {"a": 1}}), json!({"bar": "zip", "foo": 1})] {
        assert_eq!(with(&acl, &parameters), None, "{parameters}");
    }
    for parameters in [json!({"bar": "foo-x"}), json!({"bar": 1}), json!({"Bar": false})] {
        assert_eq!(with(&acl, &parameters), None, "{parameters}");
    }
    for parameters in [
        json!({"bar": "zup"}),
        json!({"bar": 2}),
        json!({"bar": "1"}),
        json!({"bar": true}),
        json!({"bar": null}),
        json!({"bar": ["zip"]}),
        json!({"BAR": "ZIP"}),
        json!({"other": "x"}),
        json!({"foo": 1, "other": 1}),
        json!({"*": 1}),
    ] {
        assert_eq!(with(&acl, &parameters), Some(DenyReason::ParameterNotAllowed), "{parameters}");
    }
}

#[test]
fn a_star_allows_other_parameters_and_keeps_listed_values() {
    let acl = demanding(r#"allowed_parameters = { "bar" = ["zip"] "*" = [] }"#);
    assert_eq!(with(&acl, &json!({"other": 1, "bar": "zip"})), None);
    assert_eq!(with(&acl, &json!({"other": 1, "bar": "zap"})), Some(DenyReason::ParameterNotAllowed));
    assert_eq!(with(&demanding("allowed_parameters = {}"), &json!({"any": 1})), None);
}

#[test]
fn denied_parameters_win_over_allowed_ones() {
    let acl = demanding(r#"denied_parameters = { "Zip" = [] "zap" = ["bad*"] } allowed_parameters = { "*" = [] }"#);
    assert_eq!(with(&acl, &json!({"zap": "good", "other": 1})), None);
    for parameters in
        [json!({"zip": 1}), json!({"ZIP": null}), json!({"zap": "bad glob"}), json!({"a": 1, "zap": "bad"})]
    {
        assert_eq!(with(&acl, &parameters), Some(DenyReason::ParameterDenied), "{parameters}");
    }
    let none = demanding(r#"denied_parameters = { "*" = [] } allowed_parameters = { "a" = [] }"#);
    assert_eq!(with(&none, &json!({"a": 1})), Some(DenyReason::ParameterDenied));
    assert_eq!(with(&none, &json!({})), None);
}

#[test]
fn demands_on_the_same_path_merge() {
    let acl = acl(&[
        r#"path "x" { policy = "write" required_parameters = ["a"] allowed_parameters = { a = [1], b = [] }
                      min_wrapping_ttl = 100 max_wrapping_ttl = 300 }"#,
        r#"path "x" { capabilities = ["patch"] required_parameters = ["b"] allowed_parameters = { a = [2], b = [1] }
                      denied_parameters = { a = [9] } min_wrapping_ttl = "50s" max_wrapping_ttl = 200 }"#,
        r#"path "x" { policy = "read" }"#,
    ]);
    let answer = |parameters: &Value, ttl| ask(&acl, Operation::Update, "x", Some(parameters), Some(ttl));
    let grant = Grant { min_wrapping_ttl: Some(50), max_wrapping_ttl: Some(200), ..Grant::default() };
    assert_eq!(answer(&json!({"a": 1, "b": 7}), 50), Decision::Granted(grant));
    assert_eq!(answer(&json!({"a": 2, "b": 7}), 200), Decision::Granted(grant));
    assert_eq!(reason(answer(&json!({"a": 3, "b": 7}), 60)), Some(DenyReason::ParameterNotAllowed));
    assert_eq!(reason(answer(&json!({"a": 9, "b": 7}), 60)), Some(DenyReason::ParameterDenied));
    assert_eq!(reason(answer(&json!({"a": 1}), 60)), Some(DenyReason::ParameterMissing));
    assert_eq!(reason(answer(&json!({"a": 1, "b": 7}), 49)), Some(DenyReason::WrappingTtlOutOfRange));
    assert_eq!(reason(answer(&json!({"a": 1, "b": 7}), 201)), Some(DenyReason::WrappingTtlOutOfRange));
}

#[test]
fn wrapping_ttls_make_wrapping_mandatory() {
    let wrapped = |acl: &Acl, ttl| reason(ask(acl, Operation::List, "x", None, ttl));
    let least = demanding("min_wrapping_ttl = \"1s\" max_wrapping_ttl = \"90s\"");
    assert_eq!(wrapped(&least, None), Some(DenyReason::WrappingRequired));
    assert_eq!(wrapped(&least, Some(0)), Some(DenyReason::WrappingRequired));
    assert_eq!(wrapped(&least, Some(1)), None);
    assert_eq!(wrapped(&least, Some(91)), Some(DenyReason::WrappingTtlOutOfRange));
    let most = demanding("max_wrapping_ttl = 90");
    assert_eq!(wrapped(&most, None), Some(DenyReason::WrappingRequired));
    assert_eq!(wrapped(&most, Some(0)), Some(DenyReason::WrappingRequired));
    assert_eq!(wrapped(&most, Some(90)), None);
    assert_eq!(wrapped(&demanding("min_wrapping_ttl = 0"), None), None);
    assert_eq!(wrapped(&demanding(""), Some(5)), None);

    let never = acl(&[
        r#"path "x" { policy = "read" min_wrapping_ttl = 100 }"#,
        r#"path "x" { policy = "read" max_wrapping_ttl = 50 }"#,
    ]);
    for ttl in [50, 75, 100] {
        assert_eq!(wrapped(&never, Some(ttl)), Some(DenyReason::WrappingTtlOutOfRange), "{ttl}");
    }
}

#[test]
fn parameters_are_read_only_where_a_rule_limits_them() {
    let acl = acl(&[
        r#"path "free" { policy = "write" } path "limited" { policy = "write" denied_parameters = { a = [] } }"#,
    ]);
    let reads = |path, operation| {
        let count = Cell::new(0);
        let parameters = || {
            count.set(count.get() + 1);
            None
        };
        assert!(granted(acl.allows(&AclAsk { path, operation, parameters: &parameters, wrap_ttl: None })));
        count.get()
    };
    assert_eq!(reads("free", Operation::Update), 0);
    assert_eq!(reads("limited", Operation::Update), 1);
    assert_eq!(reads("limited", Operation::Delete), 0);
}

#[test]
fn mounts_show_where_something_is_granted() {
    let shows = |text: &str, mount: &str| acl(&[text]).allows_anything_below(mount);
    for (path, mount, expected) in [
        ("secret/foo", "secret/", true),
        ("secret/foo", "secret", true),
        ("secret", "secret/", true),
        ("secrets/foo", "secret/", false),
        ("secret/*", "secret/", true),
        ("secret/data/*", "secret/", true),
        ("sec*", "secret/", true),
        ("other/*", "secret/", false),
        ("+", "foo/", true),
        ("+/*", "foo/", true),
        ("foo/+/+/*", "foo/bar/bar/baz/", true),
        ("foo/+/+/baz", "foo/bar/bar/baz/", true),
        ("foo/bar/+/b*", "foo/bar/bar/baz/", true),
        ("foo/bar/+/c*", "foo/bar/bar/baz/", false),
        ("anything", "", true),
    ] {
        let granting = format!("path \"{path}\" {{ capabilities = [\"read\"] }}");
        assert_eq!(shows(&granting, mount), expected, "{path} below {mount}");
        for nothing in ["deny", ""] {
            let text = format!("path \"{path}\" {{ policy = \"{nothing}\" }}");
            assert!(!shows(&text, mount), "{path} below {mount}");
        }
    }
    assert!(shows(r#"path "secret/*" { policy = "deny" } path "secret/a/b" { policy = "read" }"#, "secret/"));
}
