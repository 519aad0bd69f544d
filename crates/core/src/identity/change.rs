//! A change: what it does to the store, in one commit, and after that to the index.

use std::sync::PoisonError;

use super::{Entity, Group, Identity, IdentityError};
use crate::{
    barrier::Batch,
    keys,
    storage::{Commit, Revision},
    store::{Seen, Store, StoreError},
};

/// Records to be written together.
#[derive(Default)]
pub(super) struct Change {
    batch: Batch,
    steps: Vec<Step>,
}

enum Step {
    PutEntity(Entity),
    TakeEntity(String),
    PutGroup(Group),
    TakeGroup(String),
    Join(String, String),
    Leave(String, String),
}

impl Change {
    /// Makes or replaces an entity; `seen`: the record that it replaces.
    pub(super) fn put_entity(mut self, entity: Entity, seen: Option<Revision>) -> Result<Self, StoreError> {
        let key = keys::entity(&entity.id);
        self.batch = self.batch.expect(key.clone(), seen).put(key, Store::encode(&entity)?);
        self.steps.push(Step::PutEntity(entity));
        Ok(self)
    }

    pub(super) fn take_entity(mut self, id: &str) -> Self {
        self.batch = self.batch.delete(keys::entity(id));
        self.steps.push(Step::TakeEntity(id.to_owned()));
        self
    }

    /// Makes or replaces a group; `seen`: the record that it replaces.
    pub(super) fn put_group(mut self, group: Group, seen: Option<Revision>) -> Result<Self, StoreError> {
        let key = keys::group(&group.id);
        self.batch = self.batch.expect(key.clone(), seen).put(key, Store::encode(&group)?);
        self.steps.push(Step::PutGroup(group));
        Ok(self)
    }

    pub(super) fn take_group(mut self, id: &str) -> Self {
        self.batch = self.batch.delete(keys::group(id));
        self.steps.push(Step::TakeGroup(id.to_owned()));
        self
    }

    pub(super) fn join(mut self, group: &str, entity: &str) -> Result<Self, StoreError> {
        self.batch = self.batch.put(keys::member(group, entity), Store::encode(&())?);
        self.steps.push(Step::Join(group.to_owned(), entity.to_owned()));
        Ok(self)
    }

    pub(super) fn leave(mut self, group: &str, entity: &str) -> Self {
        self.batch = self.batch.delete(keys::member(group, entity));
        self.steps.push(Step::Leave(group.to_owned(), entity.to_owned()));
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Identity {
    /// Makes a change that nobody can be in the way of.
    pub(super) async fn apply(&self, change: Change) -> Result<(), IdentityError> {
        if self.try_apply(change).await? { Ok(()) } else { Err(StoreError::Contended.into()) }
    }

    /// Makes a change; `false`: a record is no longer as it was seen, and nothing was done.
    pub(super) async fn try_apply(&self, change: Change) -> Result<bool, IdentityError> {
        if change.is_empty() {
            return Ok(true);
        }
        match self.store.commit(change.batch).await? {
            Commit::Committed(_) => {
                self.publish(change.steps);
                Ok(true)
            }
            Commit::Conflict(_) => Ok(false),
        }
    }

    fn publish(&self, steps: Vec<Step>) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        for step in steps {
            match step {
                Step::PutEntity(entity) => {
                    self.forget(index.entity(&entity.id).map(|entity| &**entity));
                    self.forget(Some(&entity));
                    index.put_entity(entity);
                }
                Step::TakeEntity(id) => {
                    self.forget(index.take_entity(&id).as_deref());
                }
                Step::PutGroup(group) => {
                    index.put_group(group);
                    self.cache.forget_all();
                }
                Step::TakeGroup(id) => {
                    index.take_group(&id);
                    self.cache.forget_all();
                }
                Step::Join(group, entity) => {
                    index.join(&group, &entity);
                    self.forget(index.entity(&entity).map(|entity| &**entity));
                }
                Step::Leave(group, entity) => {
                    index.leave(&group, &entity);
                    self.forget(index.entity(&entity).map(|entity| &**entity));
                }
            }
        }
    }

    /// Drops what was worked out for an entity, by any id that its tokens have.
    fn forget(&self, entity: Option<&Entity>) {
        let ids = entity.into_iter().flat_map(|entity| std::iter::once(&entity.id).chain(&entity.merged_ids));
        ids.for_each(|id| self.cache.forget(id));
    }

    /// The record of an entity that the index has, to be changed.
    pub(super) async fn stored_entity(&self, id: &str) -> Result<Seen<Entity>, IdentityError> {
        Ok(self.store.read(&keys::entity(id)).await?.ok_or(StoreError::Contended)?)
    }

    /// The record of a group that the index has, to be changed.
    pub(super) async fn stored_group(&self, id: &str) -> Result<Seen<Group>, IdentityError> {
        Ok(self.store.read(&keys::group(id)).await?.ok_or(StoreError::Contended)?)
    }
}
