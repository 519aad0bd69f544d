//! The suite that every storage backend must pass: the contract of [`keyturn_core::storage`], property by property.
//!
//! A backend's test makes a [`Subject`] and awaits [`run`]; [`model`] takes any sequence of steps, so that a property
//! test can look for the one that breaks the backend.

mod model;
mod properties;
mod whole;

use std::sync::Arc;

use keyturn_core::storage::{BoxFuture, Storage};

pub use model::{Step, model};

/// The backend under test.
pub trait Subject: Send + Sync {
    /// A new, empty store.
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn Storage>>;

    /// Closes the store and opens it again, as a restart does; `None` if nothing of it outlives a restart.
    fn reopen(&self, store: Arc<dyn Storage>) -> BoxFuture<'_, Option<Arc<dyn Storage>>>;
}

/// What a property found: nothing, or how the contract was broken.
pub type Verdict = Result<(), String>;

/// Checks every property, each on a store of its own.
///
/// # Errors
/// The first property that does not hold, by name, and how it was broken.
pub async fn run(subject: &dyn Subject) -> Verdict {
    for (name, property) in properties::ALL.iter().chain(whole::ALL) {
        property(subject).await.map_err(|broken| format!("{name}: {broken}"))?;
    }
    Ok(())
}

/// A broken property unless `holds`.
fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(broken()) }
}
