//! What a login means: the entity that has the alias, made if there is none, and the external groups that it is in.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Entity, GroupKind, Identity, IdentityError,
    change::Change,
    index::{Factors, Index},
    record::check_name,
};
use crate::{login::LoginIdentity, mount::Mount, storage::Revision};

/// The external groups of a mount that a login enters and leaves.
#[derive(Default)]
struct Memberships {
    join: Vec<String>,
    leave: Vec<String>,
}

impl Identity {
    /// The id of the entity that `who` logs in as at `mount`. Most logins change nothing and only look.
    ///
    /// # Errors
    /// When the entity is disabled, or the store fails.
    pub(crate) async fn log_in(&self, mount: &Mount, who: &LoginIdentity) -> Result<String, IdentityError> {
        check_name(&who.alias)?;
        let factors = Factors::of(&mount.accessor, &who.alias);
        if let Some(entity) = self.settled(&factors, mount, who) {
            return if entity.disabled { Err(IdentityError::Disabled) } else { Ok(entity.id.clone()) };
        }
        let _beside_others = self.gate.read().await;
        let lock = [b"identity/login/", mount.accessor.as_bytes(), b"/", who.alias.to_lowercase().as_bytes()].concat();
        let _lock = self.store.lock(&lock).await;
        loop {
            if let Some(entity) = self.settled(&factors, mount, who) {
                return if entity.disabled { Err(IdentityError::Disabled) } else { Ok(entity.id.clone()) };
            }
            let (entity, seen) = self.at_login(&factors, mount, who).await?;
            if entity.disabled {
                return Err(IdentityError::Disabled);
            }
            let id = entity.id.clone();
            let change = self.login_change(entity, seen, mount, who)?;
            // Somebody may have logged in under another alias of the entity.
            if self.try_apply(change).await? {
                return Ok(id);
            }
        }
    }

    /// The entity, if the login changes nothing about it. A disabled one is not changed by a login.
    fn settled(&self, factors: &Factors, mount: &Mount, who: &LoginIdentity) -> Option<Arc<Entity>> {
        let index = self.index();
        let entity = index.entity_at(factors)?;
        let alias = entity.alias_at(&mount.accessor)?;
        let memberships = memberships(&index, &entity.id, mount, who);
        let same = alias.metadata == who.metadata && memberships.join.is_empty() && memberships.leave.is_empty();
        (same || entity.disabled).then(|| Arc::clone(entity))
    }

    /// The entity as the login leaves it.
    async fn at_login(
        &self,
        factors: &Factors,
        mount: &Mount,
        who: &LoginIdentity,
    ) -> Result<(Entity, Option<Revision>), IdentityError> {
        let now = self.store.now();
        let known = self.index().entity_at(factors).map(|entity| entity.id.clone());
        let Some(id) = known else {
            let mut entity = Entity::new(self.new_id()?, self.new_name("entity")?, now);
            let mut alias = self.new_alias(mount, &entity.id, who.alias.clone(), now)?;
            alias.metadata.clone_from(&who.metadata);
            entity.aliases.push(alias);
            return Ok((entity, None));
        };
        let seen = self.stored_entity(&id).await?;
        let mut entity = seen.value;
        let alias = entity.aliases.iter_mut().find(|alias| alias.mount_accessor == mount.accessor);
        if let Some(alias) = alias.filter(|alias| alias.metadata != who.metadata) {
            alias.metadata.clone_from(&who.metadata);
            (alias.updated, entity.updated) = (now, now);
        }
        Ok((entity, Some(seen.revision)))
    }

    fn login_change(
        &self,
        entity: Entity,
        seen: Option<Revision>,
        mount: &Mount,
        who: &LoginIdentity,
    ) -> Result<Change, IdentityError> {
        let memberships = memberships(&self.index(), &entity.id, mount, who);
        let id = entity.id.clone();
        let mut change = Change::default().put_entity(entity, seen)?;
        for group in &memberships.leave {
            change = change.leave(group, &id);
        }
        for group in &memberships.join {
            change = change.join(group, &id)?;
        }
        Ok(change)
    }
}

/// Which external groups of the mount an entity enters and leaves by a login. Those of other mounts stay as they are.
fn memberships(index: &Index, entity: &str, mount: &Mount, who: &LoginIdentity) -> Memberships {
    let claimed = who.groups.iter().filter_map(|name| index.group_at(&Factors::of(&mount.accessor, name)));
    let claimed: BTreeSet<&str> = claimed.map(|group| group.id.as_str()).collect();
    let of_mount = index.direct_groups(entity).filter(|group| {
        group.kind == GroupKind::External
            && group.alias.as_ref().is_none_or(|alias| alias.mount_accessor == mount.accessor)
    });
    let held: BTreeSet<&str> = of_mount.map(|group| group.id.as_str()).collect();
    let owned = |ids: std::collections::btree_set::Difference<'_, &str>| ids.map(|id| (*id).to_owned()).collect();
    Memberships { join: owned(claimed.difference(&held)), leave: owned(held.difference(&claimed)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        identity::{Alias, Group},
        login::testing,
    };

    fn external(index: &mut Index, id: &str, alias: Option<(&str, &str)>) {
        let mut group = Group::new(id.into(), format!("name-{id}"), GroupKind::External, Timestamp::UNIX_EPOCH);
        group.alias = alias.map(|(accessor, name)| Alias {
            id: format!("alias-{id}"),
            canonical_id: id.to_owned(),
            mount_accessor: accessor.to_owned(),
            name: name.to_owned(),
            metadata: Default::default(),
            custom_metadata: Default::default(),
            local: false,
            merged_from: Vec::new(),
            created: Timestamp::UNIX_EPOCH,
            updated: Timestamp::UNIX_EPOCH,
        });
        index.put_group(group);
    }

    #[test]
    fn a_login_sets_the_external_groups_of_its_mount_and_no_others() {
        let mount = testing::mount();
        let mut index = Index::default();
        index.put_entity(Entity::new("e".into(), "e".into(), Timestamp::UNIX_EPOCH));
        for (id, name) in [("dev", "Dev"), ("ops", "ops"), ("qa", "qa")] {
            external(&mut index, id, Some((&mount.accessor, name)));
        }
        external(&mut index, "elsewhere", Some(("auth_other_1", "dev")));
        index.put_group(Group::new("inner".into(), "inner".into(), GroupKind::Internal, Timestamp::UNIX_EPOCH));
        for held in ["ops", "qa", "elsewhere", "inner"] {
            index.join(held, "e");
        }
        let groups = ["DEV", "qa", "unknown", "inner", "dev"].map(str::to_owned).to_vec();
        let who = LoginIdentity { alias: "e".into(), groups, ..LoginIdentity::default() };
        let Memberships { join, leave } = memberships(&index, "e", &mount, &who);
        assert_eq!((join, leave), (vec!["dev".to_owned()], vec!["ops".to_owned()]));
    }
}
