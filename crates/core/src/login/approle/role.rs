//! Roles: what a login needs and which token it gets.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{AppRole, AppRoleError, MAX_ID_LEN, Place, mount_of};
use crate::{
    barrier::Batch,
    door::Permit,
    keys,
    login::{Terms, TokenSettings},
    mount::Mount,
    storage::{Commit, Revision},
    store::{Seen, Store, StoreError},
    token::{Entry, TokenError},
};

/// A role. Durations in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    pub(super) name: String,
    /// Names its secret ids; another role of the same name has another.
    pub(super) series: String,
    /// Which role is meant at login; unique in the mount.
    pub role_id: String,
    /// Whether a login needs a secret id.
    pub bind_secret_id: bool,
    /// Where logins may come from; empty: anywhere.
    pub secret_id_bound_cidrs: Vec<IpNet>,
    /// Logins that a new secret id is good for; 0: unlimited.
    pub secret_id_num_uses: u64,
    /// How long a new secret id lives; 0: for ever.
    pub secret_id_ttl: u64,
    /// Kept for clients; cannot change once the role is there.
    pub local_secret_ids: bool,
    /// Its tokens.
    pub token: TokenSettings,
}

impl Role {
    /// A role as Vault makes one when only its name is given.
    pub(super) fn new(name: &str, series: String, role_id: String) -> Self {
        Self {
            name: name.to_owned(),
            series,
            role_id,
            bind_secret_id: true,
            secret_id_bound_cidrs: Vec::new(),
            secret_id_num_uses: 0,
            secret_id_ttl: 0,
            local_secret_ids: false,
            token: TokenSettings::default(),
        }
    }

    fn check(&self, before: Option<&Self>) -> Result<(), AppRoleError> {
        let invalid = |text: &str| Err(AppRoleError::Invalid(text.to_owned()));
        if self.role_id.is_empty() || self.role_id.len() > MAX_ID_LEN || self.role_id.trim() != self.role_id {
            return invalid("invalid role_id supplied: it must be 1 to 1024 bytes without white space at its ends");
        }
        if before.is_some_and(|before| before.local_secret_ids != self.local_secret_ids) {
            return invalid("local_secret_ids can only be modified during role creation");
        }
        if !self.bind_secret_id && self.secret_id_bound_cidrs.is_empty() && self.token.bound_cidrs.is_empty() {
            return invalid("at least one constraint should be enabled on the role");
        }
        Ok(self.token.check()?)
    }
}

impl AppRole {
    /// The names of all roles of the mount.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_roles(&self, permit: Permit) -> Result<Vec<String>, AppRoleError> {
        let mount = mount_of(&permit)?;
        permit.spend();
        Ok(self.store.names(&keys::approle_roles(&mount.uuid)).await?)
    }

    /// Reads the role.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn read_role(&self, permit: Permit) -> Result<Option<Role>, AppRoleError> {
        let place = Place::of(&permit)?;
        permit.spend();
        Ok(self.find(&place).await?.map(|seen| seen.value))
    }

    /// Replaces the role, or a new one, by what `change` makes of it; answers what there is to say about it.
    ///
    /// # Errors
    /// When the outcome contradicts itself, its role id is another role's, or `change` fails.
    pub async fn write_role<E: From<AppRoleError>>(
        &self,
        permit: Permit,
        change: impl FnOnce(&mut Role) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let place = Place::of(&permit)?;
        permit.spend();
        let _lock = self.store.lock(&place.key()).await;
        match self.find(&place).await.map_err(AppRoleError::from)? {
            Some(seen) => self.replace(&place, seen, change).await,
            None => {
                let random = &self.store.random;
                let uuid = || random.uuid().map(|uuid| uuid.to_string()).map_err(AppRoleError::from);
                let mut role = Role::new(&place.name, uuid()?, uuid()?);
                change(&mut role)?;
                Ok(self.put_role(&place, None, role).await?)
            }
        }
    }

    /// Replaces the role by what `change` makes of it.
    ///
    /// # Errors
    /// [`AppRoleError::NoRole`] when it is not there; otherwise as [`AppRole::write_role`].
    pub async fn change_role<E: From<AppRoleError>>(
        &self,
        permit: Permit,
        change: impl FnOnce(&mut Role) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let place = Place::of(&permit)?;
        permit.spend();
        let _lock = self.store.lock(&place.key()).await;
        let seen = self.require(&place).await?;
        self.replace(&place, seen, change).await
    }

    /// Removes the role, its role id and its secret ids. Tokens it issued stay, but can no longer be renewed.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn delete_role(&self, permit: Permit) -> Result<(), AppRoleError> {
        let place = Place::of(&permit)?;
        permit.spend();
        let key = place.key();
        let _lock = self.store.lock(&key).await;
        let Some(seen) = self.find(&place).await? else { return Ok(()) };
        let role = seen.value;
        // The role goes first: from then on nobody logs in with its secret ids or makes new ones.
        let batch = Batch::new()
            .expect(key.clone(), Some(seen.revision))
            .delete(key)
            .delete(self.role_id_key(&place.mount, &role.role_id));
        self.store.apply(batch).await?;
        Ok(self.remove_series(&place.mount.uuid, &role.series).await?)
    }

    pub(super) async fn remove_series(&self, mount: &str, series: &str) -> Result<(), StoreError> {
        self.store.delete_below(&keys::approle_secret_ids(mount, series)).await?;
        self.store.delete_below(&keys::approle_accessors(mount, series)).await
    }

    async fn replace<E: From<AppRoleError>>(
        &self,
        place: &Place,
        seen: Seen<Role>,
        change: impl FnOnce(&mut Role) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let mut role = seen.value.clone();
        change(&mut role)?;
        Ok(self.put_role(place, Some((seen.revision, seen.value)), role).await?)
    }

    async fn put_role(
        &self,
        place: &Place,
        before: Option<(Revision, Role)>,
        role: Role,
    ) -> Result<Vec<String>, AppRoleError> {
        role.check(before.as_ref().map(|(_, role)| role))?;
        let key = place.key();
        let revision = before.as_ref().map(|(revision, _)| *revision);
        let index = self.role_id_key(&place.mount, &role.role_id);
        let mut batch = Batch::new().expect(key.clone(), revision).put(key, Store::encode(&role)?);
        let old_id = before.map(|(_, before)| before.role_id);
        if old_id.as_deref() != Some(role.role_id.as_str()) {
            batch = batch.expect(index.clone(), None).put(index.clone(), Store::encode(&place.name)?);
            if let Some(old) = old_id {
                batch = batch.delete(self.role_id_key(&place.mount, &old));
            }
        }
        match self.store.commit(batch).await? {
            Commit::Committed(_) => Ok(warnings(&role, &place.mount)),
            Commit::Conflict(taken) if taken == index => Err(AppRoleError::RoleIdTaken),
            Commit::Conflict(_) => Err(StoreError::Contended.into()),
        }
    }
}

fn warnings(role: &Role, mount: &Mount) -> Vec<String> {
    let text = "token_max_ttl is greater than the backend mount's maximum TTL value; issued tokens' max TTL value \
                will be truncated";
    (role.token.max_ttl > mount.max_lease_ttl()).then(|| text.to_owned()).into_iter().collect()
}

/// The terms of a token that a login with a role got.
pub(in crate::login) async fn terms(store: &Store, mount: &Mount, entry: &Entry) -> Result<Terms, TokenError> {
    let name = entry.meta.get(super::login::ROLE_NAME).map_or("", String::as_str);
    let found = store.read::<Role>(&keys::approle_role(&mount.uuid, name)).await?;
    let gone = || TokenError::Invalid(format!("role {name:?} does not exist during renewal"));
    Ok(Terms::from(&found.ok_or_else(gone)?.value.token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role() -> Role {
        Role::new("web", "series".into(), "id".into())
    }

    #[test]
    fn a_role_needs_a_constraint_and_a_usable_id() {
        assert!(role().check(None).is_ok());
        let open = Role { bind_secret_id: false, ..role() };
        assert!(open.check(None).expect_err("open").to_string().contains("at least one constraint"));
        let net: IpNet = "10.0.0.0/8".parse().expect("a network");
        assert!(Role { secret_id_bound_cidrs: vec![net], ..open.clone() }.check(None).is_ok());
        let bound = TokenSettings { bound_cidrs: vec![net], ..TokenSettings::default() };
        assert!(Role { token: bound, ..open }.check(None).is_ok());
        for unfit in ["", " a", "a\n", &"x".repeat(1025)] {
            assert!(Role { role_id: unfit.to_owned(), ..role() }.check(None).is_err(), "{unfit:?}");
        }
    }

    #[test]
    fn local_secret_ids_are_decided_when_the_role_is_made() {
        let local = Role { local_secret_ids: true, ..role() };
        assert!(local.check(None).is_ok() && local.check(Some(&local)).is_ok());
        assert!(local.check(Some(&role())).is_err());
    }
}
