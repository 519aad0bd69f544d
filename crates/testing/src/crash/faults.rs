//! What goes wrong with one process, and where.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Where a step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the store.
    Commit,
    /// At another system.
    Call,
}

impl Place {
    /// What can go wrong there. A store that cannot say what became of a commit is opened anew, as after a death.
    #[must_use]
    pub fn faults(self) -> &'static [Fault] {
        match self {
            Self::Commit => &[Fault::DiesBefore, Fault::DiesAfter],
            Self::Call => &[Fault::DiesBefore, Fault::DiesAfter, Fault::AnswerLost, Fault::NeverDone],
        }
    }
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

/// One thing that can go wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Where.
    pub place: Place,
    /// At which step there, from 1.
    pub step: u64,
    /// What.
    pub fault: Fault,
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}, {:?}", self.place, self.step, self.fault)
    }
}

/// Runs `strike` with each point, until it answers that a step was not reached. Answers how many points were.
pub async fn everywhere(mut strike: impl AsyncFnMut(Point) -> bool) -> usize {
    let mut reached = 0;
    for place in [Place::Commit, Place::Call] {
        'steps: for step in 1.. {
            for fault in place.faults() {
                if !strike(Point { place, step, fault: *fault }).await {
                    break 'steps;
                }
                reached += 1;
            }
        }
    }
    reached
}

#[derive(Default)]
struct State {
    /// At a place alone, or at any; which step there; what happens.
    armed: Option<(Option<Place>, u64, Fault)>,
    commits: u64,
    calls: u64,
    struck: bool,
    dead: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    acting: AtomicUsize,
}

/// The faults of one process. Clones are of the same.
#[derive(Clone, Default)]
pub struct Faults(Arc<Shared>);

/// An act under way, until it is dropped.
struct Acting<'a>(&'a AtomicUsize);

impl Drop for Acting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Faults {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has `fault` happen at the step of that number, from 1, counted from now on.
    pub fn arm(&self, step: u64, fault: Fault) {
        self.set(Some((None, step, fault)));
    }

    /// The same, counting the steps at `place` alone.
    pub fn arm_at(&self, place: Place, step: u64, fault: Fault) {
        self.set(Some((Some(place), step, fault)));
    }

    /// Has nothing happen any more, and counts from 0. A process that has died stays dead.
    pub fn disarm(&self) {
        self.set(None);
    }

    fn set(&self, armed: Option<(Option<Place>, u64, Fault)>) {
        self.with(|state| *state = State { armed, dead: state.dead, ..State::default() });
    }

    /// Kills the process now, and waits until what it was doing outside has happened or not: a process that is killed
    /// does nothing more once the next one is there.
    pub async fn kill(&self) {
        self.with(|state| state.dead = true);
        while self.0.acting.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Steps taken so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.with(|state| state.commits + state.calls)
    }

    /// Whether what it was armed with has happened.
    #[must_use]
    pub fn has_struck(&self) -> bool {
        self.with(|state| state.struck)
    }

    /// Whether the process has died.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.with(|state| state.dead)
    }

    /// Something that has an effect outside. `None`: no answer is heard, whether it was done or not.
    pub async fn take<T>(&self, place: Place, act: impl Future<Output = T>) -> Option<T> {
        self.0.acting.fetch_add(1, Ordering::SeqCst);
        let _acting = Acting(&self.0.acting);
        let fault = self.begin(place)?;
        let answer = act.await;
        match fault {
            None => (!self.is_dead()).then_some(answer),
            Some(Fault::DiesAfter) => self.with(|state| {
                state.dead = true;
                None
            }),
            Some(_) => None,
        }
    }

    /// Counts a step. `None`: it is not to be done; else, what is to go wrong with it.
    fn begin(&self, place: Place) -> Option<Option<Fault>> {
        self.with(|state| {
            if state.dead {
                return None;
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
            let Some((_, _, fault)) = state.armed.filter(now) else { return Some(None) };
            state.struck = true;
            state.dead = fault == Fault::DiesBefore;
            match fault {
                Fault::DiesBefore | Fault::NeverDone => None,
                Fault::DiesAfter | Fault::AnswerLost => Some(Some(fault)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done and heard of, of steps at these places.
    async fn take(faults: &Faults, places: &[Place]) -> Vec<(bool, bool)> {
        let mut taken = Vec::new();
        for place in places {
            let mut done = false;
            let heard = faults.take(*place, async { done = true }).await.is_some();
            taken.push((done, heard));
        }
        taken
    }

    const DONE: (bool, bool) = (true, true);
    const UNHEARD: (bool, bool) = (true, false);
    const LOST: (bool, bool) = (false, false);

    #[tokio::test]
    async fn a_fault_strikes_once_where_it_was_told_to() {
        let faults = Faults::default();
        faults.arm_at(Place::Call, 2, Fault::AnswerLost);
        let taken = take(&faults, &[Place::Call, Place::Commit, Place::Commit, Place::Call, Place::Call]).await;
        assert_eq!(taken, [DONE, DONE, DONE, UNHEARD, DONE]);
        assert_eq!((faults.steps(), faults.has_struck(), faults.is_dead()), (5, true, false));
        faults.arm(2, Fault::DiesBefore);
        assert_eq!(take(&faults, &[Place::Call, Place::Commit, Place::Call]).await, [DONE, LOST, LOST]);
        faults.disarm();
        assert!(faults.is_dead());
        assert_eq!(take(&faults, &[Place::Call]).await, [LOST]);
    }

    #[tokio::test]
    async fn death_waits_for_what_is_under_way_and_hears_nothing_of_it() {
        let (faults, gate) = (Faults::default(), Arc::new(tokio::sync::Notify::new()));
        let (other, waiting) = (faults.clone(), gate.clone());
        let act = tokio::spawn(async move { other.take(Place::Call, waiting.notified()).await });
        while faults.steps() == 0 {
            tokio::task::yield_now().await;
        }
        let dying = faults.kill();
        gate.notify_one();
        dying.await;
        assert_eq!(act.await.ok(), Some(None));
    }

    #[tokio::test]
    async fn every_point_is_tried_until_one_is_not_reached() {
        let mut tried = Vec::new();
        let reached = everywhere(async |point| {
            let faults = Faults::default();
            faults.arm_at(point.place, point.step, point.fault);
            take(&faults, &[Place::Commit, Place::Call, Place::Commit]).await;
            tried.push(point);
            faults.has_struck()
        })
        .await;
        assert_eq!((reached, tried.len()), (2 * 2 + 4, 2 * 2 + 4 + 2));
    }
}
