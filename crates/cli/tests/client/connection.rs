//! What happens when the server refuses, is sealed, is not there, or is not to be trusted.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::responder::{Responder, Stream, keyturn};
use super::run;

#[test]
fn a_refusal_is_told_in_the_servers_words_with_what_to_do() {
    let line = "GET /v1/auth/x";
    for (status, body, code, words) in [
        (
            403,
            r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#,
            4,
            &["permission denied", "token lookup"][..],
        ),
        (503, r#"{"errors":["Vault is sealed"]}"#, 6, &["Vault is sealed", "operator unseal"]),
        (404, r#"{"errors":[]}"#, 3, &["nothing at that path"]),
        (400, r#"{"errors":["first\u001b[2J","second"]}"#, 1, &["400 to GET auth/x", "first\\u{1b}[2J", "second"]),
        (500, "<html>", 1, &["500"]),
    ] {
        let (_, outcome) = run(&[(line, status, body)], &["read", "auth/x"], "");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{outcome:?}");
        assert!(words.iter().all(|word| outcome.stderr.contains(word)), "{outcome:?}");
    }
}

#[test]
fn without_a_token_the_way_to_one_is_told() {
    let server = Responder::new(&[("GET /v1/auth/x", 403, r#"{"errors":["permission denied"]}"#)]);
    let home = tempfile::tempdir().unwrap();
    let outcome = keyturn(home.path(), &[], &["read", "auth/x", "--address", &server.url()], "");
    assert_eq!(outcome.code, 4, "{outcome:?}");
    assert!(outcome.stderr.contains("keyturn login"), "{outcome:?}");
}

#[test]
fn an_answer_that_is_not_the_apis_is_not_repeated() {
    let (_, outcome) = run(&[("GET /v1/auth/x", 200, r#"["canary"]"#)], &["read", "auth/x"], "");
    assert_eq!(outcome.code, 5, "{outcome:?}");
    assert!(outcome.stderr.contains("check the address") && !outcome.stderr.contains("canary"), "{outcome:?}");
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let (server, outcome) = run(&[("GET /v1/auth/x", 307, "")], &["read", "auth/x"], "");
    assert_eq!(outcome.code, 5, "{outcome:?}");
    assert!(outcome.stderr.contains("http://127.0.0.2:1/v1/elsewhere"), "{outcome:?}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn where_nothing_listens_the_address_and_the_remedy_are_told() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let home = tempfile::tempdir().unwrap();
    let outcome = keyturn(home.path(), &[], &["operator", "status", "--address", &format!("http://{free}")], "");
    assert_eq!(outcome.code, 5, "{outcome:?}");
    assert!(outcome.stderr.contains(&free.to_string()) && outcome.stderr.contains("keyturn dev"), "{outcome:?}");
}

#[test]
fn a_bad_token_is_refused_before_it_is_sent() {
    let server = Responder::new(&[]);
    let home = tempfile::tempdir().unwrap();
    let url = server.url();
    let variables = [("VAULT_ADDR", url.as_str()), ("VAULT_TOKEN", "hvs.canary\nx")];
    let outcome = keyturn(home.path(), &variables, &["token", "lookup"], "");
    assert_eq!(outcome.code, 2, "{outcome:?}");
    assert!(outcome.stderr.contains("VAULT_TOKEN") && !outcome.stderr.contains("canary"), "{outcome:?}");
    assert!(server.seen().is_empty());
}

#[test]
fn a_proxy_is_not_used_for_this_machine() {
    let server = Responder::new(&[("GET /v1/auth/x", 200, r#"{"data":{"a":"b"}}"#)]);
    let home = tempfile::tempdir().unwrap();
    let url = server.url();
    let variables =
        [("KEYTURN_ADDR", url.as_str()), ("HTTP_PROXY", "http://127.0.0.1:1"), ("ALL_PROXY", "http://127.0.0.1:1")];
    let outcome = keyturn(home.path(), &variables, &["read", "auth/x"], "");
    assert_eq!(outcome.code, 0, "{outcome:?}");
}

#[test]
fn a_tls_server_is_trusted_by_its_authority_alone() {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let home = tempfile::tempdir().unwrap();
    let (ours, other) = (home.path().join("ca.pem"), home.path().join("other.pem"));
    std::fs::write(&ours, issued.cert.pem()).unwrap();
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&other, stranger.cert.pem()).unwrap();

    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let wrap = move |stream: TcpStream| -> Box<dyn Stream> {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        Box::new(rustls::StreamOwned::new(connection, stream))
    };
    let server = Responder::wrapped(&[("GET /v1/auth/x", 200, r#"{"data":{"a":"b"}}"#)], Box::new(wrap));

    let url = format!("https://{}", server.address);
    let read = |ca: &std::path::Path| {
        let variables = [("KEYTURN_ADDR", url.as_str()), ("KEYTURN_CACERT", ca.to_str().unwrap())];
        keyturn(home.path(), &variables, &["read", "auth/x", "--field", "a"], "")
    };
    let outcome = read(&other);
    assert_eq!(outcome.code, 5, "{outcome:?}");
    assert!(outcome.stderr.contains("--ca-cert"), "{outcome:?}");
    let outcome = read(&ours);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "b"), "{outcome:?}");
    let outcome = read(&home.path().join("none.pem"));
    assert_eq!(outcome.code, 2, "{outcome:?}");
}

#[test]
fn a_server_without_tls_is_guessed() {
    let server = Responder::new(&[]);
    let home = tempfile::tempdir().unwrap();
    let ca = home.path().join("ca.pem");
    std::fs::write(&ca, rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem()).unwrap();
    let url = server.url().replace("http:", "https:");
    let arguments = ["operator", "status", "--address", &url, "--ca-cert", ca.to_str().unwrap()];
    let outcome = keyturn(home.path(), &[], &arguments, "");
    assert_eq!(outcome.code, 5, "{outcome:?}");
    assert!(outcome.stderr.contains("plain HTTP"), "{outcome:?}");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    // More than a pipe holds, so that the write fails once the reader is gone.
    let big = "x".repeat(1 << 20);
    let answer = serde_json::json!({"data": {"a": big}}).to_string();
    let server = Responder::new(&[("GET /v1/auth/x", 200, &answer)]);
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_keyturn"))
        .args(["read", "auth/x", "--field", "a", "--address", &server.url()])
        .env_clear()
        .env("HOME", home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
