//! Making one entity of several: what a person has under several names becomes theirs under one.

use std::collections::BTreeSet;

use super::{Alias, Entity, Identity, IdentityError, change::Change, index::Index};
use crate::door::Permit;

/// What is to be merged.
#[derive(Debug, Default)]
pub struct Merge {
    /// The entities that become part of the other.
    pub from: Vec<String>,
    /// The entity that stays.
    pub to: String,
    /// Of two aliases at the same mount, the ones that stay.
    pub keep: Vec<String>,
}

impl Identity {
    /// Merges entities. Aliases, policies and memberships of those that go become the other's, and so do their tokens.
    ///
    /// # Errors
    /// When an entity does not exist, or several are known at the same mount and it is not said which name stays.
    pub async fn merge(&self, permit: Permit, merge: Merge) -> Result<(), IdentityError> {
        permit.spend();
        if merge.to.is_empty() {
            return Err(IdentityError::invalid("missing entity id to merge to"));
        }
        let from: BTreeSet<&String> = merge.from.iter().collect();
        if from.is_empty() {
            return Err(IdentityError::invalid("missing entity ids to merge from"));
        }
        if from.len() > 1 && merge.keep.len() > 1 {
            return Err(IdentityError::invalid(
                "aliases conflicts cannot be resolved with multiple from entity ids - merge one entity at a time",
            ));
        }
        let _alone = self.gate.write().await;
        check(&self.index(), &merge, &from)?;
        let target = self.stored_entity(&merge.to).await?;
        let mut entity = target.value;
        let mut change = Change::default();
        for id in from {
            let gone = self.stored_entity(id).await?.value;
            change = self.move_memberships(change, &gone.id, &entity.id)?;
            absorb(&mut entity, gone, &merge.keep);
            // In this order, because the index must lose the aliases before it gets them again.
            change = change.take_entity(id);
        }
        entity.updated = self.store.now();
        self.apply(change.put_entity(entity, Some(target.revision))?).await
    }

    fn move_memberships(&self, mut change: Change, from: &str, to: &str) -> Result<Change, IdentityError> {
        let index = self.index();
        for group in index.direct_groups(from) {
            change = change.leave(&group.id, from);
            if !index.is_member(&group.id, to) {
                change = change.join(&group.id, to)?;
            }
        }
        Ok(change)
    }
}

/// Checks all there is to check before anything is read.
fn check(index: &Index, merge: &Merge, from: &BTreeSet<&String>) -> Result<(), IdentityError> {
    let to = index.entity(&merge.to);
    let to = to.ok_or_else(|| IdentityError::invalid("entity id to merge to is invalid"))?;
    let mut mounts: BTreeSet<&str> = BTreeSet::new();
    let mut clashes = Vec::new();
    for id in from {
        if **id == merge.to {
            return Err(IdentityError::invalid("to_entity_id should not be present in from_entity_ids"));
        }
        let gone = index.entity(id);
        let gone = gone.ok_or_else(|| IdentityError::invalid("entity id to merge from is invalid"))?;
        for alias in &gone.aliases {
            if !mounts.insert(&alias.mount_accessor) {
                return Err(IdentityError::invalid(format!(
                    "mount accessor {} found in multiple fromEntities, merge should be done with one fromEntity at a \
                     time",
                    alias.mount_accessor
                )));
            }
            if let Some(other) = to.alias_at(&alias.mount_accessor) {
                clashes.push((other, alias));
            }
        }
    }
    check_clashes(&clashes, &merge.keep)
}

fn check_clashes(clashes: &[(&Alias, &Alias)], keep: &[String]) -> Result<(), IdentityError> {
    if let Some((to, from)) =
        clashes.iter().find(|(to, from)| !keep.is_empty() && keep.contains(&to.id) == keep.contains(&from.id))
    {
        return Err(IdentityError::invalid(format!(
            "conflicting mount accessors in following alias IDs, exactly one of which must be in \
             conflicting_alias_ids_to_keep: {}, {}",
            from.id, to.id
        )));
    }
    if clashes.is_empty() || !keep.is_empty() {
        return Ok(());
    }
    let told = clashes.iter().map(|(to, from)| {
        format!(
            "mountAccessor: {}, toEntity ID: {}, fromEntity ID: {}, conflicting toEntity alias ID: {}, conflicting \
             fromEntity alias ID: {}",
            to.mount_accessor, to.canonical_id, from.canonical_id, to.id, from.id
        )
    });
    let told: Vec<String> = told.collect();
    Err(IdentityError::invalid(format!(
        "toEntity and at least one fromEntity have aliases with the same mount accessor, repeat the merge request \
         specifying exactly one fromEntity, clashes: {}",
        told.join("; ")
    )))
}

/// Makes `gone` a part of `entity`. What is to stay was checked.
fn absorb(entity: &mut Entity, gone: Entity, keep: &[String]) {
    for mut alias in gone.aliases {
        if entity.alias_at(&alias.mount_accessor).is_some() {
            if !keep.contains(&alias.id) {
                continue;
            }
            entity.aliases.retain(|other| other.mount_accessor != alias.mount_accessor);
        }
        alias.merged_from.push(gone.id.clone());
        alias.canonical_id.clone_from(&entity.id);
        entity.aliases.push(alias);
    }
    entity.policies.extend(gone.policies);
    entity.policies.sort();
    entity.policies.dedup();
    entity.merged_ids.extend(gone.merged_ids);
    entity.merged_ids.push(gone.id);
}
