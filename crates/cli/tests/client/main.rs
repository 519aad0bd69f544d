//! The client verbs as a user runs them: the built binary against a server that answers from a script.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail like the test itself")]

mod connection;
mod responder;
mod secrets;
mod verbs;

use responder::{Outcome, Responder};

/// The mount `secret/` with versions, the mount `old/` without.
const V2: &str = r#"{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}"#;
const V1: &str = r#"{"data":{"path":"old/","type":"kv","options":{"version":"1"}}}"#;
const ASK_V2: (&str, u16, &str) = ("GET /v1/sys/internal/ui/mounts/secret/app", 200, V2);
const ASK_V1: (&str, u16, &str) = ("GET /v1/sys/internal/ui/mounts/old/app", 200, V1);

/// Runs a verb with a token against a server with that script.
fn run(script: &[(&str, u16, &str)], arguments: &[&str], stdin: &str) -> (Responder, Outcome) {
    let server = Responder::new(script);
    let home = tempfile::tempdir().unwrap();
    let variables = [("KEYTURN_ADDR", server.url()), ("KEYTURN_TOKEN", "hvs.token".to_owned())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let outcome = responder::keyturn(home.path(), &variables, arguments, stdin);
    (server, outcome)
}
