//! Wrapped answers.

use super::*;

#[tokio::test]
async fn an_answer_is_unwrapped_once() {
    let test = Fixture::start().await;
    let info = test.wrap(60).await;
    assert_eq!((info.ttl, info.path.as_str()), (60, "secret/data/db"));
    assert_eq!(test.unwrap(&info.token).await.expect("unwrapped"), SECRET);
    assert!(is_not_wrapping(&test.unwrap(&info.token).await));
    assert!(is_not_wrapping(&test.unwrap_own(&info.token).await));
    let info = test.wrap(60).await;
    assert_eq!(test.unwrap_own(&info.token).await.expect("unwrapped"), SECRET);
    assert!(is_not_wrapping(&test.unwrap_own(&info.token).await));
    assert!(is_not_wrapping(&test.unwrap(&info.token).await));
    assert_eq!(test.records("wrapping/").await, 0, "nothing of it stays");
    assert_eq!(test.records("token/lease/").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_who_unwrap_at_once_one_succeeds() {
    let test = Fixture::start().await;
    for _ in 0..4 {
        let info = Arc::new(test.wrap(60).await);
        let attempts: Vec<_> = (0..64)
            .map(|number| {
                let (test, info) = (Arc::clone(&test), Arc::clone(&info));
                tokio::spawn(async move {
                    if number % 2 == 0 { test.unwrap(&info.token).await } else { test.unwrap_own(&info.token).await }
                })
            })
            .collect();
        let mut unwrapped = 0;
        for attempt in attempts {
            match attempt.await.expect("no panic") {
                Ok(text) => {
                    assert_eq!(text, SECRET);
                    unwrapped += 1;
                }
                Err(refusal) => assert!(matches!(refusal, Refusal::NotWrapping), "{refusal}"),
            }
        }
        assert_eq!(unwrapped, 1);
    }
}

#[tokio::test]
async fn a_use_that_was_taken_stays_taken_whatever_becomes_of_the_request() {
    let test = Fixture::start().await;
    let info = test.wrap(6000).await;
    let ask =
        Ask { credential: Some(Credential::Token(&info.token)), ..Ask::new("test", Update, "sys/wrapping/unwrap") };
    let (exchange, admitted) = test.core.admit(ask).await;
    drop((exchange, admitted.expect("permitted")));
    assert!(is_not_wrapping(&test.unwrap_own(&info.token).await), "as after a crash between the use and the answer");
    assert!(is_not_wrapping(&test.unwrap(&info.token).await));
    assert_eq!(test.records("wrapping/").await, 1);
    test.node.clock.advance(SignedDuration::from_secs(302));
    test.core.tend().await.expect("upkeep");
    assert_eq!(test.records("wrapping/").await, 0, "long before the token would have ended");
    assert_eq!(test.records("token/expiry/").await, 0);
}

#[tokio::test]
async fn a_wrapping_token_ends_in_its_second() {
    let test = Fixture::start().await;
    let (info, other) = (test.wrap(60).await, test.wrap(60).await);
    test.node.clock.advance(SignedDuration::from_secs(59));
    assert!(test.unwrap(&other.token).await.is_ok());
    test.node.clock.advance(SignedDuration::from_secs(1));
    assert!(is_not_wrapping(&test.unwrap(&info.token).await));
    assert!(is_not_wrapping(&test.unwrap_own(&info.token).await));
    test.node.clock.advance(SignedDuration::from_secs(1));
    test.core.tend().await.expect("upkeep");
    assert_eq!(test.records("wrapping/").await, 0);
}

#[tokio::test]
async fn a_wrapping_token_does_nothing_but_unwrap() {
    let test = Fixture::start().await;
    for (operation, path) in [
        (Read, "secret/data/db"),
        (Read, "auth/token/lookup-self"),
        (Update, "auth/token/renew-self"),
        (Update, "auth/token/create"),
        (Update, "cubbyhole/response"),
        (Update, "cubbyhole/other"),
        (Read, "cubbyhole/wrapinfo"),
        (List, "cubbyhole/"),
        (Update, "sys/wrapping/rewrap"),
        (Update, "sys/wrapping/wrap"),
    ] {
        let info = test.wrap(60).await;
        assert!(test.ask(&info.token, operation, path, "").await.is_err(), "{path}");
    }
    let info = test.wrap(60).await;
    let permit = test.ask(&info.token, Read, "cubbyhole/response", "").await.expect("what older clients do");
    assert!(test.core.cubbyhole().read(permit).await.expect("read").is_none(), "concluded, so it is gone");
}

#[tokio::test]
async fn looking_at_a_wrapping_token_does_not_use_it() {
    let test = Fixture::start().await;
    let info = test.wrap(60).await;
    for _ in 0..3 {
        let permit = test.ask(&info.token, Read, "sys/wrapping/lookup", "").await.expect("open");
        let view = test.core.wrapping().lookup(permit, None).await.expect("good");
        assert_eq!((view.ttl, view.path.as_str(), view.created), (60, "secret/data/db", info.created));
    }
    assert!(test.unwrap(&info.token).await.is_ok());
    assert!(matches!(test.ask(&info.token, Read, "sys/wrapping/lookup", "").await, Err(Refusal::NotWrapping)));
    assert!(matches!(test.ask(test.root(), Read, "sys/wrapping/lookup", "").await, Err(Refusal::NotWrapping)));
}

#[tokio::test]
async fn rewrapping_moves_an_answer_and_gives_it_no_more_time() {
    let test = Fixture::start().await;
    let first = test.wrap(60).await;
    let rewrap = |token: SecretString, ttl| {
        let test = Arc::clone(&test);
        async move {
            let named = format!("{{\"token\":\"{}\"}}", token.expose_secret());
            let permit = test.ask(test.root(), Update, "sys/wrapping/rewrap", &named).await.ok()?;
            test.core.wrapping().rewrap(permit, &token, ttl).await.ok()
        }
    };
    let second = rewrap(first.token.clone(), None).await.expect("rewrapped");
    assert_eq!((second.ttl, second.path.as_str()), (60, "secret/data/db"));
    assert!(is_not_wrapping(&test.unwrap(&first.token).await));
    assert!(rewrap(first.token, None).await.is_none());
    let third = rewrap(second.token, Some(6000)).await.expect("rewrapped");
    assert_eq!(third.ttl, 60, "not longer than it had");
    let fourth = rewrap(third.token, Some(10)).await.expect("rewrapped");
    assert_eq!((fourth.ttl, test.records("wrapping/").await), (10, 1));
    assert_eq!(test.unwrap(&fourth.token).await.expect("unwrapped"), SECRET);
}

#[tokio::test]
async fn a_token_that_is_revoked_unwraps_nothing() {
    let test = Fixture::start().await;
    let info = test.wrap(60).await;
    test.revoke(Which::Accessor(&info.accessor)).await;
    assert!(is_not_wrapping(&test.unwrap(&info.token).await));
    assert_eq!(test.records("wrapping/").await, 0);
}

#[tokio::test]
async fn nothing_of_a_wrapped_answer_stands_in_the_audit_log() {
    let test = Fixture::start().await;
    let info = test.wrap(60).await;
    let lines = test.node.audit.lines();
    let entry = lines.last().expect("an entry");
    assert!(entry.contains("\"wrap_info\":{\"ttl\":60,\"token\":\"hmac-sha256:"), "{entry}");
    assert!(entry.contains("\"creation_path\":\"secret/data/db\"") && entry.contains("\"wrap_ttl\":60"), "{entry}");
    test.unwrap(&info.token).await.expect("unwrapped");
    for line in test.node.audit.lines() {
        for secret in ["hunter2", info.token.expose_secret(), &info.accessor] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

#[tokio::test]
async fn nothing_is_wrapped_that_was_refused_or_not_to_be_wrapped() {
    let test = Fixture::start().await;
    let unknown = SecretString::from("hvs.unknown");
    for (token, wrap_ttl) in [(&unknown, Some(60)), (test.root(), None)] {
        let ask =
            Ask { credential: Some(Credential::Token(token)), wrap_ttl, ..Ask::new("test", Read, "secret/data/db") };
        let (exchange, admitted) = test.core.admit(ask).await;
        drop(admitted);
        let answer = Wrapped { code: 200, body: SecretBytes::new(SECRET.as_bytes().to_vec()) };
        assert!(matches!(exchange.wrap(&answer, None).await, Err(WrappingError::NotAsked)));
        exchange.conclude(Answer::default()).await.expect("recorded");
    }
    assert_eq!(test.records("wrapping/").await, 0);
}
