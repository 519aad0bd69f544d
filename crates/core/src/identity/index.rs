//! All identities, decoded, in memory: found by whatever they are called. Each change costs what it changes, however
//! many there are.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{Alias, Entity, Group};

/// An id that several maps share.
pub(super) type Id = Arc<str>;

/// What a name at a mount is found by; names are the same in any case of their letters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Factors(Box<str>);

impl Factors {
    pub(super) fn of(accessor: &str, name: &str) -> Self {
        // No accessor holds this byte.
        Self(format!("{accessor}\0{}", fold(name)).into_boxed_str())
    }

    fn of_alias(alias: &Alias) -> Self {
        Self::of(&alias.mount_accessor, &alias.name)
    }
}

/// The form in which names are compared.
pub(super) fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// The index. Only [`super::Identity`] changes it, once the store has what it says.
#[derive(Debug, Default)]
pub(super) struct Index {
    entities: HashMap<Id, Arc<Entity>>,
    entity_names: HashMap<String, Id>,
    /// An entity that became part of another, and that other.
    merged: HashMap<String, Id>,
    aliases: HashMap<Factors, Id>,
    alias_ids: HashMap<String, Id>,
    groups: HashMap<Id, Arc<Group>>,
    group_names: HashMap<String, Id>,
    group_aliases: HashMap<Factors, Id>,
    group_alias_ids: HashMap<String, Id>,
    /// A group and the groups in it.
    children: HashMap<String, BTreeSet<Id>>,
    /// A group and the entities in it.
    members: HashMap<String, BTreeSet<Id>>,
    /// An entity and the groups that it is in.
    groups_of: HashMap<String, BTreeSet<Id>>,
}

impl Index {
    pub(super) fn entity(&self, id: &str) -> Option<&Arc<Entity>> {
        self.entities.get(id)
    }

    /// The entity that tokens of `id` stand for: itself, or the one that it became part of.
    pub(super) fn standing_for(&self, id: &str) -> Option<&Arc<Entity>> {
        self.entity(id).or_else(|| self.entity(self.merged.get(id)?))
    }

    pub(super) fn entity_named(&self, name: &str) -> Option<&Arc<Entity>> {
        self.entity(self.entity_names.get(&fold(name))?)
    }

    pub(super) fn entity_at(&self, factors: &Factors) -> Option<&Arc<Entity>> {
        self.entity(self.aliases.get(factors)?)
    }

    pub(super) fn entity_with_alias(&self, alias_id: &str) -> Option<&Arc<Entity>> {
        self.entity(self.alias_ids.get(alias_id)?)
    }

    pub(super) fn entities(&self) -> impl Iterator<Item = &Arc<Entity>> {
        self.entities.values()
    }

    pub(super) fn group(&self, id: &str) -> Option<&Arc<Group>> {
        self.groups.get(id)
    }

    pub(super) fn group_named(&self, name: &str) -> Option<&Arc<Group>> {
        self.group(self.group_names.get(&fold(name))?)
    }

    pub(super) fn group_at(&self, factors: &Factors) -> Option<&Arc<Group>> {
        self.group(self.group_aliases.get(factors)?)
    }

    pub(super) fn group_with_alias(&self, alias_id: &str) -> Option<&Arc<Group>> {
        self.group(self.group_alias_ids.get(alias_id)?)
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.groups.values()
    }

    /// The groups in a group.
    pub(super) fn children(&self, group: &str) -> impl Iterator<Item = &Id> {
        self.children.get(group).into_iter().flatten()
    }

    /// The entities in a group itself.
    pub(super) fn members(&self, group: &str) -> impl Iterator<Item = &Id> {
        self.members.get(group).into_iter().flatten()
    }

    pub(super) fn member_count(&self, group: &str) -> usize {
        self.members.get(group).map_or(0, BTreeSet::len)
    }

    pub(super) fn is_member(&self, group: &str, entity: &str) -> bool {
        self.members.get(group).is_some_and(|members| members.contains(entity))
    }

    /// The groups that an entity is in itself.
    pub(super) fn direct_groups(&self, entity: &str) -> impl Iterator<Item = &Arc<Group>> {
        self.groups_of.get(entity).into_iter().flatten().filter_map(|id| self.group(id))
    }

    /// The groups that an entity is in itself, and how many they are; after them, those that it is in through others.
    pub(super) fn groups_of(&self, entity: &str) -> (Vec<Arc<Group>>, usize) {
        let mut groups: Vec<Arc<Group>> = self.direct_groups(entity).cloned().collect();
        let direct = groups.len();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let known: Vec<Arc<Group>> = groups.clone();
        seen.extend(known.iter().map(|group| group.id.as_str()));
        let mut open: Vec<&Arc<Group>> = known.iter().collect();
        while let Some(group) = open.pop() {
            for parent in group.parent_ids.iter().filter_map(|id| self.group(id)) {
                if seen.insert(parent.id.as_str()) {
                    groups.push(Arc::clone(parent));
                    open.push(parent);
                }
            }
        }
        (groups, direct)
    }

    /// Whether `group` is `above` or somewhere below it.
    pub(super) fn is_within(&self, group: &str, above: &str) -> bool {
        let mut seen = BTreeSet::from([group]);
        let mut open = vec![group];
        while let Some(id) = open.pop() {
            if id == above {
                return true;
            }
            let parents = self.group(id).into_iter().flat_map(|group| &group.parent_ids);
            open.extend(parents.map(String::as_str).filter(|parent| seen.insert(parent)));
        }
        false
    }

    pub(super) fn put_entity(&mut self, entity: Entity) {
        self.take_entity(&entity.id);
        let id: Id = entity.id.as_str().into();
        self.entity_names.insert(fold(&entity.name), Arc::clone(&id));
        for merged in &entity.merged_ids {
            self.merged.insert(merged.clone(), Arc::clone(&id));
        }
        for alias in &entity.aliases {
            self.aliases.insert(Factors::of_alias(alias), Arc::clone(&id));
            self.alias_ids.insert(alias.id.clone(), Arc::clone(&id));
        }
        self.entities.insert(id, Arc::new(entity));
    }

    /// Forgets an entity, but not which groups it is in.
    pub(super) fn take_entity(&mut self, id: &str) -> Option<Arc<Entity>> {
        let entity = self.entities.remove(id)?;
        self.entity_names.remove(&fold(&entity.name));
        for merged in &entity.merged_ids {
            self.merged.remove(merged);
        }
        for alias in &entity.aliases {
            self.aliases.remove(&Factors::of_alias(alias));
            self.alias_ids.remove(&alias.id);
        }
        Some(entity)
    }

    pub(super) fn put_group(&mut self, group: Group) {
        self.take_group(&group.id);
        let id: Id = group.id.as_str().into();
        self.group_names.insert(fold(&group.name), Arc::clone(&id));
        if let Some(alias) = &group.alias {
            self.group_aliases.insert(Factors::of_alias(alias), Arc::clone(&id));
            self.group_alias_ids.insert(alias.id.clone(), Arc::clone(&id));
        }
        for parent in &group.parent_ids {
            self.children.entry(parent.clone()).or_default().insert(Arc::clone(&id));
        }
        self.groups.insert(id, Arc::new(group));
    }

    /// Forgets a group, but not who is in it.
    pub(super) fn take_group(&mut self, id: &str) -> Option<Arc<Group>> {
        let group = self.groups.remove(id)?;
        self.group_names.remove(&fold(&group.name));
        if let Some(alias) = &group.alias {
            self.group_aliases.remove(&Factors::of_alias(alias));
            self.group_alias_ids.remove(&alias.id);
        }
        for parent in &group.parent_ids {
            remove_from(&mut self.children, parent, id);
        }
        Some(group)
    }

    pub(super) fn join(&mut self, group: &str, entity: &str) {
        let (group_id, entity_id): (Id, Id) = (group.into(), entity.into());
        self.members.entry(group.to_owned()).or_default().insert(entity_id);
        self.groups_of.entry(entity.to_owned()).or_default().insert(group_id);
    }

    pub(super) fn leave(&mut self, group: &str, entity: &str) {
        remove_from(&mut self.members, group, entity);
        remove_from(&mut self.groups_of, entity, group);
    }
}

fn remove_from(map: &mut HashMap<String, BTreeSet<Id>>, key: &str, id: &str) {
    if let Some(set) = map.get_mut(key) {
        set.remove(id);
        if set.is_empty() {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{clock::Timestamp, identity::GroupKind};

    fn entity(id: &str) -> Entity {
        Entity::new(id.to_owned(), format!("Name-{id}"), Timestamp::UNIX_EPOCH)
    }

    fn group(id: &str, parents: &[usize]) -> Group {
        let parent_ids = parents.iter().map(|parent| format!("g{parent}")).collect();
        let name = format!("Group-{id}");
        Group { parent_ids, ..Group::new(id.to_owned(), name, GroupKind::Internal, Timestamp::UNIX_EPOCH) }
    }

    pub(super) fn alias(id: &str, accessor: &str, name: &str, canonical_id: &str) -> Alias {
        Alias {
            id: id.to_owned(),
            canonical_id: canonical_id.to_owned(),
            mount_accessor: accessor.to_owned(),
            name: name.to_owned(),
            metadata: Default::default(),
            custom_metadata: Default::default(),
            local: false,
            merged_from: Vec::new(),
            created: Timestamp::UNIX_EPOCH,
            updated: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_an_entity_is_called_changes_with_it() {
        let mut index = Index::default();
        let first =
            Entity { aliases: vec![alias("i", "acc", "Ann", "e")], merged_ids: vec!["old".into()], ..entity("e") };
        index.put_entity(first);
        let found = |index: &Index| {
            [
                index.entity_named("NAME-E").is_some(),
                index.entity_at(&Factors::of("acc", "aNN")).is_some(),
                index.entity_with_alias("i").is_some(),
                index.standing_for("old").is_some(),
            ]
        };
        assert_eq!(found(&index), [true; 4]);
        index.put_entity(Entity { name: "other".into(), ..entity("e") });
        assert_eq!(found(&index), [false; 4]);
        assert!(index.entity_named("Other").is_some() && index.standing_for("e").is_some());
        index.take_entity("e");
        assert!(index.entity_named("other").is_none() && index.entities().next().is_none());
    }

    #[test]
    fn a_hundred_thousand_entities_are_found_like_one() {
        const MANY: usize = 100_000;
        let mut index = Index::default();
        index.put_group(group("all", &[]));
        for n in 0..MANY {
            let id = format!("e{n}");
            index.put_entity(Entity { aliases: vec![alias(&format!("i{n}"), "acc", &id, &id)], ..entity(&id) });
            index.join("all", &id);
        }
        for n in 0..MANY {
            let id = format!("e{n}");
            index.put_entity(Entity { disabled: true, ..Entity::clone(index.entity(&id).expect("there")) });
            assert!(index.entity_at(&Factors::of("acc", &id)).is_some_and(|entity| entity.disabled));
            assert_eq!(index.groups_of(&id).1, 1);
        }
        assert_eq!(index.member_count("all"), MANY);
        for n in 0..MANY {
            index.leave("all", &format!("e{n}"));
        }
        assert_eq!(index.member_count("all"), 0);
    }

    proptest! {
        /// Groups with parents of smaller numbers only, so without circles, against a closure worked out slowly.
        #[test]
        fn inherited_groups_are_all_above(parents in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..12)) {
            let parents: Vec<Vec<usize>> = parents.iter().enumerate()
                .map(|(n, above)| if n == 0 { Vec::new() } else { above.iter().map(|index| index.index(n)).collect() })
                .collect();
            let mut index = Index::default();
            for (n, above) in parents.iter().enumerate() {
                index.put_group(group(&format!("g{n}"), above));
            }
            let mut above: Vec<BTreeSet<String>> = Vec::new();
            for (n, direct) in parents.iter().enumerate() {
                let inherited = direct.iter().flat_map(|parent| above[*parent].clone());
                let all = inherited.chain([format!("g{n}")]).collect();
                above.push(all);
            }
            for (n, expected) in above.iter().enumerate() {
                let (id, who) = (format!("g{n}"), format!("e{n}"));
                index.put_entity(entity(&who));
                index.join(&id, &who);
                let (groups, direct) = index.groups_of(&who);
                prop_assert_eq!(direct, 1);
                prop_assert_eq!(groups.len(), expected.len(), "none twice");
                let found: BTreeSet<String> = groups.iter().map(|group| group.id.clone()).collect();
                prop_assert_eq!(&found, expected);
                for other in (0..parents.len()).map(|other| format!("g{other}")) {
                    prop_assert_eq!(index.is_within(&id, &other), expected.contains(&other));
                }
            }
        }
    }
}
