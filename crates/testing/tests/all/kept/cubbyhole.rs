//! What a token keeps for itself.

use super::*;

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
