//! Service accounts: a name, a set of policies, and tokens that stand for it. What an account may do is what its policies
//! say; a client that speaks of roles means policies. Changing an account's policies changes what its tokens may do.
//!
//! ```text
//! service-account/<slug>          ServiceAccount
//! token/named/account/<slug>/…    its tokens
//! ```

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    barrier::Batch,
    clock::{Timestamp, nanos},
    door::Permit,
    keys,
    policies::Policies,
    policy::builtin::{NameUse, ROOT, validate_name},
    secret::SecretString,
    store::{Seen, Store, StoreError},
    token::{NamedToken, NamedView, NewNamed, TokenError, Tokens},
};

/// What the tokens of accounts begin with.
const PREFIX: &str = "dp.sa.";
/// A service account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// For people.
    pub name: String,
    /// When it was made.
    #[serde(with = "nanos")]
    pub created: Timestamp,
    /// The policies that its tokens have; sorted.
    pub policies: Vec<String>,
}

/// A service account could not be had, or not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceAccountError {
    /// There is no such account, or no such token.
    #[error("{0} does not exist")]
    NotFound(&'static str),
    /// A wish contradicts a rule; the text says which.
    #[error("{0}")]
    Invalid(String),
    /// The caller's own policies do not have what is to be given.
    #[error("no policy can be given that the caller does not have")]
    Denied,
    /// A token cannot be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const NO_ACCOUNT: ServiceAccountError = ServiceAccountError::NotFound("Service account");

/// All service accounts.
pub struct ServiceAccounts {
    store: Arc<Store>,
    tokens: Arc<Tokens>,
    policies: Arc<Policies>,
}

impl ServiceAccounts {
    pub(crate) fn new(store: Arc<Store>, tokens: Arc<Tokens>, policies: Arc<Policies>) -> Self {
        Self { store, tokens, policies }
    }

    /// All accounts, by their slugs.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, permit: Permit) -> Result<Vec<(String, ServiceAccount)>, ServiceAccountError> {
        permit.spend();
        let all = self.store.read_all::<ServiceAccount>(keys::SERVICE_ACCOUNTS).await?;
        Ok(all.into_iter().map(|(slug, account)| (String::from_utf8_lossy(&slug).into_owned(), account)).collect())
    }

    /// One account.
    ///
    /// # Errors
    /// [`ServiceAccountError::NotFound`].
    pub async fn read(&self, permit: Permit, slug: &str) -> Result<ServiceAccount, ServiceAccountError> {
        permit.spend();
        Ok(self.find(slug).await?.value)
    }

    /// Makes an account. Nobody gives it a policy that is not their own, unless they have sudo.
    ///
    /// # Errors
    /// [`ServiceAccountError::Denied`], [`ServiceAccountError::Invalid`].
    pub async fn create(
        &self,
        permit: Permit,
        name: &str,
        policies: &[String],
    ) -> Result<(String, ServiceAccount), ServiceAccountError> {
        let policies = self.assignable(&permit, policies)?;
        permit.spend();
        let account = ServiceAccount { name: checked(name)?, created: self.store.now(), policies };
        let slug = self.store.random.uuid().map_err(StoreError::from)?.to_string();
        let key = keys::service_account(&slug);
        self.store.apply(Batch::new().expect(key.clone(), None).put(key, Store::encode(&account)?)).await?;
        Ok((slug, account))
    }

    /// Changes an account, and with its policies those of its tokens, in one commit.
    ///
    /// # Errors
    /// As [`ServiceAccounts::create`].
    pub async fn change(
        &self,
        permit: Permit,
        slug: &str,
        name: Option<&str>,
        policies: Option<&[String]>,
    ) -> Result<ServiceAccount, ServiceAccountError> {
        let policies = policies.map(|policies| self.assignable(&permit, policies)).transpose()?;
        permit.spend();
        let key = keys::service_account(slug);
        let _lock = self.store.lock(&key).await;
        let Seen { revision, value: mut account } = self.find(slug).await?;
        if let Some(name) = name {
            account.name = checked(name)?;
        }
        let mut batch = Batch::new();
        if let Some(policies) = policies {
            account.policies.clone_from(&policies);
            let prefix = keys::named_token(&format!("{}/", group(slug)));
            for (_, record) in self.store.read_all::<NamedToken>(&prefix).await? {
                let Some(seen) = self.tokens.find(&record.token).await? else { continue };
                let mut entry = seen.value;
                entry.policies.clone_from(&policies);
                let key = keys::token(&record.token.0);
                batch = batch.expect(key.clone(), Some(seen.revision)).put(key, Store::encode(&entry)?);
            }
        }
        self.store.apply(batch.expect(key.clone(), Some(revision)).put(key, Store::encode(&account)?)).await?;
        Ok(account)
    }

    /// Removes an account; its tokens end first.
    ///
    /// # Errors
    /// [`ServiceAccountError::NotFound`].
    pub async fn delete(&self, permit: Permit, slug: &str) -> Result<(), ServiceAccountError> {
        permit.spend();
        let key = keys::service_account(slug);
        let _lock = self.store.lock(&key).await;
        let Seen { revision, .. } = self.find(slug).await?;
        self.tokens.revoke_named_below(&format!("{}/", group(slug))).await?;
        Ok(self.store.apply(Batch::new().expect(key.clone(), Some(revision)).delete(key)).await?)
    }

    /// Makes a token of an account. It may do what the account may, so its maker must be one who could have made that.
    ///
    /// # Errors
    /// [`ServiceAccountError::NotFound`], [`ServiceAccountError::Denied`].
    pub async fn create_token(
        &self,
        permit: Permit,
        slug: &str,
        name: &str,
        expires: Option<Timestamp>,
    ) -> Result<(SecretString, NamedView), ServiceAccountError> {
        let path = permit.path().to_owned();
        let key = keys::service_account(slug);
        let _lock = self.store.lock(&key).await;
        let account = self.find(slug).await?.value;
        let policies = self.assignable(&permit, &account.policies)?;
        permit.spend();
        let named = NewNamed {
            prefix: PREFIX.to_owned(),
            group: &group(slug),
            name,
            policies,
            path,
            display_name: format!("service-account-{}", account.name),
            expires,
            bound_cidrs: Vec::new(),
        };
        Ok(self.tokens.issue_named(named).await?)
    }

    /// The tokens of an account, the oldest first.
    ///
    /// # Errors
    /// [`ServiceAccountError::NotFound`].
    pub async fn tokens(&self, permit: Permit, slug: &str) -> Result<Vec<NamedView>, ServiceAccountError> {
        permit.spend();
        self.find(slug).await?;
        Ok(self.tokens.list_named(&group(slug)).await?)
    }

    /// One token of an account.
    ///
    /// # Errors
    /// [`ServiceAccountError::NotFound`].
    pub async fn token(&self, permit: Permit, slug: &str, token: &str) -> Result<NamedView, ServiceAccountError> {
        permit.spend();
        self.find(slug).await?;
        let missing = ServiceAccountError::NotFound("Service account API token");
        self.tokens.read_named(&group(slug), token).await?.ok_or(missing)
    }

    /// Revokes a token of an account.
    ///
    /// # Errors
    /// [`ServiceAccountError::NotFound`].
    pub async fn revoke_token(&self, permit: Permit, slug: &str, token: &str) -> Result<(), ServiceAccountError> {
        permit.spend();
        self.find(slug).await?;
        if self.tokens.revoke_named(&group(slug), token).await? {
            return Ok(());
        }
        Err(ServiceAccountError::NotFound("Service account API token"))
    }

    async fn find(&self, slug: &str) -> Result<Seen<ServiceAccount>, ServiceAccountError> {
        if slug.is_empty() || slug.len() > 60 || slug.contains('/') {
            return Err(NO_ACCOUNT);
        }
        self.store.read(&keys::service_account(slug)).await?.ok_or(NO_ACCOUNT)
    }

    /// The policies as a token has them, if the caller may give them.
    fn assignable(&self, permit: &Permit, policies: &[String]) -> Result<Vec<String>, ServiceAccountError> {
        let caller = permit.caller().ok_or(ServiceAccountError::Denied)?;
        let mut names = Vec::new();
        for name in policies {
            let name = validate_name(name, NameUse::Assign)
                .map_err(|error| ServiceAccountError::Invalid(error.to_string()))?;
            if name == ROOT {
                return Err(ServiceAccountError::Invalid("the root policy is given to no account".to_owned()));
            }
            if !self.policies.exists(&name) {
                return Err(ServiceAccountError::Invalid(format!("there is no policy {name:?}")));
            }
            if !permit.has_sudo() && !caller.policies().contains(&name) {
                return Err(ServiceAccountError::Denied);
            }
            names.push(name);
        }
        names.push("default".to_owned());
        names.sort();
        names.dedup();
        Ok(names)
    }
}

fn group(slug: &str) -> String {
    format!("account/{slug}")
}

fn checked(name: &str) -> Result<String, ServiceAccountError> {
    if (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    Err(ServiceAccountError::Invalid("name must be 1 to 100 characters, none of them a control character".to_owned()))
}
