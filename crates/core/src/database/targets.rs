//! Targets by name, for rotations of secrets: a target is a connection of the mount `database/`, or of another one if the
//! name says so (`mount/connection`). Its `allowed_roles` must allow the principals, as they must allow a role: without any,
//! it is for no rotation.

use std::sync::Arc;

use super::{Area, Database, DatabaseError, Place, is_name};
use crate::{
    mount::{Engine, Mounts},
    rotation::{ConnectionError, Connections, Opened},
    storage::BoxFuture,
};

/// The mount of a name that says none.
const MOUNT: &str = "database";

/// The connections of all database mounts, by name.
pub(crate) struct NamedTargets {
    database: Arc<Database>,
    mounts: Arc<Mounts>,
}

impl NamedTargets {
    pub(crate) fn new(database: Arc<Database>, mounts: Arc<Mounts>) -> Self {
        Self { database, mounts }
    }
}

impl Connections for NamedTargets {
    fn open<'a>(&'a self, name: &'a str, principals: &'a [String]) -> BoxFuture<'a, Result<Opened, ConnectionError>> {
        Box::pin(async move {
            let missing = || ConnectionError::Missing(name.to_owned());
            let (mount, connection) = name.rsplit_once('/').unwrap_or((MOUNT, name));
            let mount = self.mounts.at(&format!("{mount}/")).ok_or_else(missing)?;
            if mount.engine != Engine::Database || !is_name(connection) {
                return Err(missing());
            }
            let place = Place { mount: mount.uuid.clone(), area: Area::Config, name: connection.to_owned() };
            let (connection, using) = self.database.open(&place).await.map_err(|error| match error {
                DatabaseError::NoConnection(_) => missing(),
                DatabaseError::Target(error) => error.into(),
                DatabaseError::Store(error) => error.into(),
                error => ConnectionError::Refused(error.to_string()),
            })?;
            match principals.iter().find(|principal| !connection.allows(principal)) {
                Some(principal) => Err(ConnectionError::Refused(format!(
                    "its allowed_roles do not allow {principal:?}: write allowed_roles with that name, a pattern, or * for \
                     all, to {}config/{}",
                    mount.path, place.name
                ))),
                None => Ok(using.into_opened()),
            }
        })
    }
}
