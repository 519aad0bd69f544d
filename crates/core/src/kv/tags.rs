//! Tags: names with values, in the order in which they came.

use super::{Kv, Secret, SecretError, labelled::Restriction};
use crate::{barrier::Batch, door::Permit, store::Seen};

/// Tags of a secret at the most.
pub const MAX_TAGS: usize = 50;

impl Secret {
    /// The tags in the order in which they came; `None`: it never had any.
    #[must_use]
    pub fn tags_in_order(&self) -> Option<Vec<(&str, &str)>> {
        let order = self.tag_order.as_ref()?;
        Some(order.iter().filter_map(|name| Some((name.as_str(), self.tags.get(name)?.as_str()))).collect())
    }

    /// Sets tags; one of a name that is there keeps its place.
    pub(super) fn set_tags(&mut self, tags: Vec<(String, String)>) -> Result<(), SecretError> {
        if tags.is_empty() {
            return Ok(());
        }
        let order = self.tag_order.get_or_insert_default();
        for (name, value) in tags {
            if self.tags.insert(name.clone(), value).is_none() {
                order.push(name);
            }
        }
        if self.tags.len() > MAX_TAGS {
            return Err(SecretError::TooMany { limit: MAX_TAGS, what: "tags" });
        }
        Ok(())
    }

    fn remove_tags(&mut self, names: &[String]) {
        self.tags.retain(|name, _| !names.contains(name));
        if let Some(order) = &mut self.tag_order {
            order.retain(|name| !names.contains(name));
        }
    }
}

impl Kv {
    /// Sets some tags and removes others. A name to be removed that is not there is passed over.
    ///
    /// # Errors
    /// [`SecretError::NotFound`], [`SecretError::Scheduled`], [`SecretError::Replica`], [`SecretError::TooMany`].
    pub async fn change_tags(
        &self,
        permit: Permit,
        set: Vec<(String, String)>,
        remove: &[String],
        allowed: Restriction<'_>,
    ) -> Result<(), SecretError> {
        let place = Self::locate(&permit, &["metadata"])?;
        let _lock = self.store.lock(&place.key()).await;
        let Seen { revision, value: mut secret } = self.open_for_change(permit, &place, allowed).await?;
        secret.set_tags(set)?;
        secret.remove_tags(remove);
        secret.updated = self.store.now();
        Ok(self.commit_secret(&place, Some(revision), &secret, Batch::new()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn tags_keep_their_order_and_an_emptied_list_stays_a_list() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut secret = Secret::new(Timestamp::UNIX_EPOCH, "abcdef".into());
        assert_eq!(secret.tags_in_order(), None);
        secret.set_tags(vec![pair("z", "1"), pair("a", "2"), pair("z", "3")]).expect("few");
        assert_eq!(secret.tags_in_order(), Some(vec![("z", "3"), ("a", "2")]));
        secret.remove_tags(&["z".into(), "a".into(), "never".into()]);
        assert_eq!(secret.tags_in_order(), Some(Vec::new()));
        let many = (0..=MAX_TAGS).map(|n| pair(&n.to_string(), "")).collect();
        assert!(matches!(secret.set_tags(many), Err(SecretError::TooMany { .. })));
    }
}
