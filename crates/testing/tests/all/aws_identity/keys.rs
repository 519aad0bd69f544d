//! The life of an access key: whose rights it has, and everything that ends it.

use keyturn_core::{
    access_key::{AccessKeyError, CreateAccessKey},
    policy::Operation,
    secret::SecretString,
    token::{CreateToken, TokenError, Which},
};

use super::fixture::Fixture;

const UNKNOWN: &str = "UnrecognizedClientException";
const GOOD: &str = "UnknownOperationException";

#[tokio::test]
async fn a_key_ends_with_its_time() {
    let test = Fixture::start().await;
    let key = test.key("app", 60).await;
    assert_eq!(test.send(&test.secrets_manager(&key)).await.code(), GOOD);
    test.pass(60);
    assert_eq!(test.send(&test.secrets_manager(&key)).await.code(), UNKNOWN, "in the very second that it ends");
    test.pass(1);
    test.core.tend().await.expect("upkeep");
    assert_eq!(test.send(&test.secrets_manager(&key)).await.code(), UNKNOWN);
    let permit = test.permit(Operation::List, "sys/aws-keys/").await;
    assert!(test.core.access_keys().list(permit).await.expect("listed").is_empty());
    assert_eq!(test.records().await, 0, "nothing of it stays");
}

#[tokio::test]
async fn a_key_ends_when_it_or_its_token_is_revoked() {
    let test = Fixture::start().await;
    for by_key in [true, false] {
        let key = test.key("app", 0).await;
        assert_eq!(test.send(&test.secrets_manager(&key)).await.code(), GOOD);
        if by_key {
            let permit = test.permit(Operation::Delete, &format!("sys/aws-keys/{}", key.id)).await;
            test.core.access_keys().revoke(permit, &key.id).await.expect("revoked");
        } else {
            let permit = test.permit(Operation::Update, "auth/token/revoke-accessor").await;
            test.core.tokens().revoke(permit, Which::Accessor(&key.entry.accessor)).await.expect("revoked");
        }
        // Its signing key is still cached: it must not count.
        assert_eq!(test.send(&test.secrets_manager(&key)).await.code(), UNKNOWN);
        let permit = test.permit(Operation::Read, &format!("sys/aws-keys/{}", key.id)).await;
        let read = test.core.access_keys().read(permit, &key.id).await;
        assert!(matches!(read, Err(AccessKeyError::NotFound(_))), "{read:?}");
        assert_eq!(test.records().await, 0, "nothing of it stays");
    }
}

#[tokio::test]
async fn a_key_survives_the_token_that_made_it_and_lives_as_long_as_the_system_allows() {
    let test = Fixture::start().await;
    let permit = test.permit(Operation::Update, "auth/token/create").await;
    let ask = CreateToken { policies: vec!["root".to_owned()], ttl: 60, ..CreateToken::default() };
    let admin = test.core.tokens().create(permit, ask, None, false).await.expect("a token");
    let permit = test.permit_of(&admin.token, Operation::Update, "sys/aws-keys").await;
    let ask = CreateAccessKey { policies: vec!["default".to_owned()], ..CreateAccessKey::default() };
    let key = test.core.access_keys().create(permit, ask).await.expect("a key");
    assert_eq!((key.entry.ttl, key.name.as_str()), (2_764_800, key.id.as_str()));
    test.pass(61);
    test.core.tend().await.expect("upkeep");
    assert_eq!(test.send(&test.secrets_manager(&key)).await.code(), GOOD);
    let asked = CreateAccessKey { policies: vec!["default".into()], ttl: 9_000_000, ..CreateAccessKey::default() };
    let capped = test.make(asked).await;
    assert_eq!(capped.entry.ttl, 2_764_800);
    assert!(capped.warnings[0].contains("capped"), "{:?}", capped.warnings);
}

#[tokio::test]
async fn nobody_gives_a_key_more_than_they_have() {
    let test = Fixture::start().await;
    let write = test.permit(Operation::Update, "sys/policies/acl/keymaker").await;
    let text = r#"path "sys/aws-keys" { capabilities = ["update"] }"#;
    test.core.policies().write(write, "keymaker", text).await.expect("written");
    let permit = test.permit(Operation::Update, "auth/token/create").await;
    let ask = CreateToken { policies: vec!["keymaker".to_owned()], ttl: 600, ..CreateToken::default() };
    let maker = test.core.tokens().create(permit, ask, None, false).await.expect("a token");
    for (policy, may) in [("keymaker", true), ("other", false), ("root", false)] {
        let permit = test.permit_of(&maker.token, Operation::Update, "sys/aws-keys").await;
        let ask = CreateAccessKey { policies: vec![policy.to_owned()], ..CreateAccessKey::default() };
        let made = test.core.access_keys().create(permit, ask).await;
        assert_eq!(made.is_ok(), may, "{policy}: {made:?}");
    }
    for ask in [
        CreateAccessKey::default(),
        CreateAccessKey { policies: vec!["default".into()], name: "a/b".into(), ..CreateAccessKey::default() },
        CreateAccessKey { policies: vec!["default".into()], name: "x".repeat(65), ..CreateAccessKey::default() },
    ] {
        let permit = test.permit(Operation::Update, "sys/aws-keys").await;
        let made = test.core.access_keys().create(permit, ask).await;
        assert!(matches!(made, Err(AccessKeyError::Invalid(_))), "{made:?}");
    }
}

#[tokio::test]
async fn a_key_is_good_only_where_it_may_be_used() {
    let test = Fixture::start().await;
    let bound = |cidr: &str| CreateAccessKey {
        policies: vec!["default".into()],
        bound_cidrs: vec![cidr.parse().expect("a network")],
        ..CreateAccessKey::default()
    };
    let (near, far) = (test.make(bound("127.0.0.0/8")).await, test.make(bound("10.0.0.0/8")).await);
    assert_eq!(test.send(&test.sts(&near)).await.status, 200);
    let refused = test.send(&test.sts(&far)).await;
    assert_eq!((refused.status, refused.code()), (403, "AccessDenied"));
}

#[tokio::test]
async fn the_last_use_is_noted_once_a_minute() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    let last = async || {
        test.core.tend().await.expect("upkeep");
        let permit = test.permit(Operation::Read, &format!("sys/aws-keys/{}", key.id)).await;
        test.core.access_keys().read(permit, &key.id).await.expect("read").last_use
    };
    assert_eq!(last().await, None);
    test.send(&test.secrets_manager(&key)).await;
    let first = last().await.expect("noted");
    assert_eq!((first.region.as_str(), first.service.as_str()), ("eu-west-1", "secretsmanager"));
    test.pass(59);
    test.send(&test.secrets_manager(&key)).await;
    assert_eq!(last().await.expect("noted").time, first.time);
    test.pass(1);
    test.send(&test.secrets_manager(&key)).await;
    assert_eq!(last().await.expect("noted").time, test.core.now());
}

#[tokio::test]
async fn no_token_reaches_a_keys_entry() {
    let test = Fixture::start().await;
    let key = test.key("app", 0).await;
    for guess in [key.id.clone(), key.secret.expose_secret().to_owned(), key.entry.accessor.clone()] {
        let permit = test.permit(Operation::Update, "auth/token/lookup").await;
        let found = test.core.tokens().lookup(permit, Which::Token(&SecretString::new(guess))).await;
        assert!(matches!(found, Err(TokenError::BadToken)), "{found:?}");
    }
}
