//! Auth methods: how somebody without a token gets one.

use std::sync::Arc;

use crate::{
    core::Core,
    mount::Mount,
    store::{Store, StoreError},
    token::Tokens,
};

/// The auth methods' own records.
pub struct Logins {
    store: Arc<Store>,
    tokens: Arc<Tokens>,
}

impl Logins {
    pub(crate) fn new(store: Arc<Store>, tokens: Arc<Tokens>) -> Self {
        Self { store, tokens }
    }
}

impl Core {
    pub(crate) async fn login_exists(&self, _mount: &Mount, _rest: &str) -> Result<bool, StoreError> {
        Ok(true)
    }
}
