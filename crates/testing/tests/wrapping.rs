//! Cubbyholes, wrapped answers and leases, on a store in memory with a clock that is moved by hand.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use keyturn_core::{
    clock::SignedDuration,
    core::Core,
    cubbyhole::{CubbyholeError, MAX_ENTRIES},
    door::{Answer, Ask, Permit, Refusal},
    lease::LeaseError,
    node::Node,
    policy::Operation::{self, Delete, List, Read, Update},
    secret::{SecretBytes, SecretString},
    storage::{Commit, Storage as _, Transaction, Write},
    token::{CreateToken, Issued, Which},
    wrapping::{WrapInfo, Wrapped, WrappingError},
};
use keyturn_storage::{barrier::BarrierOptions, seal::ShamirSeal};
use keyturn_testing::{NoDevices, TestNode};

const SECRET: &str = "{\"data\":{\"password\":\"hunter2\"}}";

struct Fixture {
    node: TestNode,
    core: Arc<Core>,
}

impl Fixture {
    async fn start() -> Arc<Self> {
        let node = TestNode::start().await.expect("a node");
        let core = node.core().expect("open");
        Arc::new(Self { node, core })
    }

    fn root(&self) -> &SecretString {
        &self.node.root_token
    }

    async fn ask(&self, token: &SecretString, operation: Operation, path: &str, text: &str) -> Result<Permit, Refusal> {
        let data = SecretBytes::new(text.as_bytes().to_vec());
        let ask =
            Ask { request_id: "test", operation, path, token: Some(token), remote: None, data: &data, wrap_ttl: None };
        let (exchange, admitted) = self.core.admit(ask).await;
        exchange.conclude(Answer::default()).await.expect("recorded");
        admitted
    }

    async fn permit(&self, operation: Operation, path: &str) -> Permit {
        self.ask(self.root(), operation, path, "").await.expect("permitted")
    }

    async fn token(&self, ask: CreateToken) -> Issued {
        let permit = self.permit(Update, "auth/token/create").await;
        self.core.tokens().create(permit, ask, None, false).await.expect("a token")
    }

    async fn keep(&self, token: &SecretString, name: &str) -> Result<(), CubbyholeError> {
        let permit = self.ask(token, Update, &format!("cubbyhole/{name}"), "{\"k\":1}").await.expect("permitted");
        self.core.cubbyhole().write(permit, &SecretBytes::new(b"{\"k\":1}".to_vec())).await
    }

    async fn kept(&self, token: &SecretString, name: &str) -> bool {
        let permit = self.ask(token, Read, &format!("cubbyhole/{name}"), "").await.expect("permitted");
        self.core.cubbyhole().read(permit).await.expect("read").is_some()
    }

    /// Wraps [`SECRET`] as the answer to a read.
    async fn wrap(&self, ttl: u64) -> WrapInfo {
        let data = SecretBytes::default();
        let ask = Ask {
            request_id: "test",
            operation: Read,
            path: "secret/data/db",
            token: Some(self.root()),
            remote: None,
            data: &data,
            wrap_ttl: Some(ttl),
        };
        let (exchange, admitted) = self.core.admit(ask).await;
        admitted.expect("permitted").spend();
        let answer = Wrapped { code: 200, body: SecretBytes::new(SECRET.as_bytes().to_vec()) };
        let info = exchange.wrap(&answer, None).await.expect("wrapped");
        exchange.conclude(Answer { wrapped: Some(&info), ..Answer::default() }).await.expect("recorded");
        info
    }

    /// Unwraps as somebody else, who names the token.
    async fn unwrap(&self, token: &SecretString) -> Result<String, Refusal> {
        let named = format!("{{\"token\":\"{}\"}}", token.expose_secret());
        let permit = self.ask(self.root(), Update, "sys/wrapping/unwrap", &named).await?;
        match self.core.wrapping().unwrap(permit, Some(token)).await {
            Ok(wrapped) => Ok(String::from_utf8(wrapped.body.expose_secret().to_vec()).expect("UTF-8")),
            Err(WrappingError::Store(error)) => Err(error.into()),
            Err(_) => Err(Refusal::NotWrapping),
        }
    }

    /// Unwraps with the wrapping token as one's own.
    async fn unwrap_own(&self, token: &SecretString) -> Result<String, Refusal> {
        let data = SecretBytes::default();
        let path = "sys/wrapping/unwrap";
        let ask = Ask {
            request_id: "test",
            operation: Update,
            path,
            token: Some(token),
            remote: None,
            data: &data,
            wrap_ttl: None,
        };
        let (exchange, admitted) = self.core.admit(ask).await;
        let unwrapped = match admitted {
            Err(refusal) => Err(refusal),
            Ok(permit) => {
                let wrapped = self.core.wrapping().unwrap(permit, None).await.expect("an answer");
                Ok(String::from_utf8(wrapped.body.expose_secret().to_vec()).expect("UTF-8"))
            }
        };
        exchange.conclude(Answer::default()).await.expect("recorded");
        unwrapped
    }

    async fn revoke(&self, which: Which<'_>) {
        let permit = self.permit(Update, "auth/token/revoke").await;
        self.core.tokens().revoke(permit, which).await.expect("revoked");
    }

    /// Changes the store behind the server's back.
    async fn meddle(&self, writes: Vec<Write>) {
        let done = self.node.storage.commit(Transaction { expect: Vec::new(), writes }).await.expect("committed");
        assert!(matches!(done, Commit::Committed(_)));
    }

    /// How many records lie below a prefix.
    async fn records(&self, prefix: &str) -> usize {
        self.node.storage.keys(prefix.as_bytes(), None, 10_000).await.expect("keys").len()
    }
}

fn lasting(ttl: u64) -> CreateToken {
    CreateToken { ttl, renewable: true, policies: vec!["default".into()], ..CreateToken::default() }
}

fn is_not_wrapping(outcome: &Result<String, Refusal>) -> bool {
    matches!(outcome, Err(Refusal::NotWrapping))
}

#[tokio::test]
async fn nobody_gets_at_anothers_cubbyhole() {
    let test = Fixture::start().await;
    let (ann, bob) = (test.token(lasting(60)).await.token, test.token(lasting(60)).await.token);
    test.keep(&ann, "a/b").await.expect("kept");
    assert!(test.kept(&ann, "a/b").await);
    assert!(!test.kept(&bob, "a/b").await);
    assert!(!test.kept(test.root(), "a/b").await, "not even root");
    let permit = test.permit(List, "cubbyhole/").await;
    assert!(test.core.cubbyhole().list(permit).await.expect("listed").is_empty());
    let permit = test.ask(&ann, List, "cubbyhole/", "").await.expect("permitted");
    assert_eq!(test.core.cubbyhole().list(permit).await.expect("listed"), ["a/"]);
    let permit = test.ask(&bob, Delete, "cubbyhole/a/b", "").await.expect("permitted");
    test.core.cubbyhole().delete(permit).await.expect("nothing to do");
    assert!(test.kept(&ann, "a/b").await);
    // Knowing where another's lies in the store does not lead there.
    let keys = test.node.storage.keys(b"cubbyhole/", None, 10).await.expect("keys");
    let key = String::from_utf8(keys[0].clone()).expect("UTF-8");
    assert!(!test.kept(&bob, key.strip_prefix("cubbyhole/").expect("below")).await);
}

#[tokio::test]
async fn a_cubbyhole_goes_with_its_token_however_that_ends() {
    let test = Fixture::start().await;
    let revoked = test.token(lasting(600)).await;
    let expired = test.token(lasting(10)).await.token;
    let used_up = test.token(CreateToken { num_uses: 2, ..lasting(600) }).await.token;
    for token in [&revoked.token, &expired, &used_up] {
        test.keep(token, "x").await.expect("kept");
        assert!(test.records("cubbyhole/").await > 0);
    }
    assert_eq!(test.records("cubbyhole/").await, 3);
    test.ask(&used_up, Read, "cubbyhole/x", "").await.expect("its last use").spend();
    assert_eq!(test.records("cubbyhole/").await, 2, "gone when the last use was concluded");
    test.revoke(Which::Accessor(&revoked.entry.accessor)).await;
    assert_eq!(test.records("cubbyhole/").await, 1);
    test.node.clock.advance(SignedDuration::from_secs(11));
    test.core.tend().await.expect("upkeep");
    assert_eq!(test.records("cubbyhole/").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_kept_while_the_token_is_revoked_stays_not_behind() {
    let test = Fixture::start().await;
    for round in 0..8 {
        let issued = test.token(lasting(600)).await;
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (test, token) = (Arc::clone(&test), issued.token.clone());
                tokio::spawn(async move {
                    for entry in 0..50 {
                        let path = format!("cubbyhole/{writer}-{entry}");
                        let Ok(permit) = test.ask(&token, Update, &path, "{\"k\":1}").await else { return };
                        let fields = SecretBytes::new(b"{\"k\":1}".to_vec());
                        if test.core.cubbyhole().write(permit, &fields).await.is_err() {
                            return;
                        }
                    }
                })
            })
            .collect();
        while test.records("cubbyhole/").await <= round {
            tokio::task::yield_now().await;
        }
        test.revoke(Which::Accessor(&issued.entry.accessor)).await;
        for writer in writers {
            writer.await.expect("no panic");
        }
        assert_eq!(test.records("cubbyhole/").await, 0, "round {round}");
    }
}

#[tokio::test]
async fn a_cubbyhole_has_its_bounds() {
    let test = Fixture::start().await;
    let token = test.token(lasting(600)).await.token;
    for entry in 0..MAX_ENTRIES {
        test.keep(&token, &entry.to_string()).await.expect("kept");
    }
    assert!(matches!(test.keep(&token, "more").await, Err(CubbyholeError::Full)));
    test.keep(&token, "0").await.expect("an entry that is there can be replaced");
    assert!(matches!(test.keep(&token, &"x".repeat(1025)).await, Err(CubbyholeError::Entry(_))));
    let batch = test.token(CreateToken { kind: "batch".into(), ..lasting(600) }).await.token;
    assert!(matches!(test.keep(&batch, "x").await, Err(CubbyholeError::BatchToken)));
}

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
    let data = SecretBytes::default();
    let ask = Ask {
        request_id: "test",
        operation: Update,
        path: "sys/wrapping/unwrap",
        token: Some(&info.token),
        remote: None,
        data: &data,
        wrap_ttl: None,
    };
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
async fn leases_are_found_listed_and_revoked_by_the_path_that_issued_them() {
    let test = Fixture::start().await;
    let issued = test.token(lasting(60)).await;
    let other = test.wrap(60).await;
    let permit = test.permit(List, "sys/leases/lookup/").await;
    assert_eq!(test.core.leases().list(permit).await.expect("listed"), ["auth/", "secret/"]);
    let permit = test.permit(List, "sys/leases/lookup/auth/token/create/").await;
    let listed = test.core.leases().list(permit).await.expect("listed");
    let id = format!("auth/token/create/{}", listed[0]);
    let permit = test.permit(Update, "sys/leases/lookup").await;
    let lease = test.core.leases().lookup(permit, &id).await.expect("there");
    assert_eq!((lease.ttl, lease.expires, lease.renewable), (60, issued.entry.expires, true));
    for wrong in ["auth/token/create/h", &id.replace("create", "create-orphan"), &id[5..]] {
        let permit = test.permit(Update, "sys/leases/lookup").await;
        let looked = test.core.leases().lookup(permit, wrong).await;
        assert!(matches!(looked, Err(LeaseError::Unknown)), "{wrong}");
    }
    let permit = test.permit(Update, "sys/leases/renew").await;
    assert!(matches!(test.core.leases().renew(permit, &id).await, Err(LeaseError::IsToken)));
    for part in ["auth/token/cre", "auth/token/create/h"] {
        let permit = test.permit(Update, &format!("sys/leases/revoke-prefix/{part}")).await;
        test.core.leases().revoke_prefix(permit).await.expect("nothing of that name");
        assert_eq!(test.records("token/lease/").await, 2, "a prefix is one of whole segments");
    }
    let permit = test.permit(Update, "sys/leases/revoke-prefix/auth").await;
    test.core.leases().revoke_prefix(permit).await.expect("revoked");
    assert!(test.ask(&issued.token, Read, "auth/token/lookup-self", "").await.is_err());
    assert!(test.unwrap(&other.token).await.is_ok());
}

#[tokio::test]
async fn a_prefix_of_many_tokens_is_revoked_with_their_children() {
    let test = Fixture::start().await;
    let parent = test.token(CreateToken { policies: vec!["root".into()], ..lasting(600) }).await;
    for _ in 0..600 {
        test.token(lasting(600)).await;
    }
    let permit = test.ask(&parent.token, Update, "auth/token/create-orphan", "").await.expect("permitted");
    let orphan = test.core.tokens().create(permit, lasting(600), None, true).await.expect("a token");
    let permit = test.ask(&parent.token, Update, "auth/token/create/x", "").await.expect("permitted");
    let child = test.core.tokens().create(permit, lasting(600), None, false).await.expect("a token");
    let permit = test.permit(Update, "sys/leases/revoke-force/auth/token/create").await;
    test.core.leases().revoke_prefix(permit).await.expect("revoked");
    assert!(test.ask(&child.token, Read, "auth/token/lookup-self", "").await.is_err());
    assert!(test.ask(&orphan.token, Read, "auth/token/lookup-self", "").await.is_ok());
    assert_eq!(test.records("token/lease/").await, 1);
    assert_eq!(test.records("token/id/").await, 3, "two root tokens and the orphan");
}

#[tokio::test]
async fn a_counted_token_in_use_is_revoked_all_the_same() {
    let test = Fixture::start().await;
    let issued = test.token(CreateToken { num_uses: 1_000_000, ..lasting(600) }).await;
    let users: Vec<_> = (0..4)
        .map(|_| {
            let (test, token) = (Arc::clone(&test), issued.token.clone());
            tokio::spawn(async move {
                while test.ask(&token, Read, "auth/token/lookup-self", "").await.is_ok() {
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    tokio::task::yield_now().await;
    test.revoke(Which::Accessor(&issued.entry.accessor)).await;
    for user in users {
        user.await.expect("no panic");
    }
    assert_eq!(test.records("token/lease/").await, 0);
}

#[tokio::test]
async fn a_store_from_before_the_index_gets_one() {
    let test = Fixture::start().await;
    test.token(lasting(600)).await;
    let permit = test.permit(Update, "sys/seal").await;
    let Some(Fixture { node, core }) = Arc::into_inner(test) else { unreachable!("one handle") };
    drop(core);
    node.node.seal(permit).await;
    let indexed = node.storage.keys(b"token/lease", None, 10).await.expect("keys");
    assert_eq!(indexed.len(), 2, "a lease and the mark");
    let writes = indexed.iter().cloned().map(Write::Delete).collect();
    let done = node.storage.commit(Transaction { expect: Vec::new(), writes }).await.expect("committed");
    assert!(matches!(done, Commit::Committed(_)));
    // As after an upgrade: another process, which has nothing in its cache.
    let seal = Arc::new(ShamirSeal::new(node.storage.clone(), BarrierOptions::default(), node.clock.clone()));
    let upgraded = Node::start(seal, node.clock.clone(), Arc::new(NoDevices), Vec::new()).await.expect("started");
    upgraded.unseal(node.share.clone()).await.expect("unsealed");
    assert_eq!(node.storage.keys(b"token/lease", None, 10).await.expect("keys"), indexed);
}

#[tokio::test]
async fn tidying_removes_ids_that_lead_nowhere_and_no_others() {
    let test = Fixture::start().await;
    let issued = test.token(lasting(600)).await;
    let nowhere = format!("token/lease/auth/x/login/h{}", "0".repeat(64));
    let no_id = "token/lease/auth/x/login/other".to_owned();
    let record = |key: String| Write::Put(key.into_bytes(), Arc::from(&b"x"[..]));
    test.meddle(vec![record(nowhere), record(no_id)]).await;
    assert_eq!(test.records("token/lease/").await, 3);
    let permit = test.permit(Update, "sys/leases/tidy").await;
    test.core.leases().tidy(permit).await.expect("tidied");
    assert_eq!(test.records("token/lease/").await, 1);
    assert!(test.ask(&issued.token, Read, "auth/token/lookup-self", "").await.is_ok());
}

#[tokio::test]
async fn nothing_is_wrapped_that_was_refused_or_not_to_be_wrapped() {
    let test = Fixture::start().await;
    let unknown = SecretString::from("hvs.unknown");
    let data = SecretBytes::default();
    for (token, wrap_ttl) in [(&unknown, Some(60)), (test.root(), None)] {
        let ask = Ask {
            request_id: "test",
            operation: Read,
            path: "secret/data/db",
            token: Some(token),
            remote: None,
            data: &data,
            wrap_ttl,
        };
        let (exchange, admitted) = test.core.admit(ask).await;
        drop(admitted);
        let answer = Wrapped { code: 200, body: SecretBytes::new(SECRET.as_bytes().to_vec()) };
        assert!(matches!(exchange.wrap(&answer, None).await, Err(WrappingError::NotAsked)));
        exchange.conclude(Answer::default()).await.expect("recorded");
    }
    assert_eq!(test.records("wrapping/").await, 0);
}
