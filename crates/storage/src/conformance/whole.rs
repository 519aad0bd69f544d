//! The properties of what concerns a store as a whole: views, and replacing everything.

use std::sync::Arc;

use keyturn_core::storage::{Change, Commit, Expect, Key, Replacement, Storage, StorageError, View};

use super::{
    Subject, Verdict, ensure,
    properties::{Property, committed, delete, get, keys, properties, put, scan, text, value},
};

properties![
    a_view_stays_at_its_moment_and_holds_up_nobody,
    a_view_is_of_one_commit_while_writers_go_on,
    a_replacement_leaves_its_content_and_nothing_else,
    a_replacement_that_breaks_off_changes_nothing,
    a_replacement_is_told_as_a_change_of_everything,
];

type Pairs = Vec<(Key, Vec<u8>)>;

/// All that a view shows, drawn `page` entries at a time.
async fn all(view: &dyn View, page: usize) -> Result<Pairs, String> {
    let mut found: Pairs = Vec::new();
    loop {
        let next = view.scan(b"", found.last().map(|(key, _)| key.as_slice()), page).await.map_err(text)?;
        let last = next.len() < page;
        found.extend(next.into_iter().map(|(key, entry)| (key, entry.value.to_vec())));
        if last {
            return Ok(found);
        }
    }
}

async fn view(store: &Arc<dyn Storage>) -> Result<Box<dyn View>, String> {
    store.view().await.map_err(text)
}

async fn a_view_stays_at_its_moment_and_holds_up_nobody(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    committed(&store, &[], &[put(b"a", b"1"), put(b"b", b"1"), put(b"c", b"1")]).await?;
    let view = view(&store).await?;
    let first = view.scan(b"", None, 1).await.map_err(text)?;
    ensure(first.len() == 1, || format!("{first:?}"))?;
    // The view is alive and half read; commits go on beside it.
    committed(&store, &[], &[put(b"a", b"2"), delete(b"b"), put(b"d", b"2")]).await?;
    let expected: Pairs = [b"a", b"b", b"c"].map(|key| (key.to_vec(), b"1".to_vec())).to_vec();
    for page in [1, 2, 3, 10] {
        let shown = all(&*view, page).await?;
        ensure(shown == expected, || format!("{page} at a time: {shown:?}"))?;
    }
    let prefixed = view.scan(b"b", None, 10).await.map_err(text)?;
    ensure(prefixed.len() == 1 && prefixed[0].0 == b"b", || format!("{prefixed:?}"))?;
    let now = value(&store, b"a").await?;
    ensure(now.as_deref() == Some(b"2"), || format!("a is {now:?}"))
}

async fn a_view_is_of_one_commit_while_writers_go_on(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    committed(&store, &[], &[put(b"left", &[0]), put(b"right", &[0])]).await?;
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for number in 0..60 {
                committed(&store, &[], &[put(b"left", &[number]), put(b"right", &[number])]).await?;
            }
            Ok::<_, String>(())
        })
    };
    for _ in 0..60 {
        let shown = all(&*view(&store).await?, 1).await?;
        ensure(shown.len() == 2 && shown[0].1 == shown[1].1, || format!("half a transaction: {shown:?}"))?;
    }
    writer.await.map_err(text)?
}

fn content(pairs: &[(&[u8], &[u8])]) -> Vec<Result<(Key, Vec<u8>), StorageError>> {
    pairs.iter().map(|(key, value)| Ok((key.to_vec(), value.to_vec()))).collect()
}

fn boxed(items: Vec<Result<(Key, Vec<u8>), StorageError>>) -> Replacement {
    Box::new(items.into_iter())
}

async fn a_replacement_leaves_its_content_and_nothing_else(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    let before = committed(&store, &[], &[put(b"a", b"old"), put(b"gone", b"old")]).await?;
    let old = view(&store).await?;
    let large = vec![7; 1 << 20];
    let items = content(&[(b"a", b"new"), (b"b", &large), (b"z", b"")]);
    let revision = store.replace(boxed(items)).await.map_err(text)?;
    ensure(before < revision, || format!("{revision:?} does not follow {before:?}"))?;
    let check = |store: Arc<dyn Storage>| async move {
        let found = keys(&store, b"", None, 10).await?;
        ensure(found == [b"a", b"b", b"z"], || format!("{found:?}"))?;
        let entry = get(&store, b"a").await?;
        let right = entry.as_ref().is_some_and(|entry| *entry.value == *b"new" && entry.revision == revision);
        ensure(right, || format!("{entry:?}"))?;
        ensure(value(&store, b"b").await?.is_some_and(|value| value.len() == 1 << 20), || "the large one".to_owned())
    };
    check(Arc::clone(&store)).await?;
    let shown = all(&*old, 10).await?;
    ensure(shown.iter().all(|(_, value)| value == b"old") && shown.len() == 2, || format!("a view moved: {shown:?}"))?;
    drop(old);
    // What was expected of the old content does not hold any more, and the store goes on.
    let stale = store
        .commit(super::properties::transaction(&[(b"a".to_vec(), Expect::Revision(before))], &[put(b"a", b"stale")]));
    ensure(matches!(stale.await, Ok(Commit::Conflict(_))), || "an old expectation holds".to_owned())?;
    let Some(store) = subject.reopen(store).await else { return Ok(()) };
    check(Arc::clone(&store)).await?;
    let next = committed(&store, &[], &[put(b"after", b"1")]).await?;
    ensure(revision < next, || format!("{next:?} does not follow {revision:?}"))
}

async fn a_replacement_that_breaks_off_changes_nothing(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    committed(&store, &[], &[put(b"a", b"old"), put(b"b", b"old")]).await?;
    let before = scan(&store, b"", None, 10).await?;
    let mut feed = store.changes();
    let mut items = content(&[(b"a", b"new"), (b"c", b"new")]);
    items.push(Err(StorageError::Source("it broke off".to_owned())));
    let refused = store.replace(boxed(items)).await;
    ensure(matches!(refused, Err(StorageError::Source(_))), || format!("{refused:?}"))?;
    let refused = store.replace(boxed(content(&[(b"", b"new")]))).await;
    ensure(matches!(refused, Err(StorageError::KeyLength(0))), || format!("{refused:?}"))?;
    let after = scan(&store, b"", None, 10).await?;
    ensure(before == after, || format!("{before:?} became {after:?}"))?;
    ensure(feed.try_recv().is_err(), || "a change was told".to_owned())?;
    committed(&store, &[], &[put(b"d", b"1")]).await.map(drop)
}

async fn a_replacement_is_told_as_a_change_of_everything(subject: &dyn Subject) -> Verdict {
    let store = subject.fresh().await;
    let mut feed = store.changes();
    let revision = store.replace(boxed(content(&[(b"a", b"1")]))).await.map_err(text)?;
    let expected = Change { revision, keys: Vec::new().into() };
    let told = feed.try_recv();
    ensure(told.as_ref() == Ok(&expected), || format!("{told:?} instead of {expected:?}"))
}
