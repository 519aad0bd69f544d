//! How a listener tells its connections to finish or to stop: one shared phase, read with a single atomic load.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// What connections of a listener are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    /// Go on.
    Serving,
    /// Finish the request at work, take no other.
    Draining,
    /// Stop.
    Cutting,
}

/// The phase and the bell that rings when it changes.
#[derive(Debug, Default)]
pub(super) struct Gate {
    phase: AtomicU8,
    bell: Notify,
}

impl Gate {
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Cutting,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        self.bell.notify_waiters();
    }

    /// Returns once the phase is later than `phase`.
    pub(super) async fn left(&self, phase: Phase) {
        loop {
            // Made before the phase is read, so that a change in between still rings it.
            let rung = self.bell.notified();
            if self.phase() > phase {
                return;
            }
            rung.await;
        }
    }
}
