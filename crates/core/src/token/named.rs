//! Tokens that have a name and are listed where they belong: those of a config, of a service account. What such a token
//! may do is decided by whoever issues it; what is here is that it is found again, and that its record goes when it goes.
//!
//! ```text
//! token/named/<group>/<slug>    NamedToken; the token's entry names the record, and removing it removes the record
//! group                         config/<mount>/<project>/<config> · account/<slug> · person/<entity> · person/token/<hash>
//! ```

use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{CreateToken, Entry, TokenError, TokenId, TokenKind, Tokens, create::draft};
use crate::{
    clock::{self, Timestamp},
    keys,
    secret::SecretString,
    store::{Store, StoreError},
};

/// Characters behind a prefix: 256 bits.
const CHARS: usize = 43;
/// The longest name, in characters.
const MAX_NAME: usize = 100;

/// A named token's record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NamedToken {
    pub(crate) token: TokenId,
    pub(crate) name: String,
}

/// What a named token is to be.
#[derive(Debug)]
pub(crate) struct NewNamed<'a> {
    /// What the token begins with, its last dot included.
    pub(crate) prefix: String,
    /// Where it is listed.
    pub(crate) group: &'a str,
    /// What it is called.
    pub(crate) name: &'a str,
    /// Sorted names; that it may have them is the caller's to check.
    pub(crate) policies: Vec<String>,
    /// The path that issues it.
    pub(crate) path: String,
    /// For the audit log.
    pub(crate) display_name: String,
    /// When it ends.
    pub(crate) expires: Option<Timestamp>,
    /// Where it may be used from; empty: anywhere.
    pub(crate) bound_cidrs: Vec<IpNet>,
}

/// A token with a name, as it is listed: the token itself is seen when it is made, and never again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedView {
    /// Names it, and cannot be used as a token.
    pub slug: String,
    /// What it is called.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// Its accessor.
    pub accessor: String,
    /// Sorted names.
    pub policies: Vec<String>,
}

impl Tokens {
    /// A token of its own kind: a prefix and 43 letters and digits.
    pub(crate) fn new_prefixed(&self, prefix: &str) -> Result<SecretString, StoreError> {
        let body = self.store.random.base62(CHARS)?;
        let mut token = String::with_capacity(prefix.len() + CHARS);
        token.push_str(prefix);
        token.push_str(body.expose_secret());
        Ok(SecretString::new(token))
    }

    /// Issues a named token without a parent.
    pub(crate) async fn issue_named(&self, new: NewNamed<'_>) -> Result<(SecretString, NamedView), TokenError> {
        check_name(new.name)?;
        let now = self.store.now();
        if new.expires.is_some_and(|end| end <= now) {
            return Err(TokenError::invalid("the token would have no time to live: its end is past"));
        }
        let ask = CreateToken::default();
        let mut entry = draft(&ask, None, TokenKind::Service, new.path, new.policies, now);
        entry.display_name = new.display_name;
        entry.expires = new.expires;
        entry.ttl = new.expires.map_or(0, |end| clock::seconds_until(now, end));
        entry.bound_cidrs = new.bound_cidrs;
        entry.accessor = self.new_accessor()?;
        let slug = self.store.random.uuid().map_err(StoreError::from)?.to_string();
        let place = format!("{}/{slug}", new.group);
        entry.named = Some(place.clone());
        let token = self.new_prefixed(&new.prefix)?;
        let id = self.id_of(&token);
        let record = NamedToken { token: id.clone(), name: new.name.to_owned() };
        let also = [(keys::named_token(&place), Store::encode(&record)?)];
        self.insert(&id, &entry, &also).await?;
        self.store.counters.service_tokens.count();
        Ok((token, view(slug, record, entry)))
    }

    /// The named tokens of a group that are good now, the oldest first.
    pub(crate) async fn list_named(&self, group: &str) -> Result<Vec<NamedView>, StoreError> {
        let mut views = Vec::new();
        for (slug, record) in self.store.read_all::<NamedToken>(&keys::named_token(&format!("{group}/"))).await? {
            if let Some(entry) = self.live(&record.token).await?.map(Arc::unwrap_or_clone) {
                views.push(view(String::from_utf8_lossy(&slug).into_owned(), record, entry));
            }
        }
        views.sort_by(|a, b| (a.created, &a.slug).cmp(&(b.created, &b.slug)));
        Ok(views)
    }

    /// A token of a group, if it is good.
    pub(crate) async fn read_named(&self, group: &str, slug: &str) -> Result<Option<NamedView>, StoreError> {
        let Some(record) = self.named_record(group, slug).await? else { return Ok(None) };
        Ok(self.live(&record.token).await?.map(|entry| view(slug.to_owned(), record, Arc::unwrap_or_clone(entry))))
    }

    /// Revokes a token of a group. Whether there was one.
    pub(crate) async fn revoke_named(&self, group: &str, slug: &str) -> Result<bool, StoreError> {
        let Some(record) = self.named_record(group, slug).await? else { return Ok(false) };
        self.revoke_tree(&record.token).await?;
        Ok(true)
    }

    /// Revokes the token of a group that is told by itself. Whether it was one.
    pub(crate) async fn revoke_named_token(&self, group: &str, token: &SecretString) -> Result<bool, StoreError> {
        let id = self.id_of(token);
        let named = self.find(&id).await?.and_then(|seen| seen.value.named);
        let belongs = named.as_deref().and_then(|place| place.rsplit_once('/')).is_some_and(|(of, _)| of == group);
        if belongs {
            self.revoke_tree(&id).await?;
        }
        Ok(belongs)
    }

    /// Revokes all tokens of the groups below a prefix, which ends with a slash.
    pub(crate) async fn revoke_named_below(&self, prefix: &str) -> Result<(), StoreError> {
        for (_, record) in self.store.read_all::<NamedToken>(&keys::named_token(prefix)).await? {
            self.revoke_tree(&record.token).await?;
        }
        Ok(())
    }

    async fn named_record(&self, group: &str, slug: &str) -> Result<Option<NamedToken>, StoreError> {
        let key = keys::named_token(&format!("{group}/{slug}"));
        if slug.is_empty() || slug.contains('/') || key.len() > crate::storage::MAX_KEY_LEN {
            return Ok(None);
        }
        Ok(self.store.read::<NamedToken>(&key).await?.map(|seen| seen.value))
    }
}

pub(super) fn check_name(name: &str) -> Result<(), TokenError> {
    let length = name.chars().count();
    if !(1..=MAX_NAME).contains(&length) || name.chars().any(char::is_control) {
        return Err(TokenError::invalid(format!(
            "name must be 1 to {MAX_NAME} characters, none of them a control character"
        )));
    }
    Ok(())
}

pub(super) fn view(slug: String, record: NamedToken, entry: Entry) -> NamedView {
    NamedView {
        slug,
        name: record.name,
        created: entry.created,
        expires: entry.expires,
        accessor: entry.accessor,
        policies: entry.policies,
    }
}

impl Tokens {
    /// A child's entry with all that its parent may do. It has no end yet.
    pub(crate) fn child_of(&self, ask: &CreateToken, parent: &TokenId, of: &Entry) -> Result<Entry, TokenError> {
        if of.kind == TokenKind::Batch {
            return Err(TokenError::invalid("batch tokens cannot create more tokens"));
        }
        if of.uses != 0 {
            return Err(TokenError::invalid("restricted use token cannot generate child tokens"));
        }
        let path = "auth/token/create".to_owned();
        let mut entry = draft(ask, None, TokenKind::Service, path, of.policies.clone(), self.store.now());
        entry.parent = Some(parent.clone());
        entry.entity_id = of.entity_id.clone();
        entry.bound_cidrs = of.bound_cidrs.clone();
        Ok(entry)
    }

    /// Another token with the entry of one, which ends when that would have ended.
    pub(crate) async fn reissue(&self, entry: &Entry, prefix: &str) -> Result<SecretString, TokenError> {
        let entry = Entry { named: None, access_key: None, ..entry.clone() };
        let token = self.new_prefixed(prefix)?;
        Ok(self.issue(entry, Some(token)).await?.token)
    }
}
