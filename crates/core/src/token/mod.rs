//! Tokens: who may ask, until when.

mod create;
mod decoded;
mod entry;
mod expire;
mod lookup;
mod named;
mod personal;
mod remove;
mod renew;
mod revoke;
mod role;
pub(crate) mod ttl;
mod unknown;

use std::{net::IpAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ipnet::IpNet;

pub use create::{CreateToken, Issued};
use decoded::Decoded;
pub use entry::{BATCH_PREFIX, Entry, SERVICE_PREFIX, TokenId, TokenKind};
pub use lookup::Which;
pub use named::NamedView;
pub(crate) use named::{NamedToken, NewNamed};
pub use role::{Role, RoleTokenType};

use crate::{
    barrier::{Batch, Mac, MacPurpose},
    clock, codec,
    identity::Identity,
    keys,
    mount::Mounts,
    policies::Policies,
    secret::SecretString,
    storage::Commit,
    store::{Seen, Store, StoreError},
};

/// The longest token that is looked at, in bytes. A batch token carries its policies and metadata.
pub const MAX_TOKEN_LEN: usize = 8192;

/// The longest path that issues a token, in bytes: it is part of a storage key.
pub const MAX_ISSUER_PATH: usize = 1900;

/// Seconds after which the record of a token that is used up is removed if the request that used it has not done so:
/// longer than any request takes.
const USED_UP: u64 = 300;

/// A token operation failed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The request contradicts a rule; the text says which.
    #[error("{0}")]
    Invalid(String),
    /// There is no such token, or the accessor is unknown.
    #[error("{0}")]
    NotFound(&'static str),
    /// The token to look up is none of this store.
    #[error("bad token")]
    BadToken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TokenError {
    fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}

/// A token that was presented and found good.
#[derive(Debug, Clone)]
pub(crate) struct Presented {
    pub(crate) id: TokenId,
    pub(crate) entry: Arc<Entry>,
}

/// All tokens.
pub struct Tokens {
    store: Arc<Store>,
    policies: Arc<Policies>,
    mounts: Arc<Mounts>,
    identity: Arc<Identity>,
    decoded: Decoded,
}

impl Tokens {
    pub(crate) fn new(
        store: Arc<Store>,
        policies: Arc<Policies>,
        mounts: Arc<Mounts>,
        identity: Arc<Identity>,
    ) -> Self {
        Self { store, policies, mounts, identity, decoded: Decoded::new() }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Finds the entry of a token that is good now.
    pub(crate) async fn resolve(&self, token: &SecretString) -> Result<Option<Presented>, StoreError> {
        if token.is_empty() || token.len() > MAX_TOKEN_LEN {
            return Ok(None);
        }
        let id = self.id_of(token);
        let entry = if token.expose_secret().starts_with(BATCH_PREFIX) {
            self.open_batch(token).await?.map(Arc::new)
        } else {
            self.entry(&id).await?
        };
        let now = self.store.now();
        Ok(entry.filter(|entry| entry.is_live(now)).map(|entry| Presented { id, entry }))
    }

    /// Takes one use off a counted token. `None`: the last use was taken by another request meanwhile.
    pub(crate) async fn take_use(&self, presented: Presented) -> Result<Option<Presented>, StoreError> {
        let key = keys::token(&presented.id.0);
        let _lock = self.store.lock(&key).await;
        let Some(Seen { revision, value: mut entry }) = self.find(&presented.id).await? else { return Ok(None) };
        if !entry.is_live(self.store.now()) {
            return Ok(None);
        }
        // -1 stands for "used up": good for the request under way and no other.
        entry.uses = if entry.uses == 1 { -1 } else { entry.uses - 1 };
        let mut batch = Batch::new().expect(key.clone(), Some(revision)).put(key, Store::encode(&entry)?);
        if entry.uses < 0 {
            // The request removes it when it is concluded. Should the process die before, the upkeep does.
            let latest = clock::after(self.store.now(), USED_UP);
            batch = batch.put(keys::token_expiry(latest, &presented.id.0), Store::encode(&())?);
        }
        match self.store.commit(batch).await? {
            Commit::Committed(_) => Ok(Some(Presented { entry: Arc::new(entry), ..presented })),
            Commit::Conflict(_) => Ok(None),
        }
    }

    pub(crate) fn id_of(&self, token: &SecretString) -> TokenId {
        TokenId(to_hex(&self.store.barrier.mac(MacPurpose::Token, &[token.expose_secret().as_bytes()])))
    }

    fn accessor_hash(&self, accessor: &str) -> String {
        // A byte that is in no token keeps the two kinds of hash apart.
        to_hex(&self.store.barrier.mac(MacPurpose::Token, &[b"\0accessor\0", accessor.as_bytes()]))
    }

    /// The entry of a stored token, as it was decoded when it was last asked for unless it has changed since.
    async fn entry(&self, id: &TokenId) -> Result<Option<Arc<Entry>>, StoreError> {
        let key = keys::token(&id.0);
        if let Some(entry) = self.store.barrier.held(&key).and_then(|revision| self.decoded.get(id, revision)) {
            return Ok(Some(entry));
        }
        let Some(Seen { revision, value }) = self.store.read(&key).await? else { return Ok(None) };
        Ok(Some(self.decoded.keep(id, revision, value)))
    }

    pub(crate) async fn find(&self, id: &TokenId) -> Result<Option<Seen<Entry>>, StoreError> {
        self.store.read(&keys::token(&id.0)).await
    }

    /// Opens a batch token. It ends with its parent, as a service token would.
    async fn open_batch(&self, token: &SecretString) -> Result<Option<Entry>, StoreError> {
        let body = &token.expose_secret()[BATCH_PREFIX.len()..];
        let Ok(blob) = URL_SAFE_NO_PAD.decode(body) else { return Ok(None) };
        let Ok(plaintext) = self.store.barrier.open_token(&blob) else { return Ok(None) };
        let entry: Entry = codec::decode(&plaintext)?;
        if let Some(parent) = &entry.parent {
            let now = self.store.now();
            if self.find(parent).await?.is_none_or(|seen| !seen.value.is_live(now)) {
                return Ok(None);
            }
        }
        Ok(Some(entry))
    }
}

/// A hash in hex; done for every request, hence by table.
pub(crate) fn to_hex(hash: &Mac) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 64];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(hash) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    std::str::from_utf8(&digits).unwrap_or_default().to_owned()
}

/// Whether `address` may use something bound to `cidrs`. Without an address (a caller in this process) only what is
/// not bound is open.
#[must_use]
pub fn address_allowed(cidrs: &[IpNet], address: Option<IpAddr>) -> bool {
    cidrs.is_empty() || address.is_some_and(|address| cidrs.iter().any(|cidr| cidr.contains(&address.to_canonical())))
}

/// Lower-cases, sorts and deduplicates policy names; `root` stands alone.
#[must_use]
pub fn sanitize_policies<S: AsRef<str>>(names: &[S], add_default: bool) -> Vec<String> {
    let mut clean: Vec<String> =
        names.iter().map(|name| name.as_ref().trim().to_lowercase()).filter(|name| !name.is_empty()).collect();
    if clean.iter().any(|name| name == "root") {
        return vec!["root".to_owned()];
    }
    if add_default {
        clean.push("default".to_owned());
    }
    clean.sort();
    clean.dedup();
    clean
}
