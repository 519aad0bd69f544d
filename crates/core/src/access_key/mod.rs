//! Access keys: how a client of the AWS APIs says who it is. A request is signed with the key's secret, which never
//! travels; so the secret must be kept, sealed as every record is, and is shown once, when the key is made.
//!
//! A key stands for a token that nobody knows: that token's entry has the policies, the end, the allowed networks, the
//! accessor in the audit log. Whatever ends it (its time, revocation by accessor or by key) ends the key, in one commit.
//!
//! ```text
//! access-key/id/<id>       AccessKey: which token, its name, when it was last used
//! access-key/secret/<id>   40 letters and digits
//! id                       AKIA and 16 of A-Z and 2-7; ASIA and as many for temporary credentials, which besides
//!                          need a session token (session.rs)
//! ```

mod create;
mod proof;
mod session;
mod signing;
mod temporary;
mod usage;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use ipnet::IpNet;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

pub use create::{CreateAccessKey, IssuedAccessKey, is_account};
pub use proof::{Claim, ProofError, Proven};
pub use signing::{CredentialScope, SigningKey, TERMINATOR};
pub use temporary::{AssumeRole, AssumeRoleError, AssumedRole, TemporaryCredentials};
pub use usage::LastUse;

use self::proof::Known;
use crate::{
    clock::{Timestamp, nanos},
    door::Permit,
    keys,
    store::{Store, StoreError},
    token::{Entry, TokenError, TokenId, Tokens},
};

/// The prefix of the ids of keys that an administrator makes.
pub const PERMANENT_PREFIX: &str = "AKIA";
/// The prefix of the ids of temporary credentials.
pub const TEMPORARY_PREFIX: &str = "ASIA";

/// Signing keys that are kept: one for each access key, day, region and service in use.
const KNOWN: usize = 16 * 1024;

/// An operation on access keys failed.
#[derive(Debug, thiserror::Error)]
pub enum AccessKeyError {
    /// A parameter contradicts a rule; the text says which.
    #[error("{0}")]
    Invalid(String),
    /// There is no such key.
    #[error("no access key {0:?}")]
    NotFound(String),
    /// The token below it cannot be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Only a key that an administrator made may do this.
    #[error("temporary credentials cannot be used for this")]
    Temporary,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A key's record. The secret lies under a key of its own, so that listings and access dates never touch it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct AccessKey {
    token: TokenId,
    name: String,
    /// What STS calls whoever uses it: the same for all sessions of one key, and for all of one role but for their names.
    user_id: String,
    #[serde(with = "nanos")]
    created: Timestamp,
    temporary: bool,
    last_use: Option<LastUse>,
    /// Empty: the server's own.
    #[serde(default)]
    account: String,
}

/// What may be told of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKeyView {
    /// Its id.
    pub id: String,
    /// What it is called, for people.
    pub name: String,
    /// The accessor of the token that it stands for.
    pub accessor: String,
    /// Sorted names.
    pub policies: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// Whether it needs a session token.
    pub temporary: bool,
    /// Source addresses it may be used from; empty: any.
    pub bound_cidrs: Vec<IpNet>,
    /// The last use that was written down; uses within a minute of each other count as one.
    pub last_use: Option<LastUse>,
    /// The account that it belongs to; empty: the server's own.
    pub account: String,
}

/// All access keys.
pub struct AccessKeys {
    store: Arc<Store>,
    tokens: Arc<Tokens>,
    known: Cache<String, Arc<Known>>,
    uses: Mutex<HashMap<String, LastUse>>,
}

impl AccessKeys {
    pub(crate) fn new(store: Arc<Store>, tokens: Arc<Tokens>) -> Self {
        Self { store, tokens, known: Cache::new(KNOWN), uses: Mutex::default() }
    }

    /// All keys that are good now, by their ids.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, permit: Permit) -> Result<Vec<AccessKeyView>, AccessKeyError> {
        permit.spend();
        let mut views = Vec::new();
        for (id, key) in self.store.read_all::<AccessKey>(keys::ACCESS_KEYS).await? {
            let id = String::from_utf8_lossy(&id).into_owned();
            if let Some(entry) = self.tokens.live(&key.token).await? {
                views.push(view(id, key, Arc::unwrap_or_clone(entry)));
            }
        }
        Ok(views)
    }

    /// What may be told of one key.
    ///
    /// # Errors
    /// [`AccessKeyError::NotFound`] when it is not there or has ended.
    pub async fn read(&self, permit: Permit, id: &str) -> Result<AccessKeyView, AccessKeyError> {
        permit.spend();
        let missing = || AccessKeyError::NotFound(shortened(id));
        let key = self.store.read::<AccessKey>(&keys::access_key(id)).await?.ok_or_else(missing)?.value;
        let entry = self.tokens.live(&key.token).await?.ok_or_else(missing)?;
        Ok(view(id.to_owned(), key, Arc::unwrap_or_clone(entry)))
    }

    /// Ends a key, and the token that it stands for with all its children. One that is not there is ended already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke(&self, permit: Permit, id: &str) -> Result<(), AccessKeyError> {
        permit.spend();
        if let Some(key) = self.store.read::<AccessKey>(&keys::access_key(id)).await? {
            self.tokens.revoke_tree(&key.value.token).await?;
        }
        self.known.retain(|_, known| known.id() != id);
        Ok(())
    }
}

fn view(id: String, key: AccessKey, entry: Entry) -> AccessKeyView {
    AccessKeyView {
        id,
        name: key.name,
        accessor: entry.accessor,
        policies: entry.policies,
        created: key.created,
        expires: entry.expires,
        temporary: key.temporary,
        bound_cidrs: entry.bound_cidrs,
        last_use: key.last_use,
        account: key.account,
    }
}

/// What was asked for, for a message; it may be anything.
fn shortened(id: &str) -> String {
    id.chars().take(40).collect()
}
