//! Key ceremonies on a store in memory: what the door asks, what the audit log sees, and any order of shares.

use std::sync::Arc;

use keyturn_core::{
    ceremony::{CeremonyError, MAX_FAILURES, RekeyPlan, RekeyProgress, RootProgress, VerifyProgress, decode_token},
    door::{Answer, Ask, Credential, Permit, Refusal},
    node::{Node, NotReady},
    policy::Operation,
    secret::{SecretBytes, SecretString},
};
use keyturn_testing::TestNode;

/// A permit without a token, as a stranger gets one.
async fn open(node: &Node, operation: Operation, path: &str) -> Result<Permit, Refusal> {
    let core = node.core().expect("open");
    let ask = Ask::new("test", operation, path);
    let (exchange, admitted) = core.admit(ask).await;
    exchange.conclude(Answer::default()).await.expect("audited");
    admitted
}

async fn update(node: &Node) -> Permit {
    open(node, Operation::Update, "sys/rekey/update").await.expect("a ceremony is open to all")
}

async fn start(node: &Node, plan: RekeyPlan) -> Result<String, CeremonyError> {
    Ok(node.start_rekey(update(node).await, plan).await?.nonce)
}

#[tokio::test]
async fn the_old_spellings_alone_are_open() {
    let test = TestNode::start().await.expect("a node");
    for path in ["sys/rekey/init", "sys/rekey/verify", "sys/generate-root/attempt", "sys/generate-root/update"] {
        assert!(open(&test.node, Operation::Update, path).await.is_ok(), "{path}");
    }
    for path in ["sys/rotate/root/init", "sys/generate-root-token/attempt", "sys/rekey/backup", "sys/storage/snapshot"]
    {
        let refused = open(&test.node, Operation::Read, path).await;
        assert!(matches!(refused, Err(Refusal::Denied)), "{path}");
    }
    assert!(test.audit.lines().iter().any(|line| line.contains("sys/rekey/init")), "open, and recorded");
}

#[tokio::test]
async fn shares_are_exchanged_again_and_again() {
    let test = TestNode::start().await.expect("a node");
    let node = &test.node;
    let mut shares = vec![test.share.clone()];
    let mut threshold = 1;
    for (next, needed, verify) in [(5, 3, true), (3, 3, false), (7, 2, true), (1, 1, true), (2, 2, false)] {
        let nonce = start(node, RekeyPlan { shares: next, threshold: needed, verify }).await.expect("start");
        // The last ones, from the end.
        let mut made = None;
        for share in shares.iter().rev().take(threshold) {
            let given = node.give_rekey_share(update(node).await, share.clone(), &nonce).await.expect("give");
            if let RekeyProgress::Made { shares, verification_nonce, .. } = given {
                made = Some((shares, verification_nonce));
            }
        }
        let (new, verification) = made.expect("enough shares");
        assert_eq!((new.len(), verification.is_some()), (usize::from(next), verify));
        if let Some(nonce) = verification {
            assert_eq!(usize::from(node.status().shares), shares.len(), "not in force yet");
            for (number, share) in (1..=needed).zip(&new) {
                let given = node.give_verify_share(update(node).await, share.clone(), &nonce).await.expect("verify");
                assert_eq!(matches!(given, VerifyProgress::Done { .. }), number == needed);
            }
        }
        assert_eq!((node.status().shares, node.status().threshold), (next, needed));
        (shares, threshold) = (new, usize::from(needed));
    }
    node.close().await;
    for share in shares {
        node.unseal(share).await.expect("unseal");
    }
    assert!(!node.status().sealed);
}

#[tokio::test]
async fn guessing_ends_a_ceremony_and_costs_nothing_else() {
    let test = TestNode::start().await.expect("a node");
    let node = &test.node;
    let nonce = start(node, RekeyPlan { shares: 1, threshold: 1, verify: false }).await.expect("start");
    let (root, _) = node.start_root(update(node).await, None).await.expect("start");
    for guess in 1..=MAX_FAILURES {
        let share = SecretBytes::new(vec![u8::try_from(guess).expect("few"); 32]);
        let rekey = node.give_rekey_share(update(node).await, share.clone(), &nonce).await.expect_err("a guess");
        let token = node.give_root_share(update(node).await, share, &root.nonce).await.expect_err("a guess");
        let ended = guess == MAX_FAILURES;
        assert_eq!(matches!(rekey, CeremonyError::TooManyFailures), ended, "{rekey}");
        assert_eq!(matches!(token, CeremonyError::TooManyFailures), ended, "{token}");
    }
    let late = node.give_rekey_share(update(node).await, test.share.clone(), &nonce).await;
    assert!(matches!(late, Err(CeremonyError::NotStarted(_))));
    assert!(!node.status().sealed);
}

#[tokio::test]
async fn of_concurrent_shares_one_issues_the_token() {
    let test = TestNode::start().await.expect("a node");
    let (status, otp) = test.node.start_root(update(&test.node).await, None).await.expect("start");
    let given = (0..16).map(|_| {
        let (node, share, nonce) = (Arc::clone(&test.node), test.share.clone(), status.nonce.clone());
        tokio::spawn(async move { node.give_root_share(update(&node).await, share, &nonce).await })
    });
    let mut encoded = Vec::new();
    for given in given.collect::<Vec<_>>() {
        match given.await.expect("no panic") {
            Ok(RootProgress::Done { encoded: one, .. }) => encoded.push(one),
            Ok(RootProgress::More(_)) => panic!("one share is enough"),
            Err(error) => assert!(matches!(error, CeremonyError::NotStarted(_)), "{error}"),
        }
    }
    let [encoded] = &*encoded else { panic!("{} tokens were issued", encoded.len()) };
    let token: SecretString = decode_token(encoded.expose_secret(), &otp.expect("made")).expect("decode");
    let core = test.core().expect("open");
    let ask = Ask {
        credential: Some(Credential::Token(&token)),
        ..Ask::new("test", Operation::Read, "sys/storage/snapshot")
    };
    let (exchange, admitted) = core.admit(ask).await;
    exchange.conclude(Answer::default()).await.expect("audited");
    assert!(admitted.is_ok(), "it is a root token");
}

#[tokio::test]
async fn a_sealed_store_has_no_ceremonies() {
    let test = TestNode::start().await.expect("a node");
    let permit = update(&test.node).await;
    start(&test.node, RekeyPlan { shares: 1, threshold: 1, verify: true }).await.expect("start");
    test.node.close().await;
    let refused = test.node.give_rekey_share(permit, test.share.clone(), "x").await;
    assert!(matches!(refused, Err(CeremonyError::NotReady(NotReady::Sealed))));
    test.node.unseal(test.share.clone()).await.expect("unseal");
    assert!(test.node.rekey_status(update(&test.node).await).await.expect("status").plan.is_none());
}
