//! Writing and reading secrets, on mounts with versions and without.

use serde_json::{Value, json};

use super::{ASK_V1, ASK_V2, run};

const WRITTEN: &str =
    r#"{"data":{"version":4,"created_time":"2026-08-01T00:00:00Z","deletion_time":"","destroyed":false}}"#;
const READ: &str = r#"{"data":{"data":{"user":"bob","password":"canary"},"metadata":{"version":3,
    "created_time":"2026-08-01T00:00:00Z","deletion_time":"","destroyed":false,"custom_metadata":null}}}"#;
const HISTORY: &str = r#"{"data":{"current_version":3,"oldest_version":1,"versions":{
    "1":{"created_time":"2026-08-01T00:00:00.5Z","deletion_time":"","destroyed":true},
    "2":{"created_time":"2026-08-01T00:00:00.5Z","deletion_time":"2026-08-02T00:00:00.5Z","destroyed":false},
    "3":{"created_time":"2026-08-01T00:00:00.5Z","deletion_time":"","destroyed":false}}}}"#;

#[test]
fn put_sends_what_standard_input_holds_and_says_the_version() {
    let script = [ASK_V2, ("POST /v1/secret/data/app", 200, WRITTEN)];
    let (server, outcome) = run(&script, &["put", "secret/app", "password=-", "--cas", "3"], "canary \"x\"\n");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "secret/app is now at version 4\n"), "{outcome:?}");
    assert!(outcome.stderr.contains("--trim") && !outcome.stderr.contains("canary"), "{outcome:?}");
    let request = server.only();
    assert_eq!(request.json(), json!({"data": {"password": "canary \"x\"\n"}, "options": {"cas": 3}}));
    assert_eq!(request.header("x-vault-token"), Some("hvs.token"));
    assert_eq!(request.header("x-vault-request"), Some("true"));
    assert_eq!(request.header("content-type"), Some("application/json"));
}

#[test]
fn put_reads_a_whole_map_and_merges_it_as_a_patch() {
    let script = [ASK_V2, ("PATCH /v1/secret/data/app", 200, WRITTEN)];
    let (server, outcome) = run(&script, &["put", "secret/app", "--json", "-", "--patch"], r#"{"a": null, "b": 1.50}"#);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let request = server.only();
    assert_eq!(request.body, r#"{"data":{"a":null,"b":1.50}}"#);
    assert_eq!(request.header("content-type"), Some("application/merge-patch+json"));
}

#[test]
fn put_takes_no_value_from_the_command_line_unless_told_to() {
    let (server, outcome) = run(&[ASK_V2], &["put", "secret/app", "password=canary"], "");
    assert_eq!(outcome.code, 2, "{outcome:?}");
    assert!(outcome.stderr.contains("password=@FILE") && !outcome.stderr.contains("canary"), "{outcome:?}");
    assert!(server.seen().is_empty());

    let script = [ASK_V2, ("POST /v1/secret/data/app", 200, WRITTEN)];
    let (server, outcome) = run(&script, &["put", "secret/app", "--value", "password=canary"], "");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stderr.contains("process list") && !outcome.stderr.contains("canary"), "{outcome:?}");
    assert_eq!(server.only().json(), json!({"data": {"password": "canary"}}));
}

#[test]
fn put_on_a_mount_without_versions_sends_the_fields_alone() {
    let script = [ASK_V1, ("POST /v1/old/app", 204, "")];
    let (server, outcome) = run(&script, &["put", "old/app", "a=-", "--trim"], "x\n");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "old/app written\n"), "{outcome:?}");
    assert_eq!(server.only().json(), json!({"a": "x"}));

    let (_, outcome) = run(&[ASK_V1], &["put", "old/app", "a=-", "--cas", "0"], "x");
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("no --cas"), "{outcome:?}");
}

#[test]
fn a_value_that_is_too_long_is_refused_before_it_is_sent() {
    let (server, outcome) = run(&[ASK_V2], &["put", "secret/app", "a=-"], &"x".repeat((1 << 20) + 1));
    assert_eq!(outcome.code, 2, "{outcome:?}");
    assert!(outcome.stderr.contains("1 MiB"), "{outcome:?}");
    assert!(server.seen().iter().all(|request| request.method == "GET"));
}

#[test]
fn get_gives_a_pipe_one_value_exactly_or_all_as_json() {
    let script = [ASK_V2, ("GET /v1/secret/data/app", 200, READ)];
    let (_, outcome) = run(&script, &["get", "secret/app#password"], "");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "canary"), "{outcome:?}");

    let (_, outcome) = run(&script, &["get", "secret/app"], "");
    assert_eq!(serde_json::from_str::<Value>(&outcome.stdout).unwrap(), json!({"user": "bob", "password": "canary"}));

    let (_, outcome) = run(&script, &["get", "secret/app", "--format", "table"], "");
    assert!(outcome.stdout.contains("********") && !outcome.stdout.contains("canary"), "{outcome:?}");

    let (_, outcome) = run(&script, &["get", "secret/app", "--field", "nope"], "");
    assert_eq!(outcome.code, 3);
    assert!(outcome.stderr.contains("password, user"), "{outcome:?}");
}

#[test]
fn get_asks_for_a_version_and_tells_what_became_of_it() {
    let gone = |deletion: &str, destroyed: bool| {
        json!({"data": {"data": null, "metadata": {"version": 2, "created_time": "", "deletion_time": deletion,
            "destroyed": destroyed}}})
        .to_string()
    };
    let arguments = ["get", "secret/app", "--version", "2"];
    let line = "GET /v1/secret/data/app?version=2";
    for (status, body, hint) in [
        (404, gone("2026-08-02T00:00:00Z", false), "keyturn undelete secret/app --versions 2"),
        (404, gone("2026-08-02T00:00:00Z", true), "destroyed"),
        (404, r#"{"errors":[]}"#.to_owned(), "no version 2"),
    ] {
        let (_, outcome) = run(&[ASK_V2, (line, status, &body)], &arguments, "");
        assert_eq!(outcome.code, 3, "{outcome:?}");
        assert!(outcome.stderr.contains(hint), "{outcome:?}");
    }
}

#[test]
fn get_reads_a_mount_without_versions() {
    let script = [ASK_V1, ("GET /v1/old/app", 200, r#"{"data":{"a":"x"},"lease_duration":2764800}"#)];
    let (_, outcome) = run(&script, &["get", "old/app"], "");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "x"), "{outcome:?}");
    let (_, outcome) = run(&script, &["history", "old/app"], "");
    assert_eq!(outcome.code, 2, "{outcome:?}");
}

#[test]
fn a_name_may_hold_what_a_url_may_not() {
    let script = [
        ("GET /v1/sys/internal/ui/mounts/secret/a%20b%3F%23c", 200, super::V2),
        ("GET /v1/secret/data/a%20b%3F%23c", 200, READ),
    ];
    let (_, outcome) = run(&script, &["get", "secret/a b?#c", "--field", "user"], "");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "bob"), "{outcome:?}");
}

#[test]
fn versions_are_deleted_restored_and_destroyed() {
    for (arguments, line, body) in [
        (&["delete", "secret/app"][..], "DELETE /v1/secret/data/app", ""),
        (&["delete", "secret/app", "--versions", "1,2"], "POST /v1/secret/delete/app", r#"{"versions":[1,2]}"#),
        (&["undelete", "secret/app", "--versions", "2"], "POST /v1/secret/undelete/app", r#"{"versions":[2]}"#),
        (&["destroy", "secret/app", "--versions", "1"], "PUT /v1/secret/destroy/app", r#"{"versions":[1]}"#),
        (&["destroy", "secret/app", "--all"], "DELETE /v1/secret/metadata/app", ""),
    ] {
        let (server, outcome) = run(&[ASK_V2, (line, 204, "")], arguments, "");
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert_eq!(server.only().body, body);
    }
}

#[test]
fn history_shows_the_state_of_each_version() {
    let script = [ASK_V2, ("GET /v1/secret/metadata/app", 200, HISTORY)];
    let (_, outcome) = run(&script, &["history", "secret/app"], "");
    let rows: Vec<Vec<&str>> = outcome.stdout.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["3", "live,", "current", "2026-08-01T00:00:00Z", "-"], "{outcome:?}");
    assert_eq!(rows[1], ["2", "deleted", "2026-08-01T00:00:00Z", "2026-08-02T00:00:00Z"]);
    assert_eq!(rows[2], ["1", "destroyed", "2026-08-01T00:00:00Z", "-"]);
    let (_, outcome) = run(&script, &["history", "secret/app", "--format", "json"], "");
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(document["versions"][1]["state"], "deleted");
}

#[test]
fn rollback_writes_the_old_fields_only_onto_the_version_it_saw() {
    let script = [
        ASK_V2,
        ("GET /v1/secret/metadata/app", 200, HISTORY),
        ("GET /v1/secret/data/app?version=1", 200, READ),
        ("POST /v1/secret/data/app", 200, WRITTEN),
    ];
    let (server, outcome) = run(&script, &["rollback", "secret/app", "--to", "1"], "");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stdout.contains("version 4"), "{outcome:?}");
    let write = server.seen().pop().unwrap();
    assert_eq!(write.json(), json!({"data": {"user": "bob", "password": "canary"}, "options": {"cas": 3}}));
}

#[test]
fn list_prints_a_name_a_line() {
    let script = [
        ("GET /v1/sys/internal/ui/mounts/secret/", 200, super::V2),
        ("GET /v1/secret/metadata/?list=true", 200, r#"{"data":{"keys":["app","team/"]}}"#),
    ];
    let (_, outcome) = run(&script, &["list", "secret/"], "");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "app\nteam/\n"), "{outcome:?}");
    let (_, outcome) = run(&script, &["list", "secret/", "--format", "json"], "");
    assert_eq!(serde_json::from_str::<Value>(&outcome.stdout).unwrap(), json!(["app", "team/"]));
    let (_, outcome) = run(&script[..1], &["list", "secret/"], "");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (3, ""), "{outcome:?}");
}
