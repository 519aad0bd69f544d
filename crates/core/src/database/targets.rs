//! Targets by name, for rotations of secrets: a target is a connection of the mount `database/`, or of another one if the
//! name says so (`mount/connection`). Its `allowed_roles` must allow the principals, as they must allow a role: without any,
//! it is for no rotation.

use std::sync::{Arc, Weak};

use super::{Area, Connection, Database, DatabaseError, Place, is_name, pools::Using};
use crate::{
    mount::{Engine, Mounts},
    rotation::{ConnectionError, Connections, Opened},
    storage::BoxFuture,
    target::TargetError,
};

/// The mount of a name that says none.
const MOUNT: &str = "database";

/// The connections of all database mounts, by name.
pub(crate) struct NamedTargets {
    /// Which has the rotations that have this.
    database: Weak<Database>,
    mounts: Arc<Mounts>,
}

impl NamedTargets {
    pub(crate) fn new(database: &Arc<Database>, mounts: Arc<Mounts>) -> Self {
        Self { database: Arc::downgrade(database), mounts }
    }

    async fn connection(&self, mount: &str, name: &str) -> Result<(Connection, Using), ConnectionError> {
        let ended = || ConnectionError::Target(TargetError::Unreachable("the server is about to end".to_owned()));
        let database = self.database.upgrade().ok_or_else(ended)?;
        let place = Place { mount: mount.to_owned(), area: Area::Config, name: name.to_owned() };
        database.open(&place).await.map_err(|error| match error {
            DatabaseError::NoConnection(_) => ConnectionError::Missing(name.to_owned()),
            DatabaseError::Target(error) => error.into(),
            DatabaseError::Store(error) => error.into(),
            error => ConnectionError::Refused(error.to_string()),
        })
    }
}

impl Connections for NamedTargets {
    fn open<'a>(&'a self, name: &'a str, principals: &'a [String]) -> BoxFuture<'a, Result<Opened, ConnectionError>> {
        Box::pin(async move {
            let missing = || ConnectionError::Missing(name.to_owned());
            let (mount, named) = name.rsplit_once('/').unwrap_or((MOUNT, name));
            let mount = self.mounts.at(&format!("{mount}/")).ok_or_else(missing)?;
            if mount.engine != Engine::Database || !is_name(named) {
                return Err(missing());
            }
            let opened = self.connection(&mount.uuid, named).await;
            let (connection, using) = opened.map_err(|error| match error {
                ConnectionError::Missing(_) => missing(),
                error => error,
            })?;
            match principals.iter().find(|principal| !connection.allows(principal)) {
                Some(principal) => Err(ConnectionError::Refused(format!(
                    "its allowed_roles do not allow {principal:?}: write allowed_roles with that name, a pattern, or * for \
                     all, to {}config/{}",
                    mount.path, named
                ))),
                None => Ok(using.into_opened()),
            }
        })
    }

    fn open_for_role<'a>(
        &'a self,
        mount: &'a str,
        connection: &'a str,
        role: &'a str,
    ) -> BoxFuture<'a, Result<Opened, ConnectionError>> {
        Box::pin(async move {
            let (connection, using) = self.connection(mount, connection).await?;
            if !connection.allows(role) {
                return Err(ConnectionError::Refused(DatabaseError::NotAllowed(role.to_owned()).to_string()));
            }
            Ok(using.into_opened().with_policy(connection.password_policy))
        })
    }
}
