//! The door, tokens and secrets together, on a store in memory with a clock that is moved by hand.

use std::sync::Arc;

use keyturn_core::{
    clock::SignedDuration,
    core::Core,
    door::{Answer, Ask, Credential, Permit, Refusal},
    kv::{KvError, NewVersion, Payload, Reading},
    node::NotReady,
    policy::Operation,
    secret::{SecretBytes, SecretString},
    token::{CreateToken, Issued, TokenError, Which},
};
use keyturn_testing::TestNode;

fn ask<'a>(token: &'a SecretString, operation: Operation, path: &'a str, data: &'a SecretBytes) -> Ask<'a> {
    Ask { credential: Some(Credential::Token(token)), data, ..Ask::new("test", operation, path) }
}

/// Asks for a permit and concludes with an empty answer.
async fn admit(core: &Core, token: &SecretString, operation: Operation, path: &str) -> Result<Permit, Refusal> {
    let data = SecretBytes::default();
    let (exchange, admitted) = core.admit(ask(token, operation, path, &data)).await;
    match exchange.conclude(Answer::default()).await {
        Ok(()) => admitted,
        Err(_) => Err(Refusal::NotAudited),
    }
}

async fn create(core: &Core, parent: &SecretString, ask: CreateToken) -> Result<Issued, TokenError> {
    let permit = admit(core, parent, Operation::Update, "auth/token/create").await.expect("may create");
    core.tokens().create(permit, ask, None, false).await
}

async fn is_good(core: &Core, token: &SecretString) -> bool {
    admit(core, token, Operation::Read, "auth/token/lookup-self").await.is_ok()
}

fn lasting(ttl: u64) -> CreateToken {
    CreateToken { ttl, renewable: true, policies: vec!["default".into()], ..CreateToken::default() }
}

async fn put(core: &Core, token: &SecretString, name: &str, text: &str, cas: Option<u64>) -> Result<u64, KvError> {
    let path = format!("secret/data/{name}");
    let permit = admit(core, token, Operation::Update, &path).await.expect("may write");
    let payload = Payload::Fields(SecretBytes::new(format!("{{\"v\":\"{text}\"}}").into_bytes()));
    core.kv().write(permit, NewVersion { payload, cas }).await.map(|view| view.version.number)
}

async fn get(core: &Core, token: &SecretString, name: &str) -> Option<String> {
    let permit = admit(core, token, Operation::Read, &format!("secret/data/{name}")).await.expect("may read");
    match core.kv().read(permit, None).await.expect("read") {
        Reading::Live(_, payload) => {
            Some(String::from_utf8(payload.into_json_object().expose_secret().to_vec()).expect("UTF-8"))
        }
        _ => None,
    }
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_takes_its_children_along() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    let parent = create(&core, &test.root_token, CreateToken { policies: vec!["root".into()], ..lasting(60) })
        .await
        .expect("parent");
    let child = create(&core, &parent.token, lasting(3600)).await.expect("child");
    assert!(is_good(&core, &child.token).await);
    test.clock.advance(SignedDuration::from_secs(60));
    assert!(!is_good(&core, &parent.token).await, "refused in the very second that it ends");
    test.clock.advance(SignedDuration::from_secs(1));
    core.tend().await.expect("upkeep");
    assert!(!is_good(&core, &child.token).await, "the child went with its parent");
}

#[tokio::test]
async fn renewal_extends_within_the_explicit_maximum() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    let ask = CreateToken { explicit_max_ttl: 100, ..lasting(60) };
    let issued = create(&core, &test.root_token, ask).await.expect("a token");
    test.clock.advance(SignedDuration::from_secs(50));
    let renew = |increment| {
        let (core, root, token) = (Arc::clone(&core), test.root_token.clone(), issued.token.clone());
        async move {
            let permit = admit(&core, &root, Operation::Update, "auth/token/renew").await.expect("may renew");
            core.tokens().renew(permit, Which::Token(&token), increment).await
        }
    };
    let renewed = renew(60).await.expect("renewed");
    assert_eq!(renewed.entry.remaining(core.now()), 50, "the explicit maximum caps it");
    test.clock.advance(SignedDuration::from_secs(49));
    core.tend().await.expect("upkeep");
    assert!(is_good(&core, &issued.token).await, "the old end in the index does not count");
    test.clock.advance(SignedDuration::from_secs(1));
    assert!(renew(60).await.is_err());
}

#[tokio::test]
async fn a_counted_token_is_good_for_so_many_requests_and_no_more() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    let ask = CreateToken { num_uses: 5, ..lasting(600) };
    let issued = create(&core, &test.root_token, ask).await.expect("a token");
    let attempts = (0..32).map(|_| {
        let (core, token) = (Arc::clone(&core), issued.token.clone());
        tokio::spawn(async move { is_good(&core, &token).await })
    });
    let mut good = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        good += usize::from(attempt.await.expect("no panic"));
    }
    assert_eq!(good, 5);
}

#[tokio::test]
async fn of_many_writers_with_one_expectation_one_wins() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    assert_eq!(put(&core, &test.root_token, "a", "0", Some(0)).await.expect("first"), 1);
    let attempts: Vec<_> = (0..16)
        .map(|index: u32| {
            let (core, token) = (Arc::clone(&core), test.root_token.clone());
            tokio::spawn(async move { put(&core, &token, "a", &index.to_string(), Some(1)).await })
        })
        .collect();
    let mut won = 0;
    for attempt in attempts {
        match attempt.await.expect("no panic") {
            Ok(number) => {
                assert_eq!(number, 2);
                won += 1;
            }
            Err(error) => assert!(matches!(error, KvError::CasMismatch), "{error}"),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn no_write_is_lost_among_many() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    let attempts: Vec<_> = (0..40)
        .map(|index: u32| {
            let (core, token) = (Arc::clone(&core), test.root_token.clone());
            tokio::spawn(async move { put(&core, &token, "b", &index.to_string(), None).await.expect("written") })
        })
        .collect();
    let mut numbers = Vec::new();
    for attempt in attempts {
        numbers.push(attempt.await.expect("no panic"));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
}

#[tokio::test]
async fn sealed_there_is_nothing_to_call_and_unsealed_all_is_back() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    put(&core, &test.root_token, "c", "kept", None).await.expect("written");
    let permit = admit(&core, &test.root_token, Operation::Update, "sys/seal").await.expect("may seal");
    drop(core);
    test.node.seal(permit).await;
    assert!(matches!(test.core(), Err(NotReady::Sealed)));
    test.node.unseal(SecretBytes::new(vec![7; 33])).await.expect_err("a wrong share");
    assert!(matches!(test.core(), Err(NotReady::Sealed)));
    test.node.unseal(test.share.clone()).await.expect("unsealed");
    let core = test.core().expect("open");
    assert_eq!(get(&core, &test.root_token, "c").await.as_deref(), Some(r#"{"v":"kept"}"#));
}

#[tokio::test]
async fn without_an_audit_device_that_writes_nobody_is_answered() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    test.audit.set_broken(true);
    assert!(matches!(admit(&core, &test.root_token, Operation::Read, "sys/mounts").await, Err(Refusal::NotAudited)));
    test.audit.set_broken(false);
    assert!(admit(&core, &test.root_token, Operation::Read, "sys/mounts").await.is_ok());
}

#[tokio::test]
async fn a_refusal_is_recorded_with_its_reason() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    let issued = create(&core, &test.root_token, lasting(60)).await.expect("a token");
    assert!(matches!(admit(&core, &issued.token, Operation::Read, "secret/data/x").await, Err(Refusal::Denied)));
    let lines = test.audit.lines();
    let refused = lines.iter().find(|line| line.contains("secret/data/x")).expect("recorded");
    assert!(refused.contains("permission denied") && !refused.contains(issued.token.expose_secret()));
}

#[tokio::test]
async fn a_request_whose_client_went_away_is_recorded_all_the_same() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    let data = SecretBytes::default();
    let ask = ask(&test.root_token, Operation::Read, "secret/data/left", &data);
    let (exchange, admitted) = core.admit(ask).await;
    assert!(admitted.is_ok());
    drop(exchange);
    let lines = test.audit.lines();
    assert!(lines.last().is_some_and(|line| line.contains("secret/data/left") && line.contains("\"request\"")));
}

#[tokio::test]
async fn a_change_is_recorded_before_it_is_carried_out() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    let data = SecretBytes::default();
    let ask = ask(&test.root_token, Operation::Update, "secret/data/changed", &data);
    let (exchange, admitted) = core.admit(ask).await;
    assert!(admitted.is_ok());
    assert!(test.audit.lines().last().is_some_and(|line| line.contains("secret/data/changed")));
    exchange.conclude(Answer::default()).await.expect("recorded");
}

#[tokio::test]
async fn the_day_of_the_last_read_is_written_down_in_the_background() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    put(&core, &test.root_token, "d", "x", None).await.expect("written");
    get(&core, &test.root_token, "d").await.expect("read");
    core.tend().await.expect("upkeep");
    let permit = admit(&core, &test.root_token, Operation::Read, "secret/metadata/d").await.expect("may read");
    let secret = core.kv().metadata(permit).await.expect("read").expect("there");
    assert_eq!(secret.last_accessed_day, 20_454, "2026-01-01");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn revoking_a_tree_leaves_no_grandchild_that_is_made_meanwhile() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    let rootlike = || CreateToken { policies: vec!["root".into()], ..lasting(3600) };
    let top = create(&core, &test.root_token, rootlike()).await.expect("top");
    let middle = create(&core, &top.token, rootlike()).await.expect("middle");
    let makers: Vec<_> = (0..4)
        .map(|_| {
            let (core, middle) = (Arc::clone(&core), middle.token.clone());
            tokio::spawn(async move {
                let mut made = Vec::new();
                while let Ok(permit) = admit(&core, &middle, Operation::Update, "auth/token/create").await {
                    match core.tokens().create(permit, lasting(3600), None, false).await {
                        Ok(issued) => made.push(issued.token),
                        Err(_) => break,
                    }
                }
                made
            })
        })
        .collect();
    while admit(&core, &middle.token, Operation::Read, "auth/token/lookup-self").await.is_err() {}
    let permit = admit(&core, &test.root_token, Operation::Update, "auth/token/revoke").await.expect("may revoke");
    core.tokens().revoke(permit, Which::Token(&top.token)).await.expect("revoked");
    for maker in makers {
        for token in maker.await.expect("no panic") {
            assert!(!is_good(&core, &token).await, "a token outlived its grandparent");
        }
    }
}

/// A token with one policy.
async fn limited(test: &TestNode, core: &Core, policy: &str) -> SecretString {
    let permit = admit(core, &test.root_token, Operation::Update, "sys/policies/acl/p").await.expect("may write");
    core.policies().write(permit, "p", policy).await.expect("a policy");
    let ask = CreateToken { policies: vec!["p".into()], ..lasting(3600) };
    create(core, &test.root_token, ask).await.expect("a token").token
}

#[tokio::test]
async fn parameters_that_cannot_be_read_are_not_taken_for_none() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    let policy = r#"path "secret/data/x" { capabilities = ["create"] denied_parameters = { "bad" = [] } }"#;
    let token = limited(&test, &core, policy).await;
    for (text, allowed) in [(r#"{"ok":1}"#, true), (r#"{"bad":1}"#, false), (r#"{"bad":1,"z":1e999}"#, false)] {
        let data = SecretBytes::new(text.as_bytes().to_vec());
        let (exchange, admitted) = core.admit(ask(&token, Operation::Update, "secret/data/x", &data)).await;
        exchange.conclude(Answer::default()).await.expect("recorded");
        assert_eq!(admitted.is_ok(), allowed, "{text}");
    }
}

#[tokio::test]
async fn whoever_may_only_create_overwrites_nothing() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    let token = limited(&test, &core, r#"path "secret/data/new" { capabilities = ["create"] }"#).await;
    let first = admit(&core, &token, Operation::Update, "secret/data/new").await.expect("nothing there yet");
    let second = admit(&core, &token, Operation::Update, "secret/data/new").await.expect("nothing there yet");
    let new = || NewVersion { payload: Payload::Fields(SecretBytes::new(b"{}".to_vec())), cas: None };
    core.kv().write(first, new()).await.expect("created");
    assert!(matches!(core.kv().write(second, new()).await, Err(KvError::Denied)));
}

#[tokio::test]
async fn many_tokens_end_in_few_commits() {
    let test = TestNode::start().await.expect("a node");
    let core = test.core().expect("open");
    let mut tokens = Vec::new();
    for _ in 0..150 {
        tokens.push(create(&core, &test.root_token, lasting(10)).await.expect("a token").token);
    }
    test.clock.advance(SignedDuration::from_secs(11));
    core.tend().await.expect("upkeep");
    let permit = admit(&core, &test.root_token, Operation::List, "auth/token/accessors/").await.expect("may list");
    assert_eq!(core.tokens().accessors(permit).await.expect("listed").len(), 2, "the two root tokens");
}
