//! Roles: what a credential may do, and for how long.

use serde::{Deserialize, Serialize};

use super::{Area, Connection, Database, DatabaseError, Place, mount_of};
use crate::{barrier::Batch, door::Permit, store::Store, target::Purpose};

/// A role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// The connection.
    pub db_name: String,
    /// Seconds that a credential lives; 0: as the mount says.
    pub default_ttl: u64,
    /// Its longest life, renewals included; 0: as the mount says.
    pub max_ttl: u64,
    /// What makes a user.
    pub creation_statements: Vec<String>,
    /// What removes it; empty: the engine's way.
    pub revocation_statements: Vec<String>,
    /// What undoes an attempt to make one that failed; empty: as it is removed.
    pub rollback_statements: Vec<String>,
    /// What gives it another end; empty: the engine's way.
    pub renew_statements: Vec<String>,
    /// How passwords are made; empty: as the connection says.
    pub password_policy: String,
}

impl Role {
    fn check(&self) -> Result<(), DatabaseError> {
        match self.db_name.as_str() {
            "" => Err(DatabaseError::Invalid("database name is required".to_owned())),
            _ => Ok(()),
        }
    }
}

impl Database {
    /// The names of all roles of the mount.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_roles(&self, permit: Permit) -> Result<Vec<String>, DatabaseError> {
        self.list(permit, Area::Role).await
    }

    pub(super) async fn list(&self, permit: Permit, area: Area) -> Result<Vec<String>, DatabaseError> {
        let mount = mount_of(&permit)?;
        permit.spend();
        Ok(self.store.names(&area.key(&mount.uuid, "")).await?)
    }

    /// Reads the role.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn read_role(&self, permit: Permit) -> Result<Option<Role>, DatabaseError> {
        let place = Place::of(&permit, "roles/", Area::Role)?;
        permit.spend();
        Ok(self.store.read(&place.key()).await?.map(|seen| seen.value))
    }

    /// Replaces the role, or a new one, by what `change` makes of it.
    ///
    /// # Errors
    /// When the outcome contradicts itself, a static role has the name, or `change` fails.
    pub async fn write_role<E: From<DatabaseError>>(
        &self,
        permit: Permit,
        change: impl FnOnce(&mut Role) -> Result<(), E>,
    ) -> Result<(), E> {
        let place = Place::of(&permit, "roles/", Area::Role)?;
        let key = place.key();
        let _lock = self.store.lock(&key).await;
        let found = self.store.read::<Role>(&key).await.map_err(DatabaseError::from)?;
        if !permit.still_fits(found.is_some()) {
            return Err(DatabaseError::Denied.into());
        }
        permit.spend();
        let (revision, mut role) = found.map_or((None, Role::default()), |seen| (Some(seen.revision), seen.value));
        change(&mut role)?;
        role.check()?;
        self.check_role_statements(&place, &role).await?;
        let text = Store::encode(&role).map_err(DatabaseError::from)?;
        // The other kind of role must not have the name, nor get it meanwhile.
        let batch = Batch::new().expect(key.clone(), revision).put(key, text);
        self.apply_unless_taken(batch.expect(Area::StaticRole.key(&place.mount, &place.name), None)).await?;
        Ok(())
    }

    /// A role may be written before its connection is: then they are looked at when they are used.
    async fn check_role_statements(&self, place: &Place, role: &Role) -> Result<(), DatabaseError> {
        let connection = self.store.read::<Connection>(&place.connection(&role.db_name).key()).await?;
        let Some(connection) = connection else { return Ok(()) };
        let all = [
            (Purpose::Create, role.creation_statements.as_slice()),
            (Purpose::Revoke, &role.revocation_statements),
            (Purpose::Revoke, &role.rollback_statements),
            (Purpose::Renew, &role.renew_statements),
        ];
        self.check_statements(connection.value.plugin.kind(), &all)
    }

    /// Commits what makes or changes a role; a conflict means that a role of the other kind has its name.
    pub(super) async fn apply_unless_taken(&self, batch: Batch) -> Result<(), DatabaseError> {
        match self.store.apply(batch).await {
            Err(crate::store::StoreError::Contended) => {
                Err(DatabaseError::Invalid("Role and Static Role names must be unique".to_owned()))
            }
            outcome => Ok(outcome?),
        }
    }

    /// Removes the role. Credentials that it issued end as they would have.
    ///
    /// # Errors
    /// When the name is unfit or the store fails.
    pub async fn delete_role(&self, permit: Permit) -> Result<(), DatabaseError> {
        let place = Place::of(&permit, "roles/", Area::Role)?;
        permit.spend();
        Ok(self.store.delete(place.key()).await?)
    }
}
