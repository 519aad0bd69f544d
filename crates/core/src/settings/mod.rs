//! Settings of the server that are kept in the store: who may ask from another origin, headers of the user interface,
//! and which versions of the server have opened the store.

mod cors;
mod headers;
mod versions;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

pub use cors::{Cors, CorsError};
pub use headers::HeaderError;
pub use versions::OpenedBy;

use crate::store::{Store, StoreError};

/// The settings.
pub struct Settings {
    store: Arc<Store>,
    /// `None`: nothing from another origin is answered otherwise than anything else.
    cors: ArcSwapOption<Cors>,
    changing: Mutex<()>,
}

impl Settings {
    pub(crate) async fn load(store: Arc<Store>) -> Result<Self, StoreError> {
        let settings = Self { store, cors: ArcSwapOption::empty(), changing: Mutex::new(()) };
        settings.reload_cors().await?;
        settings.note_version().await?;
        Ok(settings)
    }
}
