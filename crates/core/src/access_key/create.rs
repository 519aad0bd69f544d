//! Making access keys: by an administrator, or temporary ones from a login.

use ipnet::IpNet;

use super::{AccessKey, AccessKeyError, AccessKeys, PERMANENT_PREFIX, TEMPORARY_PREFIX};
use crate::{
    door::Permit,
    keys,
    secret::{SecretBytes, SecretString},
    storage::Key,
    store::{Store, StoreError},
    token::{CreateToken, Entry, TokenError, TokenId},
};

/// Characters of an id behind its prefix: 80 bits.
const ID_CHARS: usize = 16;
/// Characters of a secret, as many as AWS's have: 238 bits.
const SECRET_CHARS: usize = 40;
/// The longest name, in characters, as an IAM user's.
const MAX_NAME: usize = 64;

/// What `sys/aws-keys` takes.
#[derive(Debug, Default)]
pub struct CreateAccessKey {
    /// What it is called, for people and audit logs; empty: after its id.
    pub name: String,
    /// Policies, at least one.
    pub policies: Vec<String>,
    /// Seconds to live; 0: the default of `sys/`, 32 days unless it is tuned.
    pub ttl: u64,
    /// Source addresses it may be used from; empty: any.
    pub bound_cidrs: Vec<IpNet>,
    /// Leave out the `default` policy.
    pub no_default_policy: bool,
    /// The account that it belongs to: twelve digits; empty: the server's own.
    pub account: String,
}

/// A key at the moment it is made: the only time that its secret is seen.
#[derive(Debug)]
pub struct IssuedAccessKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
    /// The token that it stands for.
    pub entry: Entry,
    /// What it is called.
    pub name: String,
    /// What there is to say about it.
    pub warnings: Vec<String>,
}

/// Whom a key is made for.
pub(super) struct Who {
    pub(super) name: String,
    pub(super) user_id: String,
    pub(super) account: String,
}

impl AccessKeys {
    /// Makes a key with some of the caller's policies, by the rules of `auth/token/create`; with sudo or as root, with
    /// any. It does not end with the caller's token.
    ///
    /// # Errors
    /// When a rule forbids it; the text says which.
    pub async fn create(&self, permit: Permit, ask: CreateAccessKey) -> Result<IssuedAccessKey, AccessKeyError> {
        let sudo = permit.has_sudo();
        let path = permit.path().trim_end_matches('/').to_owned();
        let caller = permit.spend_as_caller().ok_or(TokenError::BadToken)?;
        check(&ask)?;
        let id = self.new_id(PERMANENT_PREFIX)?;
        let name = if ask.name.is_empty() { id.clone() } else { ask.name };
        let token = CreateToken {
            policies: ask.policies,
            ttl: ask.ttl,
            renewable: true,
            no_default_policy: ask.no_default_policy,
            ..CreateToken::default()
        };
        let (mut entry, warnings) = self.tokens.draft_orphan(&token, &caller, sudo, path)?;
        entry.display_name = format!("aws-{name}");
        entry.bound_cidrs = ask.bound_cidrs;
        let user_id = format!("AIDA{}", id.trim_start_matches(PERMANENT_PREFIX));
        let issued = self.issue(entry, id, Who { name, user_id, account: ask.account }).await?;
        Ok(IssuedAccessKey { warnings, ..issued })
    }

    pub(super) async fn issue(
        &self,
        mut entry: Entry,
        id: String,
        who: Who,
    ) -> Result<IssuedAccessKey, AccessKeyError> {
        let secret = self.store.random.base62(SECRET_CHARS).map_err(StoreError::from)?;
        entry.access_key = Some(id.clone());
        entry.meta.insert("access_key_id".to_owned(), id.clone());
        let records = |token: &TokenId, entry: &Entry| -> Result<Vec<(Key, SecretBytes)>, StoreError> {
            let record = AccessKey {
                token: token.clone(),
                name: who.name.clone(),
                user_id: who.user_id,
                created: entry.created,
                temporary: id.starts_with(TEMPORARY_PREFIX),
                last_use: None,
                account: who.account,
            };
            let text = SecretBytes::new(secret.expose_secret().as_bytes().to_vec());
            Ok(vec![(keys::access_key(&id), Store::encode(&record)?), (keys::access_key_secret(&id), text)])
        };
        let (_, entry) = self.tokens.issue_unknown(entry, records).await?;
        Ok(IssuedAccessKey { id, secret, entry, name: who.name, warnings: Vec::new() })
    }

    pub(super) fn new_id(&self, prefix: &str) -> Result<String, StoreError> {
        Ok(format!("{prefix}{}", self.store.random.base32(ID_CHARS)?))
    }
}

fn check(ask: &CreateAccessKey) -> Result<(), AccessKeyError> {
    let invalid = |text: &str| Err(AccessKeyError::Invalid(text.to_owned()));
    if ask.policies.iter().all(|name| name.trim().is_empty()) {
        return invalid("missing policies: name what the access key may do");
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if ask.name.len() > MAX_NAME || !ask.name.chars().all(fits) {
        return invalid("name must be 1 to 64 letters, digits and _+=,.@-");
    }
    if !ask.account.is_empty() && !is_account(&ask.account) {
        return invalid("account must be twelve digits");
    }
    Ok(())
}

/// Whether it looks like the number of an account.
#[must_use]
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
