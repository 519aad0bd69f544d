//! Credentials on demand: a user that is made for who asks, and lives as long as its lease.
//!
//! ```text
//! name and password made -> lease begun (the intent) -> user made -> lease confirmed -> handed out
//!                                    |                     |  no: the lease is given up
//!                                    +------- a crash -----+  the lease is not confirmed in time: the user is revoked
//! ```

use serde::{Deserialize, Serialize};

use super::{Area, Connection, Database, DatabaseError, Place, Role, pools::Using, username::Naming};
use crate::{
    clock::{self, Timestamp},
    door::Permit,
    lease::{Lease, NewLease, Pending, Undone},
    secret::SecretString,
    store::StoreError,
    target::{Principal, TargetError},
};

/// Seconds that the database lets a user in beyond the end of its lease: its clock may be another.
pub(super) const GRACE_SECONDS: u64 = 5;

/// What a lease keeps of its credential: enough to revoke it when the role is gone.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Leased {
    pub(super) username: String,
    pub(super) role: String,
    pub(super) db_name: String,
    pub(super) revocation_statements: Vec<String>,
    /// The dynamic secret of a config that it was issued for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) via: String,
}

/// What the credential is wanted for.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    /// Seconds that it is to live; 0: as the role says.
    pub(super) ttl: u64,
    /// The dynamic secret.
    pub(super) via: &'a str,
}

/// A credential that is handed out.
#[derive(Debug)]
pub struct IssuedCredential {
    /// Its name.
    pub username: String,
    /// Its password.
    pub password: SecretString,
    /// Its lease.
    pub lease: Lease,
}

impl Database {
    /// Makes a credential for the caller.
    ///
    /// # Errors
    /// When there is no such role, its connection does not let it, or the database does not make the user; nothing is
    /// left behind then.
    pub async fn issue(&self, permit: Permit) -> Result<IssuedCredential, DatabaseError> {
        self.issue_as(permit, &Wanted::default()).await
    }

    pub(super) async fn issue_as(
        &self,
        permit: Permit,
        wanted: &Wanted<'_>,
    ) -> Result<IssuedCredential, DatabaseError> {
        let place = Place::of(&permit, "creds/", Area::Role)?;
        let role = self.store.read::<Role>(&place.key()).await?;
        let role = role.ok_or_else(|| DatabaseError::NoRole(place.name.clone()))?.value;
        let (connection, target) = self.open(&place.connection(&role.db_name)).await?;
        if !connection.allows(&place.name) {
            return Err(DatabaseError::NotAllowed(place.name));
        }
        let display_name = permit.caller().map(|caller| caller.entry().display_name.clone()).unwrap_or_default();
        let username = self.username(&connection, &display_name, &place.name)?;
        let password = self.password([&role.password_policy, &connection.password_policy]).await?;
        if !connection.username_template.is_empty() {
            self.refuse_existing(&target, &username).await?;
        }
        let pending = self.leases.begin(&permit, intent(&place, &role, &username, wanted)?).await?;
        permit.spend();
        let principal = Principal { username, password, expires: Some(clock::after(pending.expires(), GRACE_SECONDS)) };
        match target.create(&principal, &role.creation_statements).await {
            Ok(()) => {
                let mut lease = self.leases.confirm(pending).await?;
                // What was granted, not what is left of it after the database took its time.
                lease.ttl = lease.expires.map_or(lease.ttl, |end| clock::seconds_until(lease.issued, end));
                Ok(IssuedCredential { username: principal.username, password: principal.password, lease })
            }
            Err(error) => Err(self.give_up(pending, &role, &target, &principal.username, error).await?),
        }
    }

    fn username(&self, connection: &Connection, display: &str, role: &str) -> Result<String, DatabaseError> {
        let failed = |reason: String| DatabaseError::Username(reason);
        let now: Timestamp = self.store.now();
        let naming = Naming { display_name: display, role_name: role, now, random: &self.store.random };
        let template = connection.template().map_err(|error| failed(error.to_string()))?;
        let name = template.name(&naming).map_err(|error| failed(error.to_string()))?;
        let (length, most) = (name.len(), connection.plugin.max_username());
        if length > most {
            return Err(failed(format!(
                "the name has {length} bytes and {} takes {most}: use truncate in username_template",
                connection.plugin.kind().name()
            )));
        }
        Ok(name)
    }

    /// A name that a template of somebody's own makes may be one that is there already: it must not be taken for one of
    /// ours, which would be dropped with its lease.
    async fn refuse_existing(&self, target: &Using, username: &str) -> Result<(), DatabaseError> {
        let names = [username.to_owned()];
        if target.existing(&names).await?.is_empty() {
            return Ok(());
        }
        Err(DatabaseError::Username(format!("a user {username:?} exists already: use random in username_template")))
    }

    /// Undoes what may have been done, and tells why.
    async fn give_up(
        &self,
        pending: Pending,
        role: &Role,
        target: &Using,
        username: &str,
        error: TargetError,
    ) -> Result<DatabaseError, StoreError> {
        let undone = if error.leaves_doubt() {
            Undone::Perhaps
        } else if !matches!(error, TargetError::Statement { .. }) {
            Undone::Nothing
        } else {
            // Engines without transactions may have done a part.
            let statements = match role.rollback_statements.as_slice() {
                [] => &role.revocation_statements,
                statements => statements,
            };
            match target.revoke(username, statements).await {
                Ok(()) => Undone::Nothing,
                Err(_) => Undone::Perhaps,
            }
        };
        self.leases.abandon(pending, undone).await?;
        Ok(error.into())
    }
}

fn intent(place: &Place, role: &Role, username: &str, wanted: &Wanted<'_>) -> Result<NewLease, DatabaseError> {
    let leased = Leased {
        username: username.to_owned(),
        role: place.name.clone(),
        db_name: role.db_name.clone(),
        revocation_statements: role.revocation_statements.clone(),
        via: wanted.via.to_owned(),
    };
    let data = serde_json::to_string(&leased).map_err(|error| DatabaseError::Invalid(error.to_string()))?;
    Ok(NewLease {
        role: place.name.clone(),
        target: format!("{}/{}", place.mount, role.db_name),
        data,
        ttl: if wanted.ttl == 0 { role.default_ttl } else { wanted.ttl },
        max_ttl: role.max_ttl,
        renewable: true,
    })
}
