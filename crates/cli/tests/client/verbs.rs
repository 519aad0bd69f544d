//! Logging in, tokens, policies, mounts, and the server's own state.

use std::os::unix::fs::MetadataExt as _;

use serde_json::{Value, json};

use super::responder::{Responder, keyturn};
use super::run;

const AUTH: &str = r#"{"data":null,"auth":{"client_token":"hvs.canary","accessor":"acc","policies":["app","default"],
    "metadata":null,"lease_duration":3600,"renewable":true,"token_type":"service","orphan":false}}"#;

#[test]
fn login_keeps_the_token_privately_and_later_verbs_use_it() {
    let server = Responder::new(&[
        ("POST /v1/auth/staff/login/bob", 200, AUTH),
        ("GET /v1/auth/token/lookup-self", 200, r#"{"data":{"id":"hvs.canary","ttl":60}}"#),
        ("POST /v1/auth/token/revoke-self", 204, ""),
    ]);
    let home = tempfile::tempdir().unwrap();
    let url = server.url();
    let verb = |arguments: &[&str], stdin| keyturn(home.path(), &[("VAULT_ADDR", &url)], arguments, stdin);

    let outcome = verb(&["login", "--method", "userpass", "--username", "bob", "--path", "staff/"], "hunter2\n");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let file = home.path().join(".keyturn-token");
    assert!(outcome.stdout.contains(file.to_str().unwrap()) && !outcome.stdout.contains("canary"), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "hvs.canary");
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);

    let outcome = verb(&["token", "lookup"], "");
    assert!(outcome.code == 0 && outcome.stdout.contains("ttl") && !outcome.stdout.contains("canary"), "{outcome:?}");

    let outcome = verb(&["logout", "--revoke"], "");
    assert!(outcome.code == 0 && !file.exists(), "{outcome:?}");

    let seen = server.seen();
    assert_eq!(seen[0].json(), json!({"password": "hunter2"}));
    assert_eq!(seen[0].header("x-vault-token"), None);
    assert!(seen[1..].iter().all(|request| request.header("x-vault-token") == Some("hvs.canary")));
    assert_eq!(seen.len(), 3);
}

#[test]
fn login_by_role_and_by_token() {
    let script = [
        ("POST /v1/auth/approle/login", 200, AUTH),
        ("GET /v1/auth/token/lookup-self", 200, r#"{"data":{"ttl":0,"policies":["root"]}}"#),
    ];
    let (server, outcome) = run(&script, &["login", "--method", "approle", "--role-id", "r"], "s");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stderr.contains("KEYTURN_TOKEN is set"), "{outcome:?}");
    assert_eq!(server.only().json(), json!({"role_id": "r", "secret_id": "s"}));

    let (server, outcome) = run(&script, &["login"], "hvs.other\n");
    assert!(outcome.code == 0 && outcome.stdout.contains("does not expire"), "{outcome:?}");
    assert_eq!(server.only().header("x-vault-token"), Some("hvs.other"));
}

#[test]
fn a_wrong_password_is_a_denial_and_keeps_nothing() {
    let server =
        Responder::new(&[("POST /v1/auth/userpass/login/bob", 400, r#"{"errors":["invalid username or password"]}"#)]);
    let home = tempfile::tempdir().unwrap();
    let url = server.url();
    let arguments = ["login", "--method", "userpass", "--username", "bob"];
    let outcome = keyturn(home.path(), &[("KEYTURN_ADDR", &url)], &arguments, "canary");
    assert_eq!(outcome.code, 4, "{outcome:?}");
    assert!(
        outcome.stderr.contains("invalid username or password") && !outcome.stderr.contains("canary"),
        "{outcome:?}"
    );
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn a_new_access_key_is_printed_and_a_listing_has_no_secret() {
    let issued = r#"{"data":{"access_key_id":"AKIAX","secret_access_key":"canary","name":"ci","accessor":"a",
        "policies":["app"],"expire_time":"2026-01-02T03:04:05.6Z"},"warnings":["careful"]}"#;
    let script = [("POST /v1/sys/aws-keys", 200, issued)];
    let arguments = ["aws-key", "create", "--policy", "app", "--ttl", "1h", "--format", "json"];
    let (server, outcome) = run(&script, &arguments, "");
    assert!(outcome.code == 0 && outcome.stderr.contains("careful"), "{outcome:?}");
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&printed["access_key_id"], &printed["secret_access_key"]), (&json!("AKIAX"), &json!("canary")));
    let sent = server.only().json();
    assert_eq!((&sent["policies"], &sent["ttl"]), (&json!(["app"]), &json!("1h")));

    let listed = r#"{"data":{"keys":["AKIAX"],"key_info":{"AKIAX":{"name":"ci","policies":["app","default"],
        "expire_time":"2026-01-02T03:04:05.6Z","last_used_time":null}}}}"#;
    let (_, outcome) = run(&[("GET /v1/sys/aws-keys?list=true", 200, listed)], &["aws-key", "list"], "");
    assert!(outcome.stdout.contains("AKIAX       ci    app, default  2026-01-02T03:04:05Z  -"), "{outcome:?}");

    let (server, outcome) = run(&[("DELETE /v1/sys/aws-keys/AKIAX", 204, "")], &["aws-key", "revoke", "AKIAX"], "");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "access key AKIAX revoked\n"));
    server.only();
}

#[test]
fn a_new_token_is_printed() {
    let script = [("POST /v1/auth/token/create", 200, AUTH)];
    let arguments = ["token", "create", "--policy", "app", "--ttl", "1h", "--meta", "a=b", "--num-uses", "2"];
    let (server, outcome) = run(&script, &arguments, "");
    assert!(outcome.code == 0 && outcome.stdout.contains("hvs.canary"), "{outcome:?}");
    let body = json!({"policies": ["app"], "ttl": "1h", "meta": {"a": "b"}, "num_uses": 2});
    assert_eq!(server.only().json(), body);
    let (_, outcome) = run(&script, &["token", "create", "--token-only"], "");
    assert_eq!(outcome.stdout, "hvs.canary");
}

#[test]
fn a_token_is_named_by_itself_by_its_accessor_or_not_at_all() {
    for (arguments, line, body) in [
        (&["token", "renew"][..], "POST /v1/auth/token/renew-self", json!({})),
        (
            &["token", "renew", "--accessor", "a", "--increment", "1h"],
            "POST /v1/auth/token/renew-accessor",
            json!({"accessor": "a", "increment": "1h"}),
        ),
        (&["token", "revoke", "--self"], "POST /v1/auth/token/revoke-self", json!({})),
        (
            &["token", "revoke", "--token-file", "-", "--keep-children"],
            "POST /v1/auth/token/revoke-orphan",
            json!({"token": "hvs.other"}),
        ),
    ] {
        let (server, outcome) = run(&[(line, 200, AUTH)], arguments, "hvs.other\n");
        assert!(outcome.code == 0 && !outcome.stdout.contains("canary"), "{outcome:?}");
        assert_eq!(server.only().json(), body);
    }
    let (server, outcome) = run(&[], &["token", "revoke"], "");
    assert!(outcome.code == 2 && server.seen().is_empty(), "{outcome:?}");
}

#[test]
fn capabilities_are_shown_by_path() {
    let answer = r#"{"data":{"secret/data/app":["read","list"],"capabilities":["read","list"]}}"#;
    let script = [("POST /v1/sys/capabilities-accessor", 200, answer)];
    let (server, outcome) = run(&script, &["token", "capabilities", "--accessor", "a", "secret/data/app"], "");
    assert_eq!(outcome.stdout.lines().skip(2).collect::<Vec<_>>(), ["secret/data/app  read, list"], "{outcome:?}");
    assert_eq!(server.only().json(), json!({"accessor": "a", "paths": ["secret/data/app"]}));
}

#[test]
fn a_policy_survives_the_round_trip() {
    let text = "path \"a/*\" {\n  capabilities = [\"read\"]\n}\n";
    let (server, outcome) = run(&[("PUT /v1/sys/policies/acl/app", 204, "")], &["policy", "write", "app", "-"], text);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(server.only().json(), json!({"policy": text}));
    let answer = json!({"data": {"name": "app", "policy": text}}).to_string();
    let (_, outcome) = run(&[("GET /v1/sys/policies/acl/app", 200, &answer)], &["policy", "read", "app"], "");
    assert_eq!(outcome.stdout, text);
}

#[test]
fn mounts_auth_methods_and_audit_devices_are_managed() {
    for (arguments, line, body) in [
        (
            &["mount", "enable", "kv", "--path", "team/", "--version", "2", "--max-lease-ttl", "1h"][..],
            "POST /v1/sys/mounts/team",
            json!({"type": "kv", "config": {"max_lease_ttl": "1h"}, "options": {"version": "2"}}),
        ),
        (
            &["mount", "tune", "team", "--description", "d"],
            "POST /v1/sys/mounts/team/tune",
            json!({"description": "d"}),
        ),
        (&["mount", "move", "a", "b/"], "POST /v1/sys/remount", json!({"from": "a", "to": "b"})),
        (&["auth", "enable", "approle"], "POST /v1/sys/auth/approle", json!({"type": "approle", "config": {}})),
        (
            &["audit", "enable", "file", "file_path=stdout"],
            "PUT /v1/sys/audit/file",
            json!({"type": "file", "description": "", "options": {"file_path": "stdout"}}),
        ),
    ] {
        let (server, outcome) = run(&[(line, 204, "")], arguments, "");
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert_eq!(server.only().json(), body);
    }
    let mounts = r#"{"data":{"secret/":{"type":"kv","options":{"version":"2"},"accessor":"kv_1","description":""}}}"#;
    let (_, outcome) = run(&[("GET /v1/sys/mounts", 200, mounts)], &["mount", "list"], "");
    assert_eq!(outcome.stdout.lines().last(), Some("secret/  kv    2        kv_1      -"), "{outcome:?}");
    let hash = r#"{"data":{"hash":"hmac-sha256:ab"}}"#;
    let (server, outcome) = run(&[("POST /v1/sys/audit-hash/file", 200, hash)], &["audit", "hash", "file"], "canary\n");
    assert_eq!(outcome.stdout, "hmac-sha256:ab\n", "{outcome:?}");
    assert_eq!(server.only().json(), json!({"input": "canary"}));
}

#[test]
fn read_and_write_reach_any_route() {
    let script = [
        ("GET /v1/auth/approle/role/app/role-id", 200, r#"{"data":{"role_id":"r"},"warnings":["old"]}"#),
        ("POST /v1/auth/userpass/users/bob", 204, ""),
    ];
    let (_, outcome) = run(&script, &["read", "auth/approle/role/app/role-id", "--field", "role_id"], "");
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("r", "warning: old\n"), "{outcome:?}");
    let arguments = ["write", "auth/userpass/users/bob", "policies=app", "password=-", "--trim"];
    let (server, outcome) = run(&script, &arguments, "hunter2\n");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "done\n"), "{outcome:?}");
    assert_eq!(server.only().json(), json!({"policies": "app", "password": "hunter2"}));
}

#[test]
fn an_operator_starts_and_unseals_a_server() {
    let made = r#"{"keys":["aa"],"keys_base64":["qg=="],"root_token":"hvs.root"}"#;
    let (server, outcome) =
        run(&[("PUT /v1/sys/init", 200, made)], &["operator", "init", "--shares", "1", "--threshold", "1"], "");
    assert!(outcome.code == 0 && outcome.stdout.contains("qg==") && outcome.stdout.contains("hvs.root"), "{outcome:?}");
    assert_eq!(server.only().json(), json!({"secret_shares": 1, "secret_threshold": 1}));
    assert_eq!(server.only().header("x-vault-token"), None);

    let status = |sealed: bool| {
        json!({"type": "shamir", "initialized": true, "sealed": sealed, "t": 3, "n": 5, "progress": 1, "version": "1",
            "storage_type": "embedded"})
        .to_string()
    };
    let (server, outcome) = run(&[("PUT /v1/sys/unseal", 200, &status(true))], &["operator", "unseal"], "qg==\n");
    assert!(outcome.code == 0 && outcome.stdout.contains("1 of 3"), "{outcome:?}");
    assert_eq!(server.only().json(), json!({"key": "qg=="}));
    let (server, _) = run(&[("PUT /v1/sys/unseal", 200, &status(true))], &["operator", "unseal", "--reset"], "");
    assert_eq!(server.only().json(), json!({"reset": true}));

    for (sealed, code) in [(true, 2), (false, 0)] {
        let script = [("GET /v1/sys/seal-status", 200, &*status(sealed))];
        let (_, outcome) = run(&script, &["operator", "status", "--format", "json"], "");
        assert_eq!(outcome.code, code, "{outcome:?}");
        assert_eq!(serde_json::from_str::<Value>(&outcome.stdout).unwrap()["sealed"], sealed);
    }
}

#[test]
fn a_threshold_above_the_shares_is_refused_here() {
    let (server, outcome) = run(&[], &["operator", "init", "--shares", "2"], "");
    assert!(outcome.code == 2 && server.seen().is_empty(), "{outcome:?}");
}

#[test]
fn a_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let (_, outcome) = run(&[], &["completion", shell], "");
        assert!(outcome.code == 0 && outcome.stdout.contains("undelete"), "{shell}");
    }
}

const WRAPPED: &str = r#"{"request_id":"","data":null,"auth":null,"warnings":null,"wrap_info":{"token":"hvs.wrapping",
    "accessor":"acc","ttl":300,"creation_time":"2026-01-02T03:04:05Z","creation_path":"x"}}"#;

#[test]
fn what_is_wrapped_is_a_token_here() {
    for (script, arguments) in [
        ("GET /v1/auth/x", &["read", "auth/x", "--wrap-ttl", "5m", "--field", "token"][..]),
        ("POST /v1/auth/x", &["write", "auth/x", "--wrap-ttl", "5m", "--field", "token"]),
        ("POST /v1/auth/token/create", &["token", "create", "--wrap-ttl", "5m", "--token-only"]),
    ] {
        let (server, outcome) = run(&[(script, 200, WRAPPED)], arguments, "");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "hvs.wrapping"), "{outcome:?}");
        assert_eq!(server.only().header("x-vault-wrap-ttl"), Some("5m"));
    }
}

#[test]
fn an_answer_that_should_have_been_wrapped_is_not_shown() {
    for arguments in [["read", "auth/x", "--wrap-ttl", "0"], ["write", "auth/x", "--wrap-ttl", "0"]] {
        let answer = r#"{"data":{"k":"canary"},"wrap_info":null}"#;
        let script = [("GET /v1/auth/x", 200, answer), ("POST /v1/auth/x", 200, answer)];
        let (_, outcome) = run(&script, &arguments, "");
        assert!(outcome.code != 0 && !format!("{outcome:?}").contains("canary"), "{outcome:?}");
    }
}

#[test]
fn unwrapping_needs_the_wrapping_token_alone() {
    let script = [("POST /v1/sys/wrapping/unwrap", 200, r#"{"data":{"secret_id":"s"},"auth":null}"#)];
    let (server, outcome) = run(&script, &["unwrap", "--field", "secret_id"], "hvs.wrapping\n");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "s"), "{outcome:?}");
    assert_eq!(server.only().header("x-vault-token"), Some("hvs.wrapping"), "not the user's own");
    assert_eq!(server.only().header("x-vault-wrap-ttl"), None);

    let script = [("POST /v1/sys/wrapping/unwrap", 400, r#"{"errors":["wrapping token is not valid"]}"#)];
    let (_, outcome) = run(&script, &["unwrap"], "hvs.wrapping");
    assert!(outcome.code != 0 && outcome.stderr.contains("not valid"), "{outcome:?}");
    assert!(!format!("{outcome:?}").contains("hvs.wrapping"), "{outcome:?}");
}

#[test]
fn leases() {
    let lease = r#"{"data":{"id":"auth/x/h1","ttl":60}}"#;
    let script = [
        ("PUT /v1/sys/leases/lookup", 200, lease),
        ("GET /v1/sys/leases/lookup/auth/x?list=true", 200, r#"{"data":{"keys":["h1"]}}"#),
        ("PUT /v1/sys/leases/renew", 200, lease),
        ("PUT /v1/sys/leases/revoke", 204, ""),
        ("PUT /v1/sys/leases/revoke-prefix/auth/x", 204, ""),
        ("PUT /v1/sys/leases/revoke-force/auth/x", 204, ""),
    ];
    for (arguments, body) in [
        (&["lease", "lookup", "auth/x/h1"][..], json!({"lease_id": "auth/x/h1"})),
        (&["lease", "renew", "auth/x/h1", "--increment", "1h"], json!({"lease_id": "auth/x/h1", "increment": "1h"})),
        (&["lease", "revoke", "auth/x/h1"], json!({"lease_id": "auth/x/h1", "sync": true})),
        (&["lease", "revoke", "--prefix", "auth/x/"], json!({"sync": true})),
        (&["lease", "revoke", "--prefix", "auth/x", "--force"], json!({})),
    ] {
        let (server, outcome) = run(&script, arguments, "");
        assert_eq!(outcome.code, 0, "{arguments:?} {outcome:?}");
        assert_eq!(server.only().json(), body, "{arguments:?}");
    }
    let (_, outcome) = run(&script, &["lease", "list", "auth/x"], "");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "h1\n"), "{outcome:?}");
    let warned = [("PUT /v1/sys/leases/revoke-force/db", 200, r#"{"data":null,"warnings":["2 leases were dropped"]}"#)];
    let (_, outcome) = run(&warned, &["lease", "revoke", "--prefix", "db", "--force"], "");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "revoked\n"), "{outcome:?}");
    assert!(outcome.stderr.contains("2 leases were dropped"), "{outcome:?}");
    let (_, outcome) = run(&script, &["lease", "revoke", "auth/x", "--force"], "");
    assert_eq!(outcome.code, 2, "{outcome:?}");
}
