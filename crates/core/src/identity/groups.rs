//! Making, changing, finding and removing groups.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Group, GroupKind, Identity, IdentityError,
    change::Change,
    entities::Find,
    index::{Factors, Id, Index},
    record::{check_metadata, check_name, clean_policies},
};
use crate::{door::Permit, keys, storage::Revision};

/// What somebody says of a group. `None`: it stays as it is.
#[derive(Debug, Default)]
pub struct GroupInput {
    /// Which one; none: the one of that name, or a new one.
    pub id: Option<String>,
    /// Its name; none for a new one: one is made up.
    pub name: Option<String>,
    /// `internal` or `external`; does not change.
    pub kind: Option<String>,
    /// What tokens of its members have besides their own.
    pub policies: Option<Vec<String>>,
    /// For people and templates.
    pub metadata: Option<BTreeMap<String, String>>,
    /// The ids of the entities in it.
    pub member_entity_ids: Option<Vec<String>>,
    /// The ids of the groups in it.
    pub member_group_ids: Option<Vec<String>>,
}

/// A group and who is in it.
#[derive(Debug, Clone)]
pub struct GroupView {
    /// The group.
    pub group: Arc<Group>,
    /// The ids of the entities in it.
    pub member_entity_ids: Vec<Id>,
    /// The ids of the groups in it.
    pub member_group_ids: Vec<Id>,
}

impl Identity {
    /// Makes a group, or changes the one that is meant. Answers the group if it is new.
    ///
    /// # Errors
    /// When an id is unknown, the name is taken, a group would be within itself, or a value is not possible.
    pub async fn write_group(&self, permit: Permit, input: GroupInput) -> Result<Option<Arc<Group>>, IdentityError> {
        permit.spend();
        let name = input.name.as_deref().filter(|name| !name.is_empty());
        name.map_or(Ok(()), check_name)?;
        input.metadata.as_ref().map_or(Ok(()), |metadata| check_metadata("group", metadata))?;
        let policies = input.policies.as_deref().map(clean_policies).transpose()?;
        let kind = input.kind.as_deref().filter(|kind| !kind.is_empty()).map(kind_of).transpose()?;
        let _alone = self.gate.write().await;
        let now = self.store.now();
        let (mut group, seen) = match self.meant_group(input.id.as_deref(), name)? {
            Some(id) => {
                let seen = self.stored_group(&id).await?;
                (seen.value, Some(seen.revision))
            }
            None => {
                let kind = kind.unwrap_or(GroupKind::Internal);
                (Group::new(self.new_id()?, self.new_name("group")?, kind, now), None)
            }
        };
        if kind.is_some_and(|kind| kind != group.kind) {
            return Err(IdentityError::invalid("group type cannot be changed"));
        }
        if let Some(name) = name {
            name.clone_into(&mut group.name);
        }
        group.policies = policies.unwrap_or(group.policies);
        group.metadata = input.metadata.unwrap_or(group.metadata);
        group.touch(now);
        let id = group.id.clone();
        let mut change = self.with_entities(Change::default(), &group, input.member_entity_ids)?;
        let nested = self.changed_members(&group, input.member_group_ids)?;
        change = self.with_groups(change, &id, nested).await?.put_group(group, seen)?;
        self.apply(change).await?;
        Ok(if seen.is_none() { self.index().group(&id).cloned() } else { None })
    }

    fn meant_group(&self, id: Option<&str>, name: Option<&str>) -> Result<Option<String>, IdentityError> {
        let index = self.index();
        let by_name = name.and_then(|name| index.group_named(name)).map(|group| group.id.clone());
        let Some(id) = id.filter(|id| !id.is_empty()) else { return Ok(by_name) };
        let found = index.group(id).ok_or_else(|| IdentityError::invalid("invalid group ID"))?;
        match by_name {
            Some(other) if other != found.id => Err(IdentityError::invalid("group name is already in use")),
            _ => Ok(Some(found.id.clone())),
        }
    }

    /// Adds what makes exactly `wanted` the entities of `group`.
    fn with_entities(
        &self,
        mut change: Change,
        group: &Group,
        wanted: Option<Vec<String>>,
    ) -> Result<Change, IdentityError> {
        let Some(wanted) = wanted else { return Ok(change) };
        if group.kind == GroupKind::External {
            return Err(IdentityError::invalid("member entities can't be set manually for external groups"));
        }
        let wanted: BTreeSet<String> = wanted.into_iter().collect();
        let index = self.index();
        if let Some(unknown) = wanted.iter().find(|id| index.entity(id).is_none()) {
            return Err(IdentityError::invalid(format!("invalid entity ID {unknown:?}")));
        }
        for gone in index.members(&group.id).filter(|id| !wanted.contains(&***id)) {
            change = change.leave(&group.id, gone);
        }
        for new in wanted.iter().filter(|id| !index.is_member(&group.id, id)) {
            change = change.join(&group.id, new)?;
        }
        Ok(change)
    }

    /// The groups that are to become members of `group`, and those that no longer are.
    fn changed_members(
        &self,
        group: &Group,
        wanted: Option<Vec<String>>,
    ) -> Result<(Vec<String>, Vec<String>), IdentityError> {
        let Some(wanted) = wanted else { return Ok(Default::default()) };
        if group.kind == GroupKind::External {
            return Err(IdentityError::invalid("member groups can't be set for external groups"));
        }
        let wanted: BTreeSet<String> = wanted.into_iter().collect();
        let index = self.index();
        check_nesting(&index, group, &wanted)?;
        let now: BTreeSet<String> = index.children(&group.id).map(ToString::to_string).collect();
        Ok((wanted.difference(&now).cloned().collect(), now.difference(&wanted).cloned().collect()))
    }

    /// Adds what makes the first groups members of `group`, and the others no longer so.
    async fn with_groups(
        &self,
        mut change: Change,
        group: &str,
        (joining, leaving): (Vec<String>, Vec<String>),
    ) -> Result<Change, IdentityError> {
        let now = self.store.now();
        let joining = joining.iter().map(|id| (id, true));
        for (id, joins) in joining.chain(leaving.iter().map(|id| (id, false))) {
            let seen = self.stored_group(id).await?;
            let mut member = seen.value;
            member.parent_ids.retain(|parent| parent != group);
            if joins {
                member.parent_ids.push(group.to_owned());
            }
            member.touch(now);
            change = change.put_group(member, Some(seen.revision))?;
        }
        Ok(change)
    }

    /// A group and who is in it.
    #[must_use]
    pub fn group(&self, permit: Permit, find: Find<'_>) -> Option<GroupView> {
        permit.spend();
        let index = self.index();
        let found = match find {
            Find::Id(id) => index.group(id),
            Find::Name(name) => index.group_named(name),
            Find::AliasId(id) => index.group_with_alias(id),
            Find::Alias(accessor, name) => index.group_at(&Factors::of(accessor, name)),
        };
        found.map(|group| GroupView {
            group: Arc::clone(group),
            member_entity_ids: index.members(&group.id).cloned().collect(),
            member_group_ids: index.children(&group.id).cloned().collect(),
        })
    }

    /// All groups, in no order, each with the number of entities in it.
    #[must_use]
    pub fn groups(&self, permit: Permit) -> Vec<(Arc<Group>, usize)> {
        permit.spend();
        let index = self.index();
        index.groups().map(|group| (Arc::clone(group), index.member_count(&group.id))).collect()
    }

    /// Removes a group; its members stay. One that is not there is no error.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_group(&self, permit: Permit, find: Find<'_>) -> Result<(), IdentityError> {
        let _alone = self.gate.write().await;
        let Some(view) = self.group(permit, find) else { return Ok(()) };
        let id = &view.group.id;
        let members: Vec<String> = view.member_group_ids.iter().map(ToString::to_string).collect();
        let change = self.with_groups(Change::default(), id, (Vec::new(), members)).await?;
        self.apply(change.take_group(id)).await?;
        // There may be very many. What a crash leaves of them is removed at the next start.
        self.store.delete_below(&keys::members(id)).await?;
        let mut index = self.index.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        for entity in &view.member_entity_ids {
            index.leave(id, entity);
        }
        Ok(())
    }
}

fn kind_of(name: &str) -> Result<GroupKind, IdentityError> {
    GroupKind::from_name(name).ok_or_else(|| IdentityError::invalid(format!("invalid group type {name:?}")))
}

/// Refuses members that do not exist, and circles.
fn check_nesting(index: &Index, group: &Group, members: &BTreeSet<String>) -> Result<(), IdentityError> {
    for id in members {
        if *id == group.id {
            return Err(IdentityError::invalid(format!("member group ID {id:?} is same as the ID of the group")));
        }
        if index.group(id).is_none() {
            return Err(IdentityError::invalid(format!("invalid member group ID {id:?}")));
        }
        if index.is_within(&group.id, id) {
            return Err(IdentityError::invalid(format!("cyclic relationship detected for member group ID {id:?}")));
        }
    }
    Ok(())
}

/// Records to be written of a group that is there.
pub(super) type SeenGroup = (Group, Option<Revision>);
