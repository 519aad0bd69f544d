//! The properties, each a sentence of the contract.

use std::sync::Arc;

use keyturn_core::storage::{
    BoxFuture, Change, Commit, Entry, Expect, Key, MAX_KEY_LEN, Revision, Storage, StorageError, Transaction, Write,
};
use tokio::sync::broadcast::error::TryRecvError;

use super::{Subject, Verdict, ensure};

pub(super) type Property = for<'a> fn(&'a dyn Subject) -> BoxFuture<'a, Verdict>;

macro_rules! properties {
    ($($name:ident),+ $(,)?) => {
        /// Each property of this file and its name.
        pub(super) const ALL: &[(&str, Property)] = &[$((stringify!($name), |subject| Box::pin($name(subject)))),+];
    };
}

pub(super) use properties;

properties![
    a_new_store_is_empty,
    a_commit_is_read_back,
    writes_are_applied_in_order,
    absent_holds_only_once,
    a_revision_holds_until_the_next_write,
    a_conflict_changes_nothing_and_names_the_key,
    preconditions_of_keys_that_are_not_written_count,
    a_transaction_without_writes_only_checks,
    deleting_what_is_not_there_is_no_error,
    empty_and_large_values_are_kept,
    keys_are_bounded,
    scans_are_ordered_bytewise,
    scans_keep_to_the_prefix,
    scans_start_after_and_stop_at_the_limit,
    revisions_grow_and_survive_a_restart,
    the_feed_tells_each_commit_before_its_answer,
    the_feed_is_silent_about_conflicts,
    racing_writers_lose_no_update,
    concurrent_transactions_are_whole,
];

async fn a_new_store_is_empty(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    ensure(get(&store, b"k").await?.is_none(), || "a key is there".to_owned())?;
    ensure(keys(&store, b"", None, 10).await?.is_empty(), || "a scan finds something".to_owned())
}

async fn a_commit_is_read_back(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    let revision = committed(&store, &[], &[put(b"a", b"1"), put(b"b", b"2")]).await?;
    for (key, value) in [(b"a", b"1"), (b"b", b"2")] {
        let entry = get(&store, key).await?;
        let expected = Entry { revision, value: Arc::from(value.as_slice()) };
        ensure(entry.as_ref() == Some(&expected), || format!("{entry:?} instead of {expected:?}"))?;
    }
    Ok(())
}

async fn writes_are_applied_in_order(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    committed(&store, &[], &[put(b"a", b"1"), put(b"a", b"2"), put(b"b", b"1"), delete(b"b")]).await?;
    let (a, b) = (value(&store, b"a").await?, value(&store, b"b").await?);
    ensure(a.as_deref() == Some(b"2") && b.is_none(), || format!("a is {a:?}, b is {b:?}"))
}

async fn absent_holds_only_once(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    let expect = [(b"a".to_vec(), Expect::Absent)];
    committed(&store, &expect, &[put(b"a", b"1")]).await?;
    conflicts(&store, &expect, &[put(b"a", b"2")], b"a").await?;
    committed(&store, &[], &[delete(b"a")]).await?;
    committed(&store, &expect, &[put(b"a", b"3")]).await.map(drop)
}

async fn a_revision_holds_until_the_next_write(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    let first = committed(&store, &[], &[put(b"a", b"1")]).await?;
    let seen_first = [(b"a".to_vec(), Expect::Revision(first))];
    // A commit elsewhere leaves the key's revision alone.
    committed(&store, &[], &[put(b"b", b"1")]).await?;
    let second = committed(&store, &seen_first, &[put(b"a", b"2")]).await?;
    conflicts(&store, &seen_first, &[put(b"a", b"3")], b"a").await?;
    // The same value written again is another write.
    committed(&store, &[], &[put(b"a", b"2")]).await?;
    conflicts(&store, &[(b"a".to_vec(), Expect::Revision(second))], &[delete(b"a")], b"a").await?;
    committed(&store, &[], &[delete(b"a")]).await?;
    conflicts(&store, &[(b"a".to_vec(), Expect::Revision(second))], &[put(b"a", b"4")], b"a").await
}

async fn a_conflict_changes_nothing_and_names_the_key(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    committed(&store, &[], &[put(b"taken", b"1")]).await?;
    let before = scan(&store, b"", None, 10).await?;
    let expect = [(b"free".to_vec(), Expect::Absent), (b"taken".to_vec(), Expect::Absent)];
    conflicts(&store, &expect, &[put(b"free", b"2"), delete(b"taken"), put(b"other", b"2")], b"taken").await?;
    let after = scan(&store, b"", None, 10).await?;
    ensure(before == after, || format!("{before:?} became {after:?}"))
}

async fn preconditions_of_keys_that_are_not_written_count(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    let guard = committed(&store, &[], &[put(b"guard", b"1")]).await?;
    let expect = [(b"guard".to_vec(), Expect::Revision(guard))];
    committed(&store, &expect, &[put(b"a", b"1")]).await?;
    committed(&store, &[], &[put(b"guard", b"2")]).await?;
    conflicts(&store, &expect, &[put(b"a", b"2")], b"guard").await
}

async fn a_transaction_without_writes_only_checks(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    committed(&store, &[(b"a".to_vec(), Expect::Absent)], &[]).await?;
    conflicts(&store, &[(b"a".to_vec(), Expect::Revision(Revision(1)))], &[], b"a").await
}

async fn deleting_what_is_not_there_is_no_error(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    committed(&store, &[], &[delete(b"a"), put(b"b", b"1")]).await?;
    committed(&store, &[], &[delete(b"a")]).await?;
    ensure(value(&store, b"b").await?.is_some(), || "another key is gone".to_owned())
}

async fn empty_and_large_values_are_kept(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    let large: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    committed(&store, &[], &[put(b"empty", b""), put(b"large", &large)]).await?;
    ensure(value(&store, b"empty").await?.as_deref() == Some(b""), || "the empty value differs".to_owned())?;
    ensure(value(&store, b"large").await?.as_deref() == Some(&large), || "the large value differs".to_owned())?;
    let found = keys(&store, b"", None, 10).await?;
    ensure(found == [b"empty".as_slice(), b"large"], || format!("{found:?}"))
}

async fn keys_are_bounded(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    let longest = vec![0xff; MAX_KEY_LEN];
    committed(&store, &[], &[put(&longest, b"1"), put(b"\0", b"1")]).await?;
    ensure(value(&store, &longest).await?.is_some(), || "the longest key is not found".to_owned())?;
    for key in [Vec::new(), vec![b'k'; MAX_KEY_LEN + 1]] {
        let absent = vec![(key.clone(), Expect::Absent)];
        let attempts = [
            store.get(&key).await.err(),
            store.commit(transaction(&[], &[put(b"other", b"1"), put(&key, b"1")])).await.err(),
            store.commit(transaction(&[], &[delete(&key)])).await.err(),
            store.commit(transaction(&absent, &[])).await.err(),
        ];
        let refused = |error: &Option<StorageError>| matches!(error, Some(StorageError::KeyLength(_)));
        ensure(attempts.iter().all(refused), || format!("{} bytes were not refused: {attempts:?}", key.len()))?;
    }
    ensure(value(&store, b"other").await?.is_none(), || "a refused transaction was applied in part".to_owned())
}

async fn scans_are_ordered_bytewise(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    let ordered: [&[u8]; 7] = [b"\0", b"\0\0", b"A", b"a", b"a\xff", b"b", b"\xff\xff"];
    let shuffled = [4, 0, 6, 2, 5, 1, 3].map(|index: usize| put(ordered[index], b"1"));
    committed(&store, &[], &shuffled).await?;
    let found = keys(&store, b"", None, 10).await?;
    ensure(found == ordered, || format!("{found:?}"))
}

async fn scans_keep_to_the_prefix(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    let all: [&[u8]; 6] = [b"a", b"a/1", b"a0", b"\xff", b"\xff\xff", b"\xff\xff\x01"];
    committed(&store, &[], &all.map(|key| put(key, b"1"))).await?;
    let cases: [(&[u8], &[&[u8]]); 6] = [
        (b"a/", &[b"a/1"]),
        (b"a", &[b"a", b"a/1", b"a0"]),
        (b"\xff", &[b"\xff", b"\xff\xff", b"\xff\xff\x01"]),
        (b"\xff\xff", &[b"\xff\xff", b"\xff\xff\x01"]),
        (b"b", &[]),
        (b"\xff\xff\xff", &[]),
    ];
    for (prefix, expected) in cases {
        let found = keys(&store, prefix, None, 10).await?;
        ensure(found == expected, || format!("prefix {prefix:?}: {found:?}"))?;
    }
    Ok(())
}

async fn scans_start_after_and_stop_at_the_limit(subject: &dyn Subject) -> Verdict {
    type Case = (Option<&'static [u8]>, usize, &'static [&'static [u8]]);
    let store = subject.fresh().await;
    let all: [&[u8]; 5] = [b"a", b"p", b"p1", b"p2", b"z"];
    committed(&store, &[], &all.map(|key| put(key, b"1"))).await?;
    let cases: [Case; 8] = [
        (None, 2, &[b"p", b"p1"]),
        (None, 0, &[]),
        (Some(b"p"), 10, &[b"p1", b"p2"]),
        (Some(b"p1"), 1, &[b"p2"]),
        // Before the prefix, between two keys, at the last key, behind the prefix.
        (Some(b"a"), 10, &[b"p", b"p1", b"p2"]),
        (Some(b"p10"), 10, &[b"p2"]),
        (Some(b"p2"), 10, &[]),
        (Some(b"z"), 10, &[]),
    ];
    for (after, limit, expected) in cases {
        let found = keys(&store, b"p", after, limit).await?;
        ensure(found == expected, || format!("after {after:?}, limit {limit}: {found:?}"))?;
    }
    Ok(())
}

async fn revisions_grow_and_survive_a_restart(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    let first = committed(&store, &[], &[put(b"a", b"1")]).await?;
    let second = committed(&store, &[], &[put(b"b", b"1")]).await?;
    // The newest commit leaves no key behind that would remember its number.
    let third = committed(&store, &[], &[delete(b"b")]).await?;
    ensure(first < second && second < third, || format!("{first:?}, {second:?}, {third:?}"))?;
    let Some(store) = subject.reopen(store).await else { return Ok(()) };
    let kept = get(&store, b"a").await?.map(|entry| entry.revision);
    ensure(kept == Some(first), || format!("after a restart the revision is {kept:?}, not {first:?}"))?;
    let fourth = committed(&store, &[], &[put(b"c", b"1")]).await?;
    ensure(third < fourth, || format!("after a restart {fourth:?} follows {third:?}"))
}

async fn the_feed_tells_each_commit_before_its_answer(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    committed(&store, &[], &[put(b"before", b"1")]).await?;
    let mut feed = store.changes();
    let revision = committed(&store, &[], &[put(b"a", b"1"), delete(b"b")]).await?;
    let expected = Change { revision, keys: vec![b"a".to_vec(), b"b".to_vec()].into() };
    let told = feed.try_recv();
    ensure(told.as_ref() == Ok(&expected), || format!("{told:?} instead of {expected:?}"))?;
    ensure(feed.try_recv() == Err(TryRecvError::Empty), || "more was told than was committed".to_owned())
}

async fn the_feed_is_silent_about_conflicts(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    let mut feed = store.changes();
    let stale = [(b"a".to_vec(), Expect::Revision(Revision(9)))];
    conflicts(&store, &stale, &[put(b"a", b"1")], b"a").await?;
    ensure(feed.try_recv() == Err(TryRecvError::Empty), || "a conflict was told as a change".to_owned())
}

async fn racing_writers_lose_no_update(subject: &dyn Subject) -> Verdict {
    const WRITERS: u64 = 4;
    const ROUNDS: u64 = 25;
    let store = subject.fresh().await;
    let tasks: Vec<_> = (0..WRITERS).map(|_| tokio::spawn(count(Arc::clone(&store), ROUNDS))).collect();
    for task in tasks {
        task.await.map_err(|error| error.to_string())??;
    }
    let total = value(&store, b"counter").await?.map(|value| number(&value));
    ensure(total == Some(WRITERS * ROUNDS), || format!("{total:?} of {} updates", WRITERS * ROUNDS))
}

async fn count(store: Arc<dyn Storage>, rounds: u64) -> Verdict {
    for _ in 0..rounds {
        loop {
            let seen = get(&store, b"counter").await?;
            let expect = seen.as_ref().map_or(Expect::Absent, |entry| Expect::Revision(entry.revision));
            let next = seen.map_or(0, |entry| number(&entry.value)) + 1;
            let update = transaction(&[(b"counter".to_vec(), expect)], &[put(b"counter", &next.to_le_bytes())]);
            if let Commit::Committed(_) = store.commit(update).await.map_err(text)? {
                break;
            }
        }
    }
    Ok(())
}

async fn concurrent_transactions_are_whole(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    let write = |name: u8| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..20 {
                committed(&store, &[], &[put(b"left", &[name]), put(b"right", &[name])]).await?;
                let pair = scan(&store, b"", None, 2).await?;
                let values: Vec<_> = pair.iter().map(|(_, entry)| (entry.revision, entry.value.clone())).collect();
                ensure(values.len() == 2 && values[0] == values[1], || format!("half a transaction: {pair:?}"))?;
            }
            Ok::<_, String>(())
        })
    };
    for task in [write(1), write(2), write(3)] {
        task.await.map_err(text)??;
    }
    Ok(())
}

pub(super) fn transaction(expect: &[(Key, Expect)], writes: &[Write]) -> Transaction {
    Transaction { expect: expect.to_vec(), writes: writes.to_vec() }
}

pub(super) fn put(key: &[u8], value: &[u8]) -> Write {
    Write::Put(key.to_vec(), value.into())
}

pub(super) fn delete(key: &[u8]) -> Write {
    Write::Delete(key.to_vec())
}

pub(super) async fn committed(
    store: &Arc<dyn Storage>,
    expect: &[(Key, Expect)],
    writes: &[Write],
) -> Result<Revision, String> {
    match store.commit(transaction(expect, writes)).await.map_err(text)? {
        Commit::Committed(revision) => Ok(revision),
        Commit::Conflict(key) => Err(format!("an unexpected conflict on {key:?}")),
    }
}

async fn conflicts(store: &Arc<dyn Storage>, expect: &[(Key, Expect)], writes: &[Write], on: &[u8]) -> Verdict {
    let answer = store.commit(transaction(expect, writes)).await.map_err(text)?;
    ensure(answer == Commit::Conflict(on.to_vec()), || format!("{answer:?} instead of a conflict on {on:?}"))
}

pub(super) async fn get(store: &Arc<dyn Storage>, key: &[u8]) -> Result<Option<Entry>, String> {
    store.get(key).await.map_err(text)
}

pub(super) async fn value(store: &Arc<dyn Storage>, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
    Ok(get(store, key).await?.map(|entry| entry.value.to_vec()))
}

pub(super) async fn scan(
    store: &Arc<dyn Storage>,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<(Key, Entry)>, String> {
    store.scan(prefix, after, limit).await.map_err(text)
}

/// The keys that a scan finds, which are those that the store lists without values.
pub(super) async fn keys(
    store: &Arc<dyn Storage>,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Key>, String> {
    let scanned: Vec<_> = scan(store, prefix, after, limit).await?.into_iter().map(|(key, _)| key).collect();
    let listed = store.keys(prefix, after, limit).await.map_err(text)?;
    ensure(listed == scanned, || format!("keys lists {listed:?} where scan finds {scanned:?}"))?;
    Ok(scanned)
}

fn number(value: &[u8]) -> u64 {
    value.try_into().map_or(0, u64::from_le_bytes)
}

pub(super) fn text(error: impl ToString) -> String {
    error.to_string()
}
