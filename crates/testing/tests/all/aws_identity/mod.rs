//! Who asks at the AWS door: signed requests over real sockets, and every way of not having signed one. The clock is
//! moved by hand; what real clients send is tested in `compat/`.

mod attacks;
mod fixture;
mod keys;
mod sessions;

use fixture::{Fixture, Request};
use keyturn_core::{policy::Operation, quota::WriteQuota};

#[tokio::test]
async fn whoever_signs_is_told_who_they_are() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let answer = test.send(&test.sts(&key)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains("<Arn>arn:aws:iam::000000000000:user/app</Arn>"), "{}", answer.body);
    assert!(answer.body.contains(&format!("<UserId>AIDA{}</UserId>", &key.id[4..])), "{}", answer.body);
    let entries = test.audited();
    assert!(entries.iter().any(|entry| entry.contains("sys/aws/sts/caller-identity") && entry.contains(&key.id)));
    assert!(entries.iter().all(|entry| !entry.contains(key.secret.expose_secret())));
}

#[tokio::test]
async fn a_signed_request_to_secrets_manager_passes_the_door() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let answer = test.send(&test.secrets_manager(&key)).await;
    // The signature is good: what is answered is about the operation.
    assert_eq!(answer.code(), "UnknownOperationException", "{}", answer.body);
}

#[tokio::test]
async fn a_presigned_url_is_good_until_its_time() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let request = test.presigned(&key, 900);
    assert_eq!(test.send(&request).await.status, 200);
    test.pass(900);
    assert_eq!(test.send(&request).await.status, 200, "in its last second");
    test.pass(1);
    let late = test.send(&request).await;
    assert_eq!((late.status, late.code()), (403, "SignatureDoesNotMatch"));
    assert!(late.body.contains("Signature expired"), "{}", late.body);
}

#[tokio::test]
async fn a_sealed_store_answers_in_the_services_own_form() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let (sts, json) = (test.sts(&key), test.secrets_manager(&key));
    test.server.store.node.close().await;
    for request in [sts, json] {
        let answer = test.send(&request).await;
        assert_eq!((answer.status, answer.code()), (503, "ServiceUnavailable"));
    }
}

#[tokio::test]
async fn the_vault_door_takes_no_signature_and_the_aws_door_no_token() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let vault = test.sign(&key, "secretsmanager", Request::new("GET", "/v1/auth/token/lookup-self"));
    assert_eq!(test.send(&vault).await.status, 403);
    let token = test.server.root_token().expose_secret().to_owned();
    for header in [("x-vault-token", token.clone()), ("authorization", format!("Bearer {token}"))] {
        let request = Request::new("POST", "/").header("x-amz-target", "secretsmanager.NoSuchOperation");
        let answer = test.send(&request.header(header.0, &header.1)).await;
        let codes = ["MissingAuthenticationTokenException", "IncompleteSignatureException"];
        assert!(answer.status == 400 && codes.contains(&answer.code()), "{}", answer.body);
    }
}

#[tokio::test]
async fn what_is_no_request_of_the_query_protocol_is_refused() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    for (body, code) in [
        ("Action=GetCallerIdentity", "InvalidAction"),
        ("Action=AssumeRole&Version=2011-06-15", "InvalidAction"),
        ("Action=GetCallerIdentity&Action=x&Version=2011-06-15", "MalformedQueryString"),
        ("Action=%zz&Version=2011-06-15", "MalformedQueryString"),
    ] {
        let answer = test.send(&test.sign(&key, "sts", fixture::form(body))).await;
        assert_eq!((answer.status, answer.code()), (400, code), "{body}");
    }
    let long = test.sign(&key, "secretsmanager", Request::new("POST", "/").body(&"x".repeat(1024 * 1024 + 1)));
    assert_eq!(test.send(&long).await.status, 413);
}

#[tokio::test]
async fn a_rate_limit_counts_requests_before_it_is_known_who_asks() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let permit = test.permit(Operation::Update, "sys/quotas/rate-limit/all").await;
    let quota = WriteQuota { rate: 2.0, interval: 60, ..WriteQuota::default() };
    test.core.quotas().write(permit, "all", quota).await.expect("written");
    assert_eq!(test.send(&test.sts(&key)).await.status, 200);
    assert_eq!(test.send(&test.sts(&key).alter("host", |_| "elsewhere".to_owned())).await.status, 403);
    let over = test.send(&test.sts(&key)).await;
    assert_eq!((over.status, over.code()), (400, "Throttling"));
    let over = test.send(&test.secrets_manager(&key)).await;
    assert_eq!((over.status, over.code()), (400, "ThrottlingException"));
    test.pass(60);
    assert_eq!(test.send(&test.sts(&key)).await.status, 200);
}
