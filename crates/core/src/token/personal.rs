//! Personal tokens: what somebody makes of their own token for programs that want one of their own kind. Each may do what
//! its maker may, and ends with the token that it was made with.
//!
//! They are listed by whom they stand for: the entity of the maker, or without one the maker's token itself.

use super::{CreateToken, Entry, NamedView, TokenError, TokenId, Tokens, named::NamedToken};
use crate::{
    clock::{self, Timestamp},
    door::Permit,
    keys,
    mount::MAX_LEASE_TTL,
    secret::SecretString,
    store::{Store, StoreError},
};

/// What they begin with.
const PREFIX: &str = "dp.pt.";
/// Tokens that one person has at the most.
const MAX_PERSONAL: usize = 100;

impl Tokens {
    /// Makes a personal token of the caller, who is permitted to make tokens.
    ///
    /// # Errors
    /// When the caller's token may have no children, or the name or the end cannot be.
    pub async fn create_personal(
        &self,
        permit: Permit,
        name: &str,
        expires: Option<Timestamp>,
    ) -> Result<(SecretString, NamedView), TokenError> {
        let caller = permit.spend_as_caller().ok_or(TokenError::BadToken)?;
        super::named::check_name(name)?;
        let (now, of, group) = (self.store().now(), caller.entry(), group(caller.id(), caller.entry()));
        let key = keys::named_token(&format!("{group}/"));
        if self.store().names(&key).await?.len() >= MAX_PERSONAL {
            return Err(TokenError::invalid(format!("there are {MAX_PERSONAL} personal tokens already: revoke some")));
        }
        let most = clock::after(now, MAX_LEASE_TTL);
        let most = of.expires.map_or(most, |end| end.min(most));
        let end = expires.map_or(most, |end| end.min(most));
        if end <= now {
            return Err(TokenError::invalid("the token would have no time to live: its end is past"));
        }
        let mut entry = self.child_of(&CreateToken::default(), caller.id(), of)?;
        entry.display_name = format!("personal-{}", of.display_name);
        entry.ttl = clock::seconds_until(now, end);
        entry.expires = Some(end);
        self.issue_listed(PREFIX, &group, name, entry).await
    }

    /// The personal tokens of whoever asks, the oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn personal(&self, permit: Permit) -> Result<Vec<NamedView>, TokenError> {
        let caller = permit.spend_as_caller().ok_or(TokenError::BadToken)?;
        Ok(self.list_named(&group(caller.id(), caller.entry())).await?)
    }

    /// Ends a personal token of whoever asks.
    ///
    /// # Errors
    /// [`TokenError::NotFound`].
    pub async fn revoke_personal(&self, permit: Permit, slug: &str) -> Result<(), TokenError> {
        let caller = permit.spend_as_caller().ok_or(TokenError::BadToken)?;
        if self.revoke_named(&group(caller.id(), caller.entry()), slug).await? {
            return Ok(());
        }
        Err(TokenError::NotFound("Could not find requested personal token"))
    }

    /// Issues a token that is listed in a group.
    async fn issue_listed(
        &self,
        prefix: &str,
        group: &str,
        name: &str,
        mut entry: Entry,
    ) -> Result<(SecretString, NamedView), TokenError> {
        let slug = self.store().random.uuid().map_err(StoreError::from)?.to_string();
        let place = format!("{group}/{slug}");
        entry.accessor = self.new_accessor()?;
        entry.named = Some(place.clone());
        let token = self.new_prefixed(prefix)?;
        let id = self.id_of(&token);
        let record = NamedToken { token: id.clone(), name: name.to_owned() };
        let also = [(keys::named_token(&place), Store::encode(&record)?)];
        self.insert(&id, &entry, &also).await?;
        self.store().counters.service_tokens.count();
        Ok((token, super::named::view(slug, record, entry)))
    }
}

fn group(caller: &TokenId, of: &Entry) -> String {
    if of.entity_id.is_empty() { format!("person/token/{}", caller.0) } else { format!("person/{}", of.entity_id) }
}
