//! Aliases of entities, as administrators make and change them.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Alias, Entity, Identity, IdentityError,
    change::Change,
    index::{Factors, Index},
    record::{check_metadata, check_name},
};
use crate::{clock::Timestamp, door::Permit, mount::Mount};

/// What somebody says of an alias. `None`: it stays as it is.
#[derive(Debug, Default)]
pub struct AliasInput {
    /// Which one; none: the one of that name at that mount, or a new one.
    pub id: Option<String>,
    /// How the auth method knows the entity.
    pub name: Option<String>,
    /// The auth method's mount.
    pub mount_accessor: Option<String>,
    /// The entity; none for a new alias: one is made.
    pub canonical_id: Option<String>,
    /// For people and templates.
    pub custom_metadata: Option<BTreeMap<String, String>>,
}

impl AliasInput {
    /// The same with what is empty counted as not said.
    fn cleaned(self) -> Self {
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            id: said(self.id),
            name: said(self.name),
            mount_accessor: said(self.mount_accessor),
            canonical_id: said(self.canonical_id),
            custom_metadata: self.custom_metadata,
        }
    }
}

impl Identity {
    /// Makes an alias, with an entity if none is named, or changes the one that is meant. Answers the alias if anything
    /// changed.
    ///
    /// # Errors
    /// When something that is named does not exist, or the entity has another alias at the mount.
    pub async fn write_alias(&self, permit: Permit, input: AliasInput) -> Result<Option<Alias>, IdentityError> {
        permit.spend();
        let input = input.cleaned();
        input.name.as_deref().map_or(Ok(()), check_name)?;
        input.custom_metadata.as_ref().map_or(Ok(()), |metadata| check_metadata("custom", metadata))?;
        let _alone = self.gate.write().await;
        let found = self.meant_alias(&input)?;
        match found {
            Some(alias) => self.change_alias(alias, input).await,
            None => self.make_alias(input).await.map(Some),
        }
    }

    fn meant_alias(&self, input: &AliasInput) -> Result<Option<Alias>, IdentityError> {
        let index = self.index();
        if let Some(id) = &input.id {
            let found = index.alias(id).ok_or_else(|| IdentityError::invalid("invalid alias ID provided"))?;
            return Ok(Some(found.clone()));
        }
        let (Some(accessor), Some(name)) = (&input.mount_accessor, &input.name) else {
            return Err(IdentityError::invalid("'id' or 'mount_accessor' and 'name' must be provided"));
        };
        self.auth_mount(accessor)?;
        let entity = index.entity_at(&Factors::of(accessor, name));
        Ok(entity.and_then(|entity| entity.alias_at(accessor)).cloned())
    }

    async fn make_alias(&self, input: AliasInput) -> Result<Alias, IdentityError> {
        let accessor = input.mount_accessor.unwrap_or_default();
        let mount = self.auth_mount(&accessor)?;
        let now = self.store.now();
        let (mut entity, seen) = match &input.canonical_id {
            Some(id) => {
                self.index().entity(id).ok_or_else(|| IdentityError::invalid("invalid canonical ID"))?;
                let seen = self.stored_entity(id).await?;
                (seen.value, Some(seen.revision))
            }
            None => (Entity::new(self.new_id()?, self.new_name("entity")?, now), None),
        };
        if entity.alias_at(&accessor).is_some() {
            return Err(IdentityError::invalid("Alias already exists for requested entity and mount accessor"));
        }
        let mut alias = self.new_alias(&mount, &entity.id, input.name.unwrap_or_default(), now)?;
        alias.custom_metadata = input.custom_metadata.unwrap_or_default();
        entity.aliases.push(alias.clone());
        entity.updated = now;
        self.apply(Change::default().put_entity(entity, seen)?).await?;
        Ok(alias)
    }

    pub(super) fn new_alias(
        &self,
        mount: &Mount,
        canonical_id: &str,
        name: String,
        now: Timestamp,
    ) -> Result<Alias, IdentityError> {
        Ok(Alias {
            id: self.new_id()?,
            canonical_id: canonical_id.to_owned(),
            mount_accessor: mount.accessor.clone(),
            name,
            metadata: BTreeMap::new(),
            custom_metadata: BTreeMap::new(),
            local: mount.local,
            merged_from: Vec::new(),
            created: now,
            updated: now,
        })
    }

    async fn change_alias(&self, was: Alias, input: AliasInput) -> Result<Option<Alias>, IdentityError> {
        let mut alias = was.clone();
        alias.name = input.name.unwrap_or(alias.name);
        alias.mount_accessor = input.mount_accessor.unwrap_or(alias.mount_accessor);
        alias.custom_metadata = input.custom_metadata.unwrap_or(alias.custom_metadata);
        alias.canonical_id = input.canonical_id.unwrap_or(alias.canonical_id);
        if alias == was {
            return Ok(None);
        }
        if alias.mount_accessor != was.mount_accessor {
            alias.local = self.auth_mount(&alias.mount_accessor)?.local;
        }
        check_move(&self.index(), &was, &alias)?;
        alias.updated = self.store.now();
        let from = self.stored_entity(&was.canonical_id).await?;
        let mut old = from.value;
        old.aliases.retain(|other| other.id != alias.id);
        old.updated = alias.updated;
        if alias.canonical_id == was.canonical_id {
            old.aliases.push(alias.clone());
            self.apply(Change::default().put_entity(old, Some(from.revision))?).await?;
            return Ok(Some(alias));
        }
        let to = self.stored_entity(&alias.canonical_id).await?;
        let mut new = to.value;
        new.aliases.push(alias.clone());
        new.updated = alias.updated;
        // In this order, because the index must lose the alias before it gets it again.
        let change = Change::default().put_entity(old, Some(from.revision))?.put_entity(new, Some(to.revision))?;
        self.apply(change).await?;
        Ok(Some(alias))
    }

    /// An alias by its id.
    #[must_use]
    pub fn alias(&self, permit: Permit, id: &str) -> Option<Alias> {
        permit.spend();
        self.index().alias(id).cloned()
    }

    /// All aliases of entities, in no order.
    #[must_use]
    pub fn aliases(&self, permit: Permit) -> Vec<Alias> {
        permit.spend();
        self.index().entities().flat_map(|entity| entity.aliases.iter().cloned()).collect()
    }

    /// Takes an alias away from its entity, which stays. One that is not there is no error.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_alias(&self, permit: Permit, id: &str) -> Result<(), IdentityError> {
        permit.spend();
        let _alone = self.gate.write().await;
        let Some(entity) = self.index().entity_with_alias(id).map(|entity| entity.id.clone()) else { return Ok(()) };
        let seen = self.stored_entity(&entity).await?;
        let mut entity = seen.value;
        entity.aliases.retain(|alias| alias.id != id);
        entity.updated = self.store.now();
        self.apply(Change::default().put_entity(entity, Some(seen.revision))?).await
    }

    /// The auth method whose accessor this is.
    pub(super) fn auth_mount(&self, accessor: &str) -> Result<Arc<Mount>, IdentityError> {
        self.mounts
            .with_accessor(accessor)
            .filter(|mount| mount.engine.is_auth())
            .ok_or_else(|| IdentityError::invalid(format!("invalid mount accessor {accessor:?}")))
    }
}

impl Index {
    fn alias(&self, id: &str) -> Option<&Alias> {
        self.entity_with_alias(id)?.aliases.iter().find(|alias| alias.id == id)
    }
}

/// Whether an alias may become what somebody wants it to be.
fn check_move(index: &Index, was: &Alias, alias: &Alias) -> Result<(), IdentityError> {
    let holder = index.entity_at(&Factors::of(&alias.mount_accessor, &alias.name));
    if holder.and_then(|entity| entity.alias_at(&alias.mount_accessor)).is_some_and(|other| other.id != was.id) {
        return Err(IdentityError::invalid("alias with combination of mount accessor and name already exists"));
    }
    let target = index.entity(&alias.canonical_id);
    let target =
        target.ok_or_else(|| IdentityError::invalid("given 'canonical_id' is not associated with an entity"))?;
    if target.alias_at(&alias.mount_accessor).is_none_or(|other| other.id == was.id) {
        return Ok(());
    }
    Err(IdentityError::invalid(if alias.canonical_id == was.canonical_id {
        "Alias cannot be updated as the entity already has an alias for the given 'mount_accessor'"
    } else {
        "Alias cannot be updated as the given entity already has an alias for this mount"
    }))
}
