//! Aliases of external groups: what an auth method calls them.

use super::{
    Alias, Group, GroupKind, Identity, IdentityError, change::Change, groups::SeenGroup, index::Factors,
    record::check_name,
};
use crate::door::Permit;

/// What somebody says of a group's alias.
#[derive(Debug, Default)]
pub struct GroupAliasInput {
    /// Which one; none: a new one.
    pub id: Option<String>,
    /// How the auth method knows the group.
    pub name: String,
    /// The auth method's mount.
    pub mount_accessor: String,
    /// The group; none for a new alias: an external group is made.
    pub canonical_id: Option<String>,
}

impl Identity {
    /// Makes an alias, with a group if none is named, or changes the one that is meant. Answers the alias if anything
    /// changed.
    ///
    /// # Errors
    /// When something that is named does not exist, is an internal group, or has the name already.
    pub async fn write_group_alias(
        &self,
        permit: Permit,
        input: GroupAliasInput,
    ) -> Result<Option<Alias>, IdentityError> {
        permit.spend();
        if input.name.is_empty() {
            return Err(IdentityError::invalid("missing alias name"));
        }
        if input.mount_accessor.is_empty() {
            return Err(IdentityError::invalid("missing mount_accessor"));
        }
        check_name(&input.name)?;
        let _alone = self.gate.write().await;
        let was = match input.id.as_deref().filter(|id| !id.is_empty()) {
            None => None,
            Some(id) => {
                let found = self.index().group_with_alias(id).and_then(|group| group.alias.clone());
                Some(found.ok_or_else(|| IdentityError::invalid("invalid group alias ID"))?)
            }
        };
        let canonical = input.canonical_id.filter(|id| !id.is_empty());
        if was.as_ref().is_some_and(|was| {
            was.name == input.name
                && was.mount_accessor == input.mount_accessor
                && canonical.as_ref().is_none_or(|id| *id == was.canonical_id)
        }) {
            return Ok(None);
        }
        let mount = self.auth_mount(&input.mount_accessor)?;
        self.check_free(&input.mount_accessor, &input.name, was.as_ref())?;
        let now = self.store.now();
        let (mut group, seen) = self.home(canonical, was.as_ref()).await?;
        let mut alias = match &was {
            Some(was) => was.clone(),
            None => self.new_alias(&mount, &group.id, String::new(), now)?,
        };
        (alias.name, alias.mount_accessor, alias.updated) = (input.name, input.mount_accessor, now);
        let mut change = Change::default();
        if alias.canonical_id != group.id {
            let from = self.stored_group(&alias.canonical_id).await?;
            let mut old = from.value;
            old.alias = None;
            old.touch(now);
            change = change.put_group(old, Some(from.revision))?;
            alias.canonical_id.clone_from(&group.id);
        }
        group.alias = Some(alias.clone());
        group.touch(now);
        self.apply(change.put_group(group, seen)?).await?;
        Ok(Some(alias))
    }

    /// The group that an alias is to belong to; a new one if none is named.
    async fn home(&self, named: Option<String>, was: Option<&Alias>) -> Result<SeenGroup, IdentityError> {
        let Some(id) = named.or_else(|| was.map(|was| was.canonical_id.clone())) else {
            let (id, name) = (self.new_id()?, self.new_name("group")?);
            return Ok((Group::new(id, name, GroupKind::External, self.store.now()), None));
        };
        let known = self.index().group(&id).map(|group| group.kind);
        match known {
            None => Err(IdentityError::invalid("invalid group ID given in 'canonical_id'")),
            Some(GroupKind::Internal) => Err(IdentityError::invalid("alias can't be set on an internal group")),
            Some(GroupKind::External) => {
                let seen = self.stored_group(&id).await?;
                Ok((seen.value, Some(seen.revision)))
            }
        }
    }

    fn check_free(&self, accessor: &str, name: &str, was: Option<&Alias>) -> Result<(), IdentityError> {
        let index = self.index();
        let holder = index.group_at(&Factors::of(accessor, name)).and_then(|group| group.alias.as_ref());
        match holder {
            Some(holder) if was.is_none_or(|was| was.id != holder.id) => {
                Err(IdentityError::invalid("combination of mount and group alias name is already in use"))
            }
            _ => Ok(()),
        }
    }

    /// An alias of a group by its id.
    #[must_use]
    pub fn group_alias(&self, permit: Permit, id: &str) -> Option<Alias> {
        permit.spend();
        self.index().group_with_alias(id).and_then(|group| group.alias.clone())
    }

    /// All aliases of groups, in no order.
    #[must_use]
    pub fn group_aliases(&self, permit: Permit) -> Vec<Alias> {
        permit.spend();
        self.index().groups().filter_map(|group| group.alias.clone()).collect()
    }

    /// Takes an alias away from its group, which stays. One that is not there is no error.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_group_alias(&self, permit: Permit, id: &str) -> Result<(), IdentityError> {
        permit.spend();
        let _alone = self.gate.write().await;
        let Some(group) = self.index().group_with_alias(id).map(|group| group.id.clone()) else { return Ok(()) };
        let seen = self.stored_group(&group).await?;
        let mut group = seen.value;
        group.alias = None;
        group.touch(self.store.now());
        self.apply(Change::default().put_group(group, Some(seen.revision))?).await
    }
}
