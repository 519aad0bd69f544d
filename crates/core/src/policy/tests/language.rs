//! What parses, to what, and how the rest is refused.

use proptest::prelude::*;
use serde_json::json;

use super::super::parse::{MAX_DEPTH, MAX_POLICY_BYTES};
use super::super::{Capabilities, Capability, Policy, PolicyError};

fn parse(text: &str) -> Policy {
    Policy::parse("test", text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn problem(text: &str) -> String {
    Policy::parse("test", text).unwrap_err().to_string()
}

fn capabilities(words: &[&str]) -> Capabilities {
    words.iter().map(|word| Capability::parse(word).unwrap()).collect()
}

#[test]
fn one_stanza_with_everything() {
    let hcl = r#"
        # Of the team.
        name = "ignored"
        path "/secret/foo" { // a leading slash is dropped
          comment = "why"
          capabilities = ["create", "sudo",]
          policy = "read"
          allowed_parameters = {
            "Foo" = ["a", 1, {"good" = "one"}]
            "bar" = []
            "*"   = []
          }
          denied_parameters { zip = [false] "zap" = [] }
          required_parameters = ["Foo"]
          min_wrapping_ttl = 300
          max_wrapping_ttl = "1h"
        }
    "#;
    let json = json!({"name": "ignored", "path": {"/secret/foo": {
        "comment": "why", "capabilities": ["create", "sudo"], "policy": "read",
        "allowed_parameters": {"Foo": ["a", 1, {"good": "one"}], "bar": [], "*": []},
        "denied_parameters": [{"zip": [false]}, {"zap": []}],
        "required_parameters": ["Foo"], "min_wrapping_ttl": "300s", "max_wrapping_ttl": 3600,
    }}});
    let policy = parse(hcl);
    assert_eq!(policy, parse(&json.to_string()));
    assert_eq!(policy.name(), "test");
    assert!(!policy.is_root() && !policy.is_templated());

    let [rule] = policy.rules() else { panic!("{policy:?}") };
    assert_eq!(rule.path(), "/secret/foo");
    assert_eq!(rule.capabilities(), capabilities(&["create", "list", "read", "sudo"]));
    let constraints = rule.constraints();
    assert_eq!(json!(constraints.allowed), json!({"foo": ["a", 1, {"good": "one"}], "bar": [], "*": []}));
    assert_eq!(json!(constraints.denied), json!({"zip": [false], "zap": []}));
    assert_eq!(json!(constraints.required), json!(["foo"]));
    assert_eq!((constraints.min_wrapping_ttl, constraints.max_wrapping_ttl), (Some(300), Some(3600)));
}

#[test]
fn json_repeats_stanzas_as_lists() {
    let expected = parse(r#"path "a" { policy = "read" } path "b" { policy = "deny" }"#);
    for text in [
        r#"{"path": {"a": {"policy": "read"}, "b": {"policy": "deny"}}}"#,
        r#"{"path": [{"a": {"policy": "read"}}, {"b": {"policy": "deny"}}]}"#,
        r#"{"path": [{"a": [{"policy": "read"}], "b": [{"policy": "deny"}]}]}"#,
        r#"{"path": {"a": {"policy": "read", "capabilities": null}}, "path": {"b": {"policy": "deny"}}}"#,
        "\n\t {\"path\": {\"a\": {\"policy\": \"read\"}, \"b\": {\"policy\": \"deny\"}}}\n",
    ] {
        assert_eq!(parse(text), expected, "{text}");
    }
    // A duplicate key of JSON must not swallow the first one: it may be the deny.
    let twice = parse(r#"{"path": {"a": {"policy": "deny"}, "a": {"policy": "read"}}}"#);
    assert_eq!(twice.rules().len(), 2);
}

#[test]
fn legacy_words_mean_capabilities() {
    for (word, expected) in [
        ("read", &["read", "list"][..]),
        ("write", &["create", "read", "update", "delete", "list"]),
        ("sudo", &["create", "read", "update", "delete", "list", "sudo"]),
        ("deny", &["deny"]),
        ("", &[]),
    ] {
        let policy = parse(&format!("path \"x\" {{ policy = \"{word}\" }}"));
        assert_eq!(policy.rules()[0].capabilities(), capabilities(expected), "{word}");
    }
    let denied = parse(r#"path "x" { policy = "deny" capabilities = ["read", "sudo"] }"#);
    assert_eq!(denied.rules()[0].capabilities(), capabilities(&["deny"]));
}

#[test]
fn empty_policies_and_stanzas_are_fine() {
    for text in ["", "\n", "# nothing", "{}", r#"{"path": {}}"#, r#"{"path": []}"#, "name = \"x\""] {
        assert_eq!(parse(text).rules().len(), 0, "{text:?}");
    }
    assert_eq!(parse("path \"x\" {}").rules()[0].capabilities(), Capabilities::NONE);
    assert_eq!(parse("path x { allowed_parameters = {} }").rules()[0].constraints().allowed.len(), 0);
}

#[test]
fn templates_parse_and_keep_their_text() {
    let policy = parse(r#"path "secret/data/{{identity.entity.id}}/*" { capabilities = ["read"] }"#);
    assert!(policy.is_templated());
    assert_eq!(policy.rules()[0].path(), "secret/data/{{identity.entity.id}}/*");
}

#[test]
fn what_is_not_understood_is_refused() {
    let all = "comment, capabilities, policy, allowed_parameters, denied_parameters, required_parameters, \
               min_wrapping_ttl, max_wrapping_ttl";
    for (text, expected) in [
        ("name = \"a\"\nbad = 1", "invalid key \"bad\" on line 2: allowed here are path, name".to_owned()),
        (
            "path \"/\" {\n  capabilities = [\"read\"]\n  capabilites  = [\"read\"]\n}",
            format!("path \"/\": invalid key \"capabilites\" on line 3: allowed here are {all}"),
        ),
        (
            "path \"x\" {\n control_group = { ttl = \"1h\" } }",
            format!("path \"x\": invalid key \"control_group\" on line 2: allowed here are {all}"),
        ),
        (
            r#"{"path": {"x": {"mfa_methods": null}}}"#,
            format!("path \"x\": invalid key \"mfa_methods\": allowed here are {all}"),
        ),
        (
            "path \"/\" { capabilities = [\"read\", \"banana\"] }",
            "path \"/\": invalid capability \"banana\" on line 1: allowed are create, delete, deny, list, patch, read, \
             sudo, update"
                .to_owned(),
        ),
        (
            "path \"/\" { capabilities = [\"deny\", \"scan\"] }",
            "path \"/\": invalid capability \"scan\" on line 1: allowed are create, delete, deny, list, patch, read, \
             sudo, update"
                .to_owned(),
        ),
        (
            "path \"/\" { policy = \"banana\" }",
            "path \"/\": invalid policy \"banana\" on line 1: allowed are read, write, sudo, deny; better use \
             capabilities"
                .to_owned(),
        ),
        (
            "path \"/\" { policy = \"read\" min_wrapping_ttl = 400 max_wrapping_ttl = 200 }",
            "path \"/\": max_wrapping_ttl cannot be less than min_wrapping_ttl (200 s < 400 s)".to_owned(),
        ),
        (
            "path \"foo/+*\" { capabilities = [\"read\"] }",
            "path \"foo/+*\" on line 1: invalid use of wildcards ('+*' is forbidden): use '+' for one whole segment, \
             '*' at the end for any rest"
                .to_owned(),
        ),
        (
            "path \"a/{{b\" {}",
            "path \"a/{{b\" on line 1: unbalanced templating characters: each '{{' needs one '}}' after it".to_owned(),
        ),
        (
            "path \"x\" {\n capabilities = [\"read\"]\n \"capabilities\" = [\"sudo\"] }",
            "path \"x\": \"capabilities\" on line 3 was already set: write it once".to_owned(),
        ),
        (
            "path \"x\" { denied_parameters = {\n a = []\n A = [1] } }",
            "path \"x\": \"A\" on line 3 was already set: write it once".to_owned(),
        ),
        (
            "path \"x\" { min_wrapping_ttl = \"soon\" }",
            "path \"x\": min_wrapping_ttl on line 1: \"soon\" is not a duration: write seconds (3600) or a number with \
             a unit (90s, 30m, 12h, 7d)"
                .to_owned(),
        ),
    ] {
        assert_eq!(problem(text), format!("failed to parse policy: {expected}"), "{text}");
    }
}

#[test]
fn values_of_another_type_are_refused() {
    for (text, expected) in [
        ("name = 1", "name on line 1 must be text in quotes"),
        ("path = \"x\"", "path on line 1 must be a stanza"),
        ("path \"x\" { capabilities = \"read\" }", "path \"x\": capabilities on line 1 must be a list of text"),
        ("path \"x\" { capabilities = [1] }", "path \"x\": capabilities on line 1 must be a list of text"),
        ("path \"x\" { policy = [\"read\"] }", "path \"x\": policy on line 1 must be text in quotes"),
        ("path \"x\" { required_parameters = { a = [] } }", "required_parameters on line 1 must be a list"),
        ("path \"x\" { allowed_parameters = [] }", "allowed_parameters on line 1 must be a map"),
        ("path \"x\" { allowed_parameters = [\"a\"] }", "allowed_parameters on line 1 must be a map"),
        ("path \"x\" { allowed_parameters = { a = \"b\" } }", "allowed_parameters on line 1 must be a map"),
        ("path \"x\" { allowed_parameters = { \"*\" = [1] } }", "must be []: \"*\" stands for every parameter"),
        ("path \"x\" { min_wrapping_ttl = -1 }", "min_wrapping_ttl on line 1 must be whole seconds"),
        ("path \"x\" { max_wrapping_ttl = 1.5 }", "max_wrapping_ttl on line 1 must be whole seconds"),
        ("path \"x\" \"y\" { capabilities = [] }", "expected '{' after \"path\" \"x\""),
        ("path { capabilities = [\"read\"] }", "path on line 1 must be a stanza"),
        ("[1]", "expected a key"),
        ("{\"path\": 1}", "path must be a stanza"),
        ("{\"path\": {}} x", "is JSON, but: trailing characters"),
        ("{\"path\": ", "is JSON, but: EOF"),
    ] {
        assert!(problem(text).contains(expected), "{text}: {}", problem(text));
    }
}

#[test]
fn size_and_depth_are_bounded() {
    let fitting = format!("#{}", "x".repeat(MAX_POLICY_BYTES - 1));
    assert!(Policy::parse("test", &fitting).is_ok());
    let over = PolicyError::TooLong { bytes: MAX_POLICY_BYTES + 1 };
    assert_eq!(Policy::parse("test", &format!("{fitting}x")), Err(over));

    let nested = |depth: usize| format!("{{\"path\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(problem(&nested(MAX_DEPTH + 1)).contains("nested deeper than"), "{}", problem(&nested(MAX_DEPTH + 1)));
    assert!(!problem(&nested(MAX_DEPTH - 1)).contains("nested deeper than"));
    assert!(problem(&nested(100_000)).contains("nested deeper than"));
}

#[test]
fn long_quotations_are_cut() {
    let long = "é".repeat(5000);
    let error = problem(&format!("path \"{long}\" {{ {long} = 1 }}"));
    assert!(error.len() < 700, "{error}");
}

/// Text that is likely to get far into the parser.
fn almost_policy() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "path",
        "name",
        "\"secret/+/x*\"",
        "\"{{id}}\"",
        "{",
        "}",
        "[",
        "]",
        "=",
        ",",
        ":",
        "capabilities",
        "\"read\"",
        "\"deny\"",
        "policy",
        "allowed_parameters",
        "denied_parameters",
        "min_wrapping_ttl",
        "\"1h\"",
        "-1",
        "3.5e9",
        "true",
        "null",
        "#",
        "//",
        "/*",
        "*/",
        "\n",
        " ",
        "\"",
        "\\",
        "\\u00e9",
        "é",
        "<<EOF",
        "\u{0}",
    ]);
    prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.join(" "))
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = Policy::parse("test", &text);
        let _ = Policy::parse("test", &format!("{{{text}"));
    }

    #[test]
    fn almost_policies_never_panic(text in almost_policy()) {
        let _ = Policy::parse("test", &text);
        let _ = Policy::parse("test", &format!("{{ {text} }}"));
    }
}
