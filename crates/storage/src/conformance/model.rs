//! The store against a `BTreeMap`: whatever is done to both, they agree.

use std::{collections::BTreeMap, ops::Bound};

use keyturn_core::storage::{Commit, Entry, Expect, Key, Revision, Storage, Transaction, Write};

use super::{Verdict, ensure};

/// One thing done to the store and to the model.
#[derive(Debug, Clone)]
pub enum Step {
    /// A transaction: for each expected key whether the expectation is to hold, and the writes (`None` deletes).
    Commit {
        /// Keys, and `true` for an expectation that fits what is stored.
        expect: Vec<(Key, bool)>,
        /// Keys and their new values.
        writes: Vec<(Key, Option<Vec<u8>>)>,
    },
    /// A read of one key.
    Get(Key),
    /// A scan, and the listing of its keys alone: prefix, after, limit.
    Scan(Vec<u8>, Option<Vec<u8>>, usize),
}

type Model = BTreeMap<Key, (Revision, Vec<u8>)>;

/// Takes `steps` on an empty `store` and on the model, and compares every answer.
///
/// # Errors
/// The first answer in which they differ.
pub async fn model(store: &dyn Storage, steps: &[Step]) -> Verdict {
    let mut model = Model::new();
    for (number, step) in steps.iter().enumerate() {
        take(store, &mut model, step).await.map_err(|broken| format!("step {number}, {step:?}: {broken}"))?;
    }
    let stored = store.scan(b"", None, usize::MAX).await.map_err(|error| error.to_string())?;
    ensure(plain(stored) == scan(&model, b"", None, usize::MAX), || "the final state differs".to_owned())
}

async fn take(store: &dyn Storage, model: &mut Model, step: &Step) -> Verdict {
    match step {
        Step::Commit { expect, writes } => {
            let transaction = transaction(model, expect, writes);
            let answer = store.commit(transaction).await.map_err(|error| error.to_string())?;
            check_commit(model, answer, expect, writes)
        }
        Step::Get(key) => {
            let answer = store.get(key).await.map_err(|error| error.to_string())?;
            let answer = answer.map(|entry| (entry.revision, entry.value.to_vec()));
            ensure(answer.as_ref() == model.get(key), || format!("got {answer:?}, expected {:?}", model.get(key)))
        }
        Step::Scan(prefix, after, limit) => {
            let answer = store.scan(prefix, after.as_deref(), *limit).await.map_err(|error| error.to_string())?;
            let expected = scan(model, prefix, after.as_deref(), *limit);
            let answer = plain(answer);
            ensure(answer == expected, || format!("got {answer:?}, expected {expected:?}"))?;
            let keys = store.keys(prefix, after.as_deref(), *limit).await.map_err(|error| error.to_string())?;
            let expected: Vec<_> = expected.into_iter().map(|(key, ..)| key).collect();
            ensure(keys == expected, || format!("got the keys {keys:?}, expected {expected:?}"))
        }
    }
}

fn transaction(model: &Model, expect: &[(Key, bool)], writes: &[(Key, Option<Vec<u8>>)]) -> Transaction {
    let expect = expect.iter().map(|(key, fits)| (key.clone(), expectation(model, key, *fits))).collect();
    let writes = writes.iter().map(|(key, value)| match value {
        Some(value) => Write::Put(key.clone(), value.as_slice().into()),
        None => Write::Delete(key.clone()),
    });
    Transaction { expect, writes: writes.collect() }
}

fn expectation(model: &Model, key: &Key, fits: bool) -> Expect {
    match (model.get(key), fits) {
        (Some((revision, _)), true) => Expect::Revision(*revision),
        (Some(_), false) | (None, true) => Expect::Absent,
        (None, false) => Expect::Revision(Revision(u64::MAX)),
    }
}

fn check_commit(
    model: &mut Model,
    answer: Commit,
    expect: &[(Key, bool)],
    writes: &[(Key, Option<Vec<u8>>)],
) -> Verdict {
    match answer {
        Commit::Conflict(key) => ensure(expect.iter().any(|(expected, fits)| *expected == key && !fits), || {
            format!("a conflict on {key:?}, which was as expected")
        }),
        Commit::Committed(revision) => {
            ensure(expect.iter().all(|(_, fits)| *fits), || "committed against its preconditions".to_owned())?;
            let newest = model.values().map(|(revision, _)| *revision).max();
            ensure(writes.is_empty() || Some(revision) > newest, || {
                format!("{revision:?} is not newer than {newest:?}")
            })?;
            for (key, value) in writes {
                match value {
                    Some(value) => model.insert(key.clone(), (revision, value.clone())),
                    None => model.remove(key),
                };
            }
            Ok(())
        }
    }
}

fn scan(model: &Model, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Key, Revision, Vec<u8>)> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let range = model.range::<[u8], _>((from, Bound::Unbounded));
    let found = range.filter(|(key, _)| key.starts_with(prefix)).take(limit);
    found.map(|(key, (revision, value))| (key.clone(), *revision, value.clone())).collect()
}

fn plain(found: Vec<(Key, Entry)>) -> Vec<(Key, Revision, Vec<u8>)> {
    found.into_iter().map(|(key, entry)| (key, entry.revision, entry.value.to_vec())).collect()
}
