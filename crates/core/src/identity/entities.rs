//! Making, changing, finding and removing entities.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Effective, Entity, Identity, IdentityError,
    change::Change,
    index::Factors,
    record::{check_metadata, check_name, clean_policies},
};
use crate::door::Permit;

/// Entities that one commit removes.
const CHUNK: usize = 128;

/// What somebody says of an entity. `None`: it stays as it is.
#[derive(Debug, Default)]
pub struct EntityInput {
    /// Which one; none: the one of that name, or a new one.
    pub id: Option<String>,
    /// Its name; none for a new one: one is made up.
    pub name: Option<String>,
    /// What its tokens have besides their own.
    pub policies: Option<Vec<String>>,
    /// For people and templates.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Whether its tokens are refused.
    pub disabled: Option<bool>,
}

/// By what an entity or a group is looked up.
#[derive(Debug, Clone, Copy)]
pub enum Find<'a> {
    /// Its id.
    Id(&'a str),
    /// Its name.
    Name(&'a str),
    /// The id of its alias.
    AliasId(&'a str),
    /// An alias, by a mount's accessor and its name there.
    Alias(&'a str, &'a str),
}

impl Identity {
    /// Makes an entity, or changes the one that is meant. Answers the entity if it is new.
    ///
    /// # Errors
    /// When the id is unknown, the name is taken, or a value is not possible.
    pub async fn write_entity(&self, permit: Permit, input: EntityInput) -> Result<Option<Arc<Entity>>, IdentityError> {
        permit.spend();
        let name = input.name.as_deref().filter(|name| !name.is_empty());
        name.map_or(Ok(()), check_name)?;
        input.metadata.as_ref().map_or(Ok(()), |metadata| check_metadata("entity", metadata))?;
        let policies = input.policies.as_deref().map(clean_policies).transpose()?;
        let _alone = self.gate.write().await;
        let now = self.store.now();
        let (mut entity, seen) = match self.meant(input.id.as_deref(), name)? {
            Some(id) => {
                let seen = self.stored_entity(&id).await?;
                (seen.value, Some(seen.revision))
            }
            None => (Entity::new(self.new_id()?, self.new_name("entity")?, now), None),
        };
        if let Some(name) = name {
            name.clone_into(&mut entity.name);
        }
        entity.policies = policies.unwrap_or(entity.policies);
        entity.metadata = input.metadata.unwrap_or(entity.metadata);
        entity.disabled = input.disabled.unwrap_or(entity.disabled);
        entity.updated = now;
        let id = entity.id.clone();
        self.apply(Change::default().put_entity(entity, seen)?).await?;
        Ok(if seen.is_none() { self.index().entity(&id).cloned() } else { None })
    }

    /// The id of the entity that is to be changed; `None`: a new one is meant.
    fn meant(&self, id: Option<&str>, name: Option<&str>) -> Result<Option<String>, IdentityError> {
        let index = self.index();
        let by_name = name.and_then(|name| index.entity_named(name)).map(|entity| entity.id.clone());
        let Some(id) = id.filter(|id| !id.is_empty()) else { return Ok(by_name) };
        let found = index.entity(id).ok_or_else(|| IdentityError::invalid("entity not found from id"))?;
        match by_name {
            Some(other) if other != found.id => Err(IdentityError::invalid("entity name is already in use")),
            _ => Ok(Some(found.id.clone())),
        }
    }

    /// An entity with its groups.
    #[must_use]
    pub fn entity(&self, permit: Permit, find: Find<'_>) -> Option<Effective> {
        permit.spend();
        let index = self.index();
        let found = match find {
            Find::Id(id) => index.entity(id),
            Find::Name(name) => index.entity_named(name),
            Find::AliasId(id) => index.entity_with_alias(id),
            Find::Alias(accessor, name) => index.entity_at(&Factors::of(accessor, name)),
        };
        found.map(|entity| Effective::of(&index, entity))
    }

    /// All entities, in no order.
    #[must_use]
    pub fn entities(&self, permit: Permit) -> Vec<Arc<Entity>> {
        permit.spend();
        self.index().entities().cloned().collect()
    }

    /// Removes an entity with its aliases; its tokens are refused from now on. One that is not there is no error.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_entity(&self, permit: Permit, find: Find<'_>) -> Result<(), IdentityError> {
        let _alone = self.gate.write().await;
        let Some(found) = self.entity(permit, find) else { return Ok(()) };
        self.apply(self.removal([&found.entity.id])).await
    }

    /// Removes several entities, some hundred at a time.
    ///
    /// # Errors
    /// When none are named, or the store fails; those before may be gone then.
    pub async fn delete_entities(&self, permit: Permit, ids: &[String]) -> Result<(), IdentityError> {
        permit.spend();
        if ids.is_empty() {
            return Err(IdentityError::invalid("missing entity ids to delete"));
        }
        for chunk in ids.chunks(CHUNK) {
            let _alone = self.gate.write().await;
            self.apply(self.removal(chunk)).await?;
        }
        Ok(())
    }

    /// The removal of those of `ids` that are there, out of their groups too.
    fn removal<'a>(&self, ids: impl IntoIterator<Item = &'a String>) -> Change {
        let index = self.index();
        let mut change = Change::default();
        for entity in ids.into_iter().filter_map(|id| index.entity(id)) {
            for group in index.direct_groups(&entity.id) {
                change = change.leave(&group.id, &entity.id);
            }
            change = change.take_entity(&entity.id);
        }
        change
    }
}
