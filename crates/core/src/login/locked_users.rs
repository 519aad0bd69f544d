//! Who is locked out, for operators.

use std::{collections::BTreeMap, sync::Arc};

use crate::{core::Core, door::Permit, mount::Mount};

/// The names that are locked out of one auth method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedUsers {
    /// The method's accessor.
    pub mount_accessor: String,
    /// Users, or role ids of `AppRole`; sorted.
    pub names: Vec<String>,
}

impl Core {
    /// Who is locked out of which method, those with the most names first. `accessor`: of this method alone.
    #[must_use]
    pub fn locked_users(&self, permit: Permit, accessor: Option<&str>) -> Vec<LockedUsers> {
        permit.spend();
        let mounts: Vec<Arc<Mount>> = self
            .mounts()
            .all()
            .into_iter()
            .filter(|mount| accessor.is_none_or(|accessor| mount.accessor == accessor))
            .collect();
        let mut by_mount: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for lockouts in self.logins().lockouts() {
            for (accessor, name) in lockouts.locked(&mounts) {
                by_mount.entry(accessor).or_default().push(name);
            }
        }
        let told = |(mount_accessor, names)| LockedUsers { mount_accessor, names };
        let mut locked: Vec<LockedUsers> = by_mount.into_iter().map(told).collect();
        locked.sort_by_key(|locked| std::cmp::Reverse(locked.names.len()));
        locked
    }

    /// Lets a name log in again. One that is not locked out is no error, as with Vault.
    pub fn unlock_user(&self, permit: Permit, accessor: &str, name: &str) {
        permit.spend();
        for lockouts in self.logins().lockouts() {
            lockouts.unlock(accessor, name);
            // Names of users are counted in lower case.
            lockouts.unlock(accessor, &name.to_lowercase());
        }
    }
}
