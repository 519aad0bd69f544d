//! Temporary credentials: a session token that belongs to one key, and an end that comes by itself or with the key.

use keyturn_core::{access_key::IssuedAccessKey, policy::Operation, secret::SecretString};
use keyturn_protocol::aws::sigv4::Signer;

use super::fixture::{Answer, Fixture, REGION, Request, form};

const UNKNOWN: &str = "UnrecognizedClientException";
const EXPIRED: &str = "ExpiredTokenException";
const GOOD: &str = "UnknownOperationException";

async fn ask_for_session(test: &Fixture, signer: &Signer, seconds: &str) -> Answer {
    let body = format!("Action=GetSessionToken&Version=2011-06-15&DurationSeconds={seconds}");
    test.send(&test.sign_by(signer, form(&body))).await
}

async fn session(test: &Fixture, key: &IssuedAccessKey, seconds: u64) -> Signer {
    let answer = ask_for_session(test, &test.signer(key, "sts"), &seconds.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let part = |name: &str| {
        let (_, rest) = answer.body.split_once(&format!("<{name}>")).expect("the part");
        rest.split_once("</").expect("its end").0.to_owned()
    };
    Signer {
        access_key_id: part("AccessKeyId"),
        secret_access_key: SecretString::new(part("SecretAccessKey")),
        session_token: Some(SecretString::new(part("SessionToken"))),
        region: REGION.to_owned(),
        service: "secretsmanager".to_owned(),
    }
}

async fn code(test: &Fixture, signer: &Signer) -> String {
    let request = Request::new("POST", "/").header("x-amz-target", "secretsmanager.NoSuchOperation").body("{}");
    test.send(&test.sign_by(signer, request)).await.code().to_owned()
}

#[tokio::test]
async fn a_session_has_its_keys_rights_and_says_whose_it_is() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let session = session(&test, &key, 900).await;
    assert!(session.access_key_id.starts_with("ASIA"));
    assert_eq!(code(&test, &session).await, GOOD);
    let sts = Signer { service: "sts".to_owned(), ..session.clone() };
    let answer = test.send(&test.sign_by(&sts, form("Action=GetCallerIdentity&Version=2011-06-15"))).await;
    assert!(answer.body.contains(&format!("<UserId>AIDA{}</UserId>", &key.id[4..])), "{}", answer.body);
    assert!(answer.body.contains(":user/app</Arn>"), "{}", answer.body);
    let permit = test.permit(Operation::Read, &format!("sys/aws-keys/{}", session.access_key_id)).await;
    let read = test.core.access_keys().read(permit, &session.access_key_id).await.expect("read");
    assert!(read.temporary && read.policies == key.entry.policies);
    let secrets = [&session.secret_access_key, session.session_token.as_ref().expect("a token")];
    let entries = test.audited().join("\n");
    assert!(secrets.iter().all(|secret| !entries.contains(secret.expose_secret())));
    assert!(entries.contains("sys/aws/sts/session-token"));
}

#[tokio::test]
async fn a_session_token_is_good_with_its_own_key_alone() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let (one, other) = (session(&test, &key, 900).await, session(&test, &key, 900).await);
    assert_eq!(code(&test, &Signer { session_token: None, ..one.clone() }).await, UNKNOWN);
    assert_eq!(code(&test, &Signer { session_token: other.session_token.clone(), ..one.clone() }).await, UNKNOWN);
    let token = one.session_token.as_ref().expect("a token").expose_secret();
    for at in [0, 8, 20, 40, 70] {
        let mut altered = token.to_owned().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = SecretString::new(String::from_utf8(altered).expect("ASCII"));
        assert_eq!(code(&test, &Signer { session_token: Some(altered), ..one.clone() }).await, UNKNOWN, "{at}");
    }
    for text in ["", "x", &token[..token.len() - 4], &format!("{token}AAAA")] {
        let altered = Some(SecretString::from(text));
        assert_eq!(code(&test, &Signer { session_token: altered, ..one.clone() }).await, UNKNOWN, "{text}");
    }
    assert_eq!(code(&test, &one).await, GOOD);
}

#[tokio::test]
async fn a_session_ends_with_its_time_and_is_told_so_even_later() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let session = session(&test, &key, 900).await;
    test.pass(899);
    assert_eq!(code(&test, &session).await, GOOD);
    test.pass(1);
    assert_eq!(code(&test, &session).await, EXPIRED);
    test.pass(100_000);
    test.core.tend().await.expect("upkeep");
    assert_eq!(code(&test, &session).await, EXPIRED, "its record is gone, its token still tells");
}

#[tokio::test]
async fn a_session_ends_with_the_key_that_made_it() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let session_of_revoked = session(&test, &key, 900).await;
    let permit = test.permit(Operation::Delete, &format!("sys/aws-keys/{}", key.id)).await;
    test.core.access_keys().revoke(permit, &key.id).await.expect("revoked");
    assert_eq!(code(&test, &session_of_revoked).await, UNKNOWN);

    let short = test.key("short", 1000).await;
    let session_of_short = session(&test, &short, 3600).await;
    assert_eq!(code(&test, &session_of_short).await, GOOD);
    test.pass(1000);
    assert_eq!(code(&test, &session_of_short).await, EXPIRED, "it was not given more time than its key has");
}

#[tokio::test]
async fn a_session_makes_no_session_and_lasts_as_long_as_may_be() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let temporary = Signer { service: "sts".to_owned(), ..session(&test, &key, 900).await };
    let answer = ask_for_session(&test, &temporary, "900").await;
    assert_eq!((answer.status, answer.code()), (403, "AccessDenied"));
    for seconds in ["899", "129601", "-1", "x", ""] {
        let answer = ask_for_session(&test, &test.signer(&key, "sts"), seconds).await;
        assert_eq!((answer.status, answer.code()), (400, "ValidationError"), "{seconds}");
    }
}
