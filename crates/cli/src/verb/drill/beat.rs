//! What the threads of a drill share: its stage, and that it is over.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How far the rotation is, as the drill has seen it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Nothing is asked for yet.
    #[default]
    Before,
    /// It is under way; the credential before is current.
    During,
    /// The new one is current, and the one before still good.
    Overlap,
    /// The rotation has ended.
    After,
}

impl Stage {
    /// Every stage, in order.
    pub(super) const ALL: [Self; 4] = [Self::Before, Self::During, Self::Overlap, Self::After];

    /// Its name in reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::Overlap => "overlap",
            Self::After => "after",
        }
    }
}

/// The stage, told to all.
#[derive(Debug, Default)]
pub(super) struct Beat {
    state: Mutex<(Stage, bool)>,
    changed: Condvar,
}

impl Beat {
    fn state(&self) -> MutexGuard<'_, (Stage, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is.
    pub(super) fn stage(&self) -> Stage {
        self.state().0
    }

    /// Goes on to a stage; never back.
    pub(super) fn enter(&self, stage: Stage) {
        let mut state = self.state();
        state.0 = state.0.max(stage);
    }

    /// Ends it for all.
    pub(super) fn end(&self) {
        self.state().1 = true;
        self.changed.notify_all();
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.state().1
    }

    /// Waits that long, or until the end.
    pub(super) fn rest(&self, pause: Duration) {
        let waited = self.changed.wait_timeout_while(self.state(), pause, |(_, over)| !*over);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}
