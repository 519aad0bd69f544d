//! What a token gets from the entity that it stands for: worked out once per change, asked for by every request.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Entity, Group, index::Index};
use crate::policy::{Acl, builtin::ROOT};

/// How many parts the cache has, each with a lock of its own.
const SHARDS: usize = 64;

/// Entities that one part holds; beyond it the part begins anew.
const PER_SHARD: usize = 512;

/// Compiled rules of one entity that are kept: one for each set of policies that its tokens have.
const PER_ENTITY: usize = 8;

/// An entity with all that it inherits.
#[derive(Debug)]
pub struct Effective {
    /// The entity: the token's own, or the one that it became part of.
    pub entity: Arc<Entity>,
    /// The groups that it is in: first itself, then through others.
    pub groups: Vec<Arc<Group>>,
    /// How many of them it is in itself.
    pub direct: usize,
    /// The policies of the entity and of all its groups; sorted.
    pub policies: Vec<String>,
    compiled: RwLock<Vec<Compiled>>,
}

/// The rules of the entity's tokens that have the same policies.
#[derive(Debug)]
struct Compiled {
    /// Of the policies; rules of older ones are not asked.
    generation: u64,
    token_policies: Box<[String]>,
    access: Access,
}

/// What a token with an entity may do.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// Its own policies and those of its entity; sorted.
    pub(crate) policies: Arc<[String]>,
    pub(crate) acl: Arc<Acl>,
}

impl Effective {
    pub(super) fn of(index: &Index, entity: &Arc<Entity>) -> Self {
        let (groups, direct) = index.groups_of(&entity.id);
        let names: BTreeSet<&String> =
            entity.policies.iter().chain(groups.iter().flat_map(|group| &group.policies)).collect();
        // None can be written; a record that has it all the same gives nothing by it.
        let policies = names.into_iter().filter(|name| *name != ROOT).cloned().collect();
        Self { entity: Arc::clone(entity), policies, groups, direct, compiled: RwLock::default() }
    }

    /// What a token of `token_policies` may do, under the policies of `generation`.
    pub(crate) fn access(
        &self,
        token_policies: &[String],
        generation: u64,
        compile: impl FnOnce(&[String]) -> Arc<Acl>,
    ) -> Access {
        let known = self.compiled.read().unwrap_or_else(PoisonError::into_inner);
        let fits = |known: &&Compiled| known.generation == generation && *known.token_policies == *token_policies;
        if let Some(found) = known.iter().find(fits) {
            return found.access.clone();
        }
        drop(known);
        let all: BTreeSet<String> = token_policies.iter().chain(&self.policies).cloned().collect();
        let policies: Arc<[String]> = all.into_iter().collect();
        let access = Access { acl: compile(&policies), policies };
        let mut compiled = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        compiled.retain(|known| known.generation == generation);
        if compiled.len() >= PER_ENTITY {
            compiled.clear();
        }
        compiled.push(Compiled { generation, token_policies: token_policies.into(), access: access.clone() });
        access
    }
}

/// The entities that were asked for lately, by the ids that tokens have.
///
/// An entry is put in under the read lock of the index and taken out under its write lock, so none is older than the
/// index. Groups reach many entities: a change of one makes all entries old at once, by the generation.
#[derive(Debug)]
pub(super) struct Cache {
    shards: Vec<RwLock<HashMap<String, Cached>>>,
    hasher: RandomState,
    generation: AtomicU64,
}

#[derive(Debug)]
struct Cached {
    generation: u64,
    effective: Arc<Effective>,
}

impl Cache {
    pub(super) fn new() -> Self {
        let shards = std::iter::repeat_with(RwLock::default).take(SHARDS).collect();
        Self { shards, hasher: RandomState::new(), generation: AtomicU64::new(0) }
    }

    fn shard(&self, id: &str) -> &RwLock<HashMap<String, Cached>> {
        #[allow(clippy::cast_possible_truncation, reason = "a hash is cut on purpose")]
        let slot = self.hasher.hash_one(id) as usize % SHARDS;
        &self.shards[slot]
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Effective>> {
        let generation = self.generation.load(Ordering::Acquire);
        let shard = self.shard(id).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(id).filter(|cached| cached.generation == generation).map(|cached| Arc::clone(&cached.effective))
    }

    /// To be called under a lock of the index.
    pub(super) fn put(&self, id: &str, effective: &Arc<Effective>) {
        let generation = self.generation.load(Ordering::Acquire);
        let mut shard = self.shard(id).write().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= PER_SHARD && !shard.contains_key(id) {
            shard.clear();
        }
        shard.insert(id.to_owned(), Cached { generation, effective: Arc::clone(effective) });
    }

    /// To be called under the write lock of the index.
    pub(super) fn forget(&self, id: &str) {
        self.shard(id).write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// To be called under the write lock of the index.
    pub(super) fn forget_all(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}
