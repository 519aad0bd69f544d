use serde_json::{Value, json};

use super::*;
use crate::secret::Key256;

fn hasher() -> Hasher {
    Hasher::new(&Key256::new([7; 32]))
}

fn h(value: &str) -> String {
    hasher().hash_str(value)
}

fn rendered(request: &RequestRecord<'_>, response: Option<&ResponseRecord<'_>>) -> String {
    let mut line = b"left from before".to_vec();
    render(request, response, &hasher(), &mut line).expect("rendered");
    let text = String::from_utf8(line).expect("UTF-8");
    assert_eq!(text.find('\n'), Some(text.len() - 1), "one line, ended");
    text
}

fn parsed(request: &RequestRecord<'_>, response: Option<&ResponseRecord<'_>>) -> Value {
    serde_json::from_str(&rendered(request, response)).expect("JSON")
}

/// A write to a KV secret by an AppRole's token, whose parts outlive the records made from it.
struct Write {
    token: SecretString,
    policies: Vec<String>,
    metadata: BTreeMap<String, String>,
}

impl Write {
    fn new() -> Self {
        Self {
            token: SecretString::from("hvs.canary-token"),
            policies: vec!["default".into(), "ci".into()],
            metadata: BTreeMap::from([("role_name".into(), "ci \"main\"".into())]),
        }
    }

    fn auth(&self) -> AuthRecord<'_> {
        AuthRecord {
            accessor: "canary-accessor",
            display_name: "approle",
            policies: &self.policies,
            token_policies: &self.policies[1..],
            allowed: Some(true),
            metadata: Some(&self.metadata),
            remaining_uses: 4,
            token_type: "service",
            token_ttl: 3600,
            token_issue_time: Some("2026-01-02T03:00:00.9Z".parse().expect("time")),
            ..AuthRecord::default()
        }
    }

    fn request(&self) -> RequestRecord<'_> {
        RequestRecord {
            time: "2026-01-02T03:04:05.678Z".parse().expect("time"),
            request_id: "0191-id",
            operation: "create",
            path: "secret/data/backend/prd",
            mount_path: Some("secret/"),
            mount_type: Some("kv"),
            mount_accessor: Some("kv_1a2b3c4d"),
            remote_address: Some("127.0.0.1:40404".parse().expect("address")),
            client_token: Some(&self.token),
            auth: Some(self.auth()),
            clear_names: &[],
            data: Some(br#"{"data": {"password": "canary-password", "port": 5432}, "tags": ["canary-tag"]}"#),
            headers: &[],
            wrap_ttl: Some(60),
            error: None,
        }
    }
}

#[test]
fn a_request_entry_is_in_vaults_format() {
    let [token, accessor] = [h("hvs.canary-token"), h("canary-accessor")];
    let [password, tag] = [h("canary-password"), h("canary-tag")];
    let entry = [
        r#"{"time":"2026-01-02T03:04:05.678Z","type":"request","#,
        &format!(r#""auth":{{"client_token":"{token}","accessor":"{accessor}","display_name":"approle","#),
        r#""policies":["default","ci"],"token_policies":["ci"],"policy_results":{"allowed":true},"#,
        r#""metadata":{"role_name":"ci \"main\""},"remaining_uses":4,"token_type":"service","token_ttl":3600,"#,
        r#""token_issue_time":"2026-01-02T03:00:00Z"},"#,
        r#""request":{"id":"0191-id","operation":"create","mount_point":"secret/","mount_type":"kv","#,
        &format!(r#""mount_accessor":"kv_1a2b3c4d","client_token":"{token}","client_token_accessor":"{accessor}","#),
        r#""namespace":{"id":"root"},"path":"secret/data/backend/prd","#,
        &format!(r#""data":{{"data":{{"password":"{password}","port":5432}},"tags":["{tag}"]}},"#),
        r#""remote_address":"127.0.0.1","remote_port":40404,"wrap_ttl":60}}"#,
        "\n",
    ]
    .concat();
    assert_eq!(rendered(&Write::new().request(), None), entry);
}

#[test]
fn headers_stand_in_clear_or_as_hashes() {
    let header = |name: &str, values: &[&str], hashed| HeaderRecord {
        name: name.into(),
        values: values.iter().map(|value| SecretString::from(*value)).collect(),
        hashed,
    };
    let headers = [header("user-agent", &["a \"b\""], false), header("x-key", &["canary", "2"], true)];
    let write = Write::new();
    let entry = parsed(&RequestRecord { headers: &headers, ..write.request() }, None);
    let expected = json!({ "user-agent": ["a \"b\""], "x-key": [h("canary"), h("2")] });
    assert_eq!(entry["request"]["headers"], expected);
}

#[test]
fn a_response_entry_repeats_the_request_and_adds_the_answer() {
    let write = Write::new();
    let warnings = ["TTL is capped".to_owned()];
    let response = ResponseRecord {
        data: Some(br#"{"keys":["canary-key"],"version":1}"#),
        lease_id: Some("database/creds/ro/abc"),
        warnings: &warnings,
        ..ResponseRecord::default()
    };
    let mut expected = parsed(&write.request(), None);
    expected["type"] = json!("response");
    expected["response"] = json!({
        "mount_point": "secret/",
        "mount_type": "kv",
        "mount_accessor": "kv_1a2b3c4d",
        "secret": {"lease_id": "database/creds/ro/abc"},
        "data": {"keys": [h("canary-key")], "version": 1},
        "warnings": ["TTL is capped"],
    });
    assert_eq!(parsed(&write.request(), Some(&response)), expected);
}

#[test]
fn a_login_records_the_new_token_as_a_hash_only() {
    let write = Write::new();
    let request = RequestRecord {
        operation: "update",
        path: "auth/approle/login",
        data: Some(br#"{"role_id":"canary-role","secret_id":"canary-id"}"#),
        ..RequestRecord::default()
    };
    let issued = IssuedAuth { client_token: &write.token, auth: AuthRecord { num_uses: 5, ..write.auth() } };
    let response = ResponseRecord { auth: Some(issued), ..ResponseRecord::default() };
    assert!(!rendered(&request, Some(&response)).contains("canary"));

    let entry = parsed(&request, Some(&response));
    assert_eq!(entry["auth"], json!({"token_type": "default"}));
    assert_eq!(entry["request"]["data"], json!({"role_id": h("canary-role"), "secret_id": h("canary-id")}));
    let auth = &entry["response"]["auth"];
    assert_eq!(auth["client_token"], json!(h("hvs.canary-token")));
    assert_eq!(auth["accessor"], json!(h("canary-accessor")));
    assert_eq!(auth["num_uses"], json!(5));
}

#[test]
fn the_least_request_leaves_out_all_that_is_empty() {
    let empty = SecretString::default();
    for data in [None, Some(&b""[..]), Some(b" {} "), Some(b"null")] {
        let request = RequestRecord {
            time: Timestamp::UNIX_EPOCH,
            request_id: "0191-id",
            operation: "read",
            path: "sys/health",
            client_token: Some(&empty),
            data,
            error: Some("permission denied"),
            ..RequestRecord::default()
        };
        let entry = json!({
            "time": "1970-01-01T00:00:00Z",
            "type": "request",
            "auth": {"token_type": "default"},
            "request": {"id": "0191-id", "operation": "read", "namespace": {"id": "root"}, "path": "sys/health"},
            "error": "permission denied",
        });
        assert_eq!(parsed(&request, None), entry);
    }
}

#[test]
fn the_answers_error_comes_before_the_requests() {
    let error = |request, response| {
        let request = RequestRecord { error: request, ..RequestRecord::default() };
        let response = ResponseRecord { error: response, ..ResponseRecord::default() };
        parsed(&request, Some(&response)).get("error").cloned()
    };
    assert_eq!(error(None, Some("late")), Some(json!("late")));
    assert_eq!(error(Some("early"), Some("late")), Some(json!("late")));
    assert_eq!(error(Some("early"), None), Some(json!("early")));
    assert_eq!(error(None, None), None);
}

#[test]
fn a_hostile_path_does_not_forge_an_entry() {
    let path = "secret/x\"}}\n{\"time\":\"2026-01-02T03:04:05Z\"";
    let request = RequestRecord { path, ..RequestRecord::default() };
    assert_eq!(parsed(&request, None)["request"]["path"], json!(path));
}

#[test]
fn data_that_is_not_json_is_refused() {
    let bad = Some(&b"{\"password\": hunter2}"[..]);
    let request = RequestRecord { data: bad, ..RequestRecord::default() };
    let error = render(&request, None, &hasher(), &mut Vec::new()).expect_err("refused");
    assert_eq!(error, RedactError::NotJson { at: 13 });
    let response = ResponseRecord { data: bad, ..ResponseRecord::default() };
    assert!(render(&RequestRecord::default(), Some(&response), &hasher(), &mut Vec::new()).is_err());
}

#[test]
fn the_two_entries_of_an_exchange_are_those_of_its_parts() {
    let write = Write::new();
    let asked: Timestamp = "2026-01-02T03:04:05.5Z".parse().expect("time");
    for error in [None, Some("permission denied")] {
        let request = RequestRecord { error, ..write.request() };
        let response = ResponseRecord { data: Some(br#"{"version":1}"#), ..ResponseRecord::default() };
        let mut lines = b"left from before".to_vec();
        render_exchange(asked, &request, &response, &hasher(), &mut lines).expect("rendered");
        let apart = [rendered(&RequestRecord { time: asked, ..request }, None), rendered(&request, Some(&response))];
        assert_eq!(String::from_utf8(lines).expect("UTF-8"), apart.concat());
    }
}
