//! Requests that are not what was signed, or not signed by whom they say, or not now.

use keyturn_core::secret::SecretString;
use keyturn_protocol::aws::sigv4::hash;

use super::fixture::{Answer, Fixture, Request};

const INVALID: &str = "InvalidSignatureException";
const INCOMPLETE: &str = "IncompleteSignatureException";
const UNKNOWN: &str = "UnrecognizedClientException";

/// Expects a refusal by this name, in both services where the request is one to Secrets Manager.
fn refused(answer: &Answer, code: &str, what: &str) {
    assert_eq!((answer.status, answer.code()), (400, code), "{what}: {}", answer.body);
    assert!(!answer.body.contains("aws4_request/"), "{what}: nothing that was sent is quoted");
}

#[tokio::test]
async fn nothing_can_be_altered_after_it_was_signed() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let good = || test.secrets_manager(&key);
    let other_digit = |text: &str| {
        let (rest, last) = text.split_at(text.len() - 1);
        format!("{rest}{}", if last == "0" { "1" } else { "0" })
    };
    let altered: Vec<(&str, Request)> = vec![
        ("body", good().body("{ }")),
        ("no body", good().body("")),
        ("target", good().alter("x-amz-target", |_| "secretsmanager.GetSecretValue".to_owned())),
        ("host", good().alter("host", |_| "elsewhere".to_owned())),
        ("content type", good().alter("content-type", |_| "application/json".to_owned())),
        ("second value of a signed header", good().header("content-type", "application/x-amz-json-1.1")),
        ("second host", good().header("host", "elsewhere")),
        ("signed header left out", good().without("content-type")),
        ("path", Request { path: "/x".to_owned(), ..good() }),
        ("query", Request { query: "a=1".to_owned(), ..good() }),
        ("method", Request { method: "PUT".to_owned(), ..good() }),
        ("time", good().alter("x-amz-date", |date| date.replace("T000000Z", "T000001Z"))),
        ("signature", good().alter("authorization", other_digit)),
        ("truncated signature", good().alter("authorization", |text| text[..text.len() - 2].to_owned())),
        ("longer signature", good().alter("authorization", |text| format!("{text}00"))),
        ("signature that is no hex", good().alter("authorization", |text| format!("{}zz", &text[..text.len() - 2]))),
        ("region", good().alter("authorization", |text| text.replace("/eu-west-1/", "/us-east-1/"))),
        ("service", good().alter("authorization", |text| text.replace("/secretsmanager/", "/sts/"))),
        ("terminator", good().alter("authorization", |text| text.replace("/aws4_request", "/aws5_request"))),
        ("signed headers", good().alter("authorization", |text| text.replace("content-type;", ""))),
    ];
    for (what, request) in altered {
        refused(&test.send(&request).await, INVALID, what);
    }
    assert_eq!(test.send(&good()).await.code(), "UnknownOperationException", "unaltered, it is good");
}

#[tokio::test]
async fn the_body_is_hashed_whatever_the_request_says_of_it() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let with_hash = |claimed: &str, body: &str| {
        let request = Request::new("POST", "/").header("x-amz-target", "secretsmanager.NoSuchOperation");
        test.sign(&key, "secretsmanager", request.header("x-amz-content-sha256", claimed).body(body))
    };
    let good = with_hash(&hash(b"{}"), "{}");
    assert_eq!(test.send(&good).await.code(), "UnknownOperationException");
    for claimed in ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", &hash(b"{ }")] {
        refused(&test.send(&with_hash(claimed, "{}")).await, INVALID, claimed);
    }
    refused(&test.send(&good.body("{\"a\":1}")).await, INVALID, "another body under the hash of the first");
}

#[tokio::test]
async fn a_signature_is_good_for_five_minutes() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let request = test.secrets_manager(&key);
    test.pass(300);
    assert_eq!(test.send(&request).await.code(), "UnknownOperationException", "in its last second");
    test.pass(1);
    let late = test.send(&request).await;
    refused(&late, INVALID, "replayed later");
    let told = "Signature expired: 20260101T000000Z is now earlier than 20260101T000001Z (20260101T000501Z - 5 min.)";
    assert!(late.body.contains(told), "{}", late.body);
    test.pass(-602);
    let early = test.send(&request).await;
    refused(&early, INVALID, "from the future");
    assert!(early.body.contains("Signature not yet current: 20260101T000000Z is still later than"), "{}", early.body);
    test.pass(1);
    // The day of the scope is the day of the time, not that of the server: midnight is no border.
    assert_eq!(test.send(&request).await.code(), "UnknownOperationException", "as early as may be");
}

#[tokio::test]
async fn what_counts_must_be_signed() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let base = || Request::new("POST", "/").body("{}");
    let sign = |request| test.sign(&key, "secretsmanager", request);
    let unsigned_host = sign(Request { headers: Vec::new(), ..base() }).header("host", "keyturn.test");
    refused(&test.send(&unsigned_host).await, INVALID, "SignedHeaders without host");
    let target = sign(base()).header("x-amz-target", "secretsmanager.NoSuchOperation");
    refused(&test.send(&target).await, INVALID, "an operation that is not signed");
    let token = sign(base()).header("x-amz-security-token", "x");
    refused(&test.send(&token).await, INVALID, "a session token that is not signed");
    let hashed = sign(base()).header("x-amz-content-sha256", &hash(b"{}"));
    refused(&test.send(&hashed).await, INVALID, "a hash that is not signed");
    let undated = |text: &str| text.replace(";x-amz-date", "");
    refused(&test.send(&sign(base()).alter("authorization", undated)).await, INVALID, "a time that is not signed");
    let dateless = sign(base()).without("x-amz-date").alter("authorization", undated);
    refused(&test.send(&dateless).await, INCOMPLETE, "no time at all");
}

#[tokio::test]
async fn what_is_there_twice_is_refused() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let good = || test.secrets_manager(&key);
    let value = |name: &str| {
        good().headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).expect("there")
    };
    for name in ["authorization", "x-amz-date", "x-amz-target"] {
        refused(&test.send(&good().header(name, &value(name))).await, INCOMPLETE, name);
    }
    let twice = |text: &str| format!("{text}, Signature={}", "0".repeat(64));
    refused(&test.send(&good().alter("authorization", twice)).await, INCOMPLETE, "two signatures in one header");
    let url = test.presigned(&key, 60);
    let both = Request { query: url.query.clone(), ..good() };
    refused(&test.send(&both).await, INVALID, "a signature in the header and one in the query");
    let again = Request { query: format!("{}&X-Amz-Date=20260101T000000Z", url.query), ..url };
    let answer = test.send(&again).await;
    assert_eq!((answer.status, answer.code()), (400, "MalformedQueryString"), "{}", answer.body);
}

#[tokio::test]
async fn what_is_no_signature_is_told_so() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let good = || test.secrets_manager(&key);
    refused(&test.send(&good().without("authorization")).await, "MissingAuthenticationTokenException", "none");
    for (what, from, to) in [
        ("another algorithm", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        ("an asymmetric algorithm", "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        ("no credential", "Credential=", "Credit="),
        ("a credential of four parts", "/aws4_request", ""),
        ("names in upper case", "content-type;host", "Content-Type;Host"),
        ("names out of order", "content-type;host", "host;content-type"),
        ("a name twice", "content-type;host", "content-type;host;host"),
        ("no signature", ", Signature=", ", Sig="),
    ] {
        refused(&test.send(&good().alter("authorization", |text| text.replace(from, to))).await, INCOMPLETE, what);
    }
    for date in ["20260101", "2026-01-01T00:00:00Z", "yesterday"] {
        refused(&test.send(&good().alter("x-amz-date", |_| date.to_owned())).await, INCOMPLETE, date);
    }
    let day = good().alter("authorization", |text| text.replace("/20260101/", "/20260102/"));
    refused(&test.send(&day).await, INVALID, "the scope of another day");
}

#[tokio::test]
async fn only_the_keys_own_secret_signs_for_it() {
    let test = Fixture::start().await;
    let (key, other) = (test.key("app", 0).await, test.key("other", 0).await);
    let request = || Request::new("POST", "/").header("x-amz-target", "secretsmanager.NoSuchOperation").body("{}");
    let mut signer = test.signer(&key, "secretsmanager");
    signer.secret_access_key = other.secret.clone();
    refused(&test.send(&test.sign_by(&signer, request())).await, INVALID, "another key's secret");
    // Once more while the good signing key is cached, and with the other key's cached as well.
    for key in [&key, &other] {
        assert_eq!(test.send(&test.secrets_manager(key)).await.code(), "UnknownOperationException");
    }
    refused(&test.send(&test.sign_by(&signer, request())).await, INVALID, "another key's secret, from the cache");
    signer = test.signer(&key, "secretsmanager");
    signer.session_token = Some(SecretString::from("FwoGZXIvYXdz"));
    refused(&test.send(&test.sign_by(&signer, request())).await, UNKNOWN, "a session token that it has not");
    for id in ["AKIAAAAAAAAAAAAAAAAA", "ASIAAAAAAAAAAAAAAAAA", "x", "../secret/x"] {
        let mut signer = test.signer(&key, "secretsmanager");
        signer.access_key_id = id.replace('/', "_");
        refused(&test.send(&test.sign_by(&signer, request())).await, UNKNOWN, id);
    }
}

#[tokio::test]
async fn a_refused_signature_is_recorded_before_it_is_answered() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let before = test.audited().len();
    refused(&test.send(&test.secrets_manager(&key).body("{ }")).await, INVALID, "altered");
    let entries = test.audited();
    let entry = entries.get(before..).expect("recorded").join("\n");
    assert!(entry.contains("sys/aws/secretsmanager") && entry.contains(INVALID), "{entry}");
    test.server.store.audit.set_broken(true);
    let answer = test.send(&test.secrets_manager(&key).body("{ }")).await;
    assert_eq!((answer.status, answer.code()), (500, "InternalServiceError"), "no record, no answer");
}
