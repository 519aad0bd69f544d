//! Faults: a process that dies at one chosen commit or call to the outside, before it is done or after.
//!
//! A process that has died is one for which nothing works any more: what it would still do changes nothing, so that the
//! store and the targets are as the death left them. [`Faults::revive`] is for the process that follows it.

use std::sync::{Arc, Mutex, PoisonError};

use keyturn_core::storage::{
    BoxFuture, ChangeFeed, Commit, Entry, Key, Replacement, Revision, Storage, StorageError, Transaction, View,
};
use keyturn_storage::backend::Embedded;

/// Where a step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the store.
    Commit,
    /// At a target.
    Call,
}

/// What happens at the chosen step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the step is done.
    DiesBefore,
    /// The process dies after it.
    DiesAfter,
    /// The step is done, its answer is lost, and the process lives on.
    AnswerLost,
    /// The step is not done, which the process does not know, and it lives on.
    NeverDone,
}

/// What becomes of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is done, and heard of.
    Done,
    /// It is done, and not heard of.
    Unheard,
    /// It is not done, and nobody is told so.
    Lost,
}

#[derive(Default)]
struct State {
    /// At a place alone, or at any; which step there; what happens.
    armed: Option<(Option<Place>, u64, Fault)>,
    commits: u64,
    calls: u64,
    dead: bool,
}

/// The faults of one process and what it talks to.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

impl Faults {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has `fault` happen at the step of that number, from 1, counted from now on.
    pub fn arm(&self, step: u64, fault: Fault) {
        self.with(|state| *state = State { armed: Some((None, step, fault)), ..State::default() });
    }

    /// The same, counting the steps at `place` alone.
    pub fn arm_at(&self, place: Place, step: u64, fault: Fault) {
        self.with(|state| *state = State { armed: Some((Some(place), step, fault)), ..State::default() });
    }

    /// Lets everything work again, and counts from 0.
    pub fn revive(&self) {
        self.with(|state| *state = State::default());
    }

    /// Steps taken so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.with(|state| state.commits + state.calls)
    }

    /// Steps taken so far: commits, calls.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        self.with(|state| (state.commits, state.calls))
    }

    /// Whether the process has died.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.with(|state| state.dead)
    }

    /// Takes a step.
    #[must_use]
    pub fn step(&self, place: Place) -> Fate {
        self.with(|state| {
            if state.dead {
                return Fate::Lost;
            }
            match place {
                Place::Commit => state.commits += 1,
                Place::Call => state.calls += 1,
            }
            let reached = |at: Option<Place>| match at {
                None => state.commits + state.calls,
                Some(Place::Commit) => state.commits,
                Some(Place::Call) => state.calls,
            };
            let now =
                |(at, step, _): &(Option<Place>, u64, Fault)| at.is_none_or(|at| at == place) && reached(*at) == *step;
            let Some((_, _, fault)) = state.armed.filter(now) else { return Fate::Done };
            state.dead = matches!(fault, Fault::DiesBefore | Fault::DiesAfter);
            match fault {
                Fault::DiesBefore | Fault::NeverDone => Fate::Lost,
                Fault::DiesAfter | Fault::AnswerLost => Fate::Unheard,
            }
        })
    }
}

/// The storage of a process that may die. Its commits are steps; reads fail once it is dead.
pub struct MortalStorage {
    below: Arc<Embedded>,
    faults: Faults,
}

impl MortalStorage {
    /// Storage over `below`, which outlives the process.
    #[must_use]
    pub fn new(below: Arc<Embedded>, faults: Faults) -> Self {
        Self { below, faults }
    }
}

fn dead() -> StorageError {
    StorageError::Engine { doing: "a test", reason: "the process is dead".to_owned() }
}

impl Storage for MortalStorage {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Entry>, StorageError>> {
        if self.faults.is_dead() { Box::pin(async { Err(dead()) }) } else { self.below.get(key) }
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Entry)>, StorageError>> {
        if self.faults.is_dead() { Box::pin(async { Err(dead()) }) } else { self.below.scan(prefix, after, limit) }
    }

    fn keys<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Key>, StorageError>> {
        if self.faults.is_dead() { Box::pin(async { Err(dead()) }) } else { self.below.keys(prefix, after, limit) }
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Commit, StorageError>> {
        Box::pin(async move {
            match self.faults.step(Place::Commit) {
                Fate::Done => self.below.commit(transaction).await,
                Fate::Lost => Err(dead()),
                Fate::Unheard => self.below.commit(transaction).await.and(Err(dead())),
            }
        })
    }

    fn view(&self) -> BoxFuture<'_, Result<Box<dyn View>, StorageError>> {
        self.below.view()
    }

    fn replace(&self, content: Replacement) -> BoxFuture<'_, Result<Revision, StorageError>> {
        self.below.replace(content)
    }

    fn changes(&self) -> ChangeFeed {
        self.below.changes()
    }

    fn kind(&self) -> &'static str {
        self.below.kind()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_once_where_it_was_told_to() {
        let faults = Faults::default();
        faults.arm_at(Place::Call, 2, Fault::AnswerLost);
        let taken =
            [Place::Call, Place::Commit, Place::Commit, Place::Call, Place::Call].map(|place| faults.step(place));
        assert_eq!(taken, [Fate::Done, Fate::Done, Fate::Done, Fate::Unheard, Fate::Done]);
        assert_eq!((faults.counts(), faults.is_dead()), ((2, 3), false));
        faults.arm(2, Fault::DiesBefore);
        let taken = [Place::Call, Place::Commit, Place::Call].map(|place| faults.step(place));
        assert_eq!(taken, [Fate::Done, Fate::Lost, Fate::Lost]);
        assert!(faults.is_dead());
    }
}
