//! Settings of the server that are kept in the store: who may ask from another origin, headers of the user interface,
//! request headers that are audited, and which versions of the server have opened the store.

mod audited_headers;
mod cors;
mod headers;
mod versions;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Mutex;

pub use audited_headers::{AuditedHeaderError, AuditedHeaders};
pub use cors::{Cors, CorsError};
pub use headers::HeaderError;
pub use versions::OpenedBy;

use crate::store::{Store, StoreError};

/// The settings.
pub struct Settings {
    store: Arc<Store>,
    /// `None`: nothing from another origin is answered otherwise than anything else.
    cors: ArcSwapOption<Cors>,
    audited: ArcSwap<AuditedHeaders>,
    changing: Mutex<()>,
}

impl Settings {
    pub(crate) async fn load(store: Arc<Store>) -> Result<Self, StoreError> {
        let settings =
            Self { store, cors: ArcSwapOption::empty(), audited: ArcSwap::default(), changing: Mutex::new(()) };
        settings.reload_cors().await?;
        settings.reload_audited_headers().await?;
        settings.note_version().await?;
        Ok(settings)
    }
}
