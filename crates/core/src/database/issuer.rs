//! What becomes of credentials when their leases are renewed or end.

use std::sync::{Arc, Weak};

use super::{
    Area, Database, DatabaseError, Place, Role,
    creds::{GRACE_SECONDS, Leased},
};
use crate::{
    clock::{self, Timestamp},
    lease::{Issuer, IssuerError, LeaseRecord, Terms},
    storage::BoxFuture,
    target::TargetError,
};

/// Answers for the credentials of all database mounts.
pub(super) struct Credentials(pub(super) Weak<Database>);

impl Issuer for Credentials {
    fn revoke<'a>(&'a self, lease: &'a LeaseRecord) -> BoxFuture<'a, Result<(), IssuerError>> {
        Box::pin(async move {
            let (database, leased) = (self.database()?, read(lease)?);
            let role = database.role_of(lease, &leased).await.map_err(told)?;
            // As with Vault, the role's statements as they are now; what the lease has of them serves when it is gone.
            let (db_name, statements) = match &role {
                Some(role) => (&role.db_name, &role.revocation_statements),
                None => (&leased.db_name, &leased.revocation_statements),
            };
            let (_, target) = database.open(&connection(lease, db_name)).await.map_err(told)?;
            target.revoke(&leased.username, statements).await.map_err(|error| told(error.into()))
        })
    }

    fn terms<'a>(&'a self, lease: &'a LeaseRecord) -> BoxFuture<'a, Result<Terms, IssuerError>> {
        Box::pin(async move {
            let (database, leased) = (self.database()?, read(lease)?);
            let role = database.role_to_renew(lease, &leased).await?;
            Ok(Terms { ttl: role.default_ttl, max_ttl: role.max_ttl })
        })
    }

    fn renew<'a>(&'a self, lease: &'a LeaseRecord, until: Timestamp) -> BoxFuture<'a, Result<(), IssuerError>> {
        Box::pin(async move {
            let (database, leased) = (self.database()?, read(lease)?);
            let role = database.role_to_renew(lease, &leased).await?;
            let (_, target) = database.open(&connection(lease, &role.db_name)).await.map_err(told)?;
            let until = clock::after(until, GRACE_SECONDS);
            let renewed = target.renew(&leased.username, until, &role.renew_statements).await;
            renewed.map_err(|error| told(error.into()))
        })
    }
}

impl Credentials {
    fn database(&self) -> Result<Arc<Database>, IssuerError> {
        self.0.upgrade().ok_or_else(|| IssuerError::Failed("the store is being sealed".to_owned()))
    }
}

impl Database {
    async fn role_of(&self, lease: &LeaseRecord, leased: &Leased) -> Result<Option<Role>, DatabaseError> {
        let place = Place { mount: lease.mount.clone(), area: Area::Role, name: leased.role.clone() };
        Ok(self.store.read(&place.key()).await?.map(|seen| seen.value))
    }

    async fn role_to_renew(&self, lease: &LeaseRecord, leased: &Leased) -> Result<Role, IssuerError> {
        let gone =
            || IssuerError::Hopeless(format!("error during renew: could not find role with name {:?}", leased.role));
        self.role_of(lease, leased).await.map_err(told)?.ok_or_else(gone)
    }
}

fn connection(lease: &LeaseRecord, name: &str) -> Place {
    Place { mount: lease.mount.clone(), area: Area::Config, name: name.to_owned() }
}

fn read(lease: &LeaseRecord) -> Result<Leased, IssuerError> {
    serde_json::from_str(&lease.data)
        .map_err(|_| IssuerError::Hopeless("what is stored of the credential cannot be read".to_owned()))
}

/// An administrator that is refused holds up all leases there, as a database that is not reached does.
fn told(error: DatabaseError) -> IssuerError {
    let text = error.to_string();
    match error {
        DatabaseError::Target(TargetError::Unreachable(_) | TargetError::TimedOut(_) | TargetError::Denied(_)) => {
            IssuerError::Unreachable(text)
        }
        DatabaseError::NoConnection(_)
        | DatabaseError::Target(TargetError::Settings(_) | TargetError::Unsupported(_)) => IssuerError::Hopeless(text),
        _ => IssuerError::Failed(text),
    }
}
