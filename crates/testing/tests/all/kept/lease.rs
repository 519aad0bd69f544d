//! Leases of tokens.

use super::*;

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
    assert!(matches!(test.core.leases().renew(permit, &id, 0).await, Err(LeaseError::IsToken)));
    for part in ["auth/token/cre", "auth/token/create/h"] {
        let permit = test.permit(Update, &format!("sys/leases/revoke-prefix/{part}")).await;
        test.core.leases().revoke_prefix(permit, true).await.expect("nothing of that name");
        assert_eq!(test.records("token/lease/").await, 2, "a prefix is one of whole segments");
    }
    let permit = test.permit(Update, "sys/leases/revoke-prefix/auth").await;
    test.core.leases().revoke_prefix(permit, true).await.expect("revoked");
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
    test.core.leases().revoke_force(permit).await.expect("revoked");
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
    let upgraded = Node::start(seal, node.surroundings(), Vec::new()).await.expect("started");
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
