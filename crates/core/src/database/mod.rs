//! The database engine: credentials that are made for whoever asks and taken back when their lease ends, and static
//! roles, whose one password is changed on a schedule.
//!
//! ```text
//! connection   where a database is and as whom it is administered      config/<name>
//! role         what to make there, and for how long                    roles/<name>     -> creds/<name>, leased
//! static role  one user of it, whose password is changed               static-roles/<name> -> static-creds/<name>
//! ```
//!
//! Everything that changes a database is written down before: a credential as a lease that has begun (`creds`), a
//! password beside the one that it is to replace (`candidate` for the administrator's, `static_store` for those of
//! static roles, whose rotations are [`crate::rotation`]'s). What a crash interrupts is found by that, and ended or undone.

mod candidate;
mod connection;
mod conversion;
mod creds;
mod dynamic;
mod issuer;
mod plugin;
mod pools;
mod role;
mod root;
mod static_creds;
mod static_role;
mod static_store;
mod targets;
mod url;
mod username;

use std::sync::Arc;

pub use connection::{Connection, TlsSettings};
pub use creds::IssuedCredential;
pub use dynamic::DynamicLease;
pub use plugin::Plugin;
pub use role::Role;
pub use static_creds::StaticCredential;
pub use static_role::StaticRole;
pub(crate) use static_store::RoleStore;
pub(crate) use targets::NamedTargets;
pub use username::UsernameError;

use crate::{
    door::Permit,
    keys,
    lease::{Leases, NotIssued},
    mount::{Engine, Mount},
    password::{GeneratorError, PasswordPolicies, PasswordPolicyStoreError},
    rotation::Rotations,
    secret::SecretString,
    storage::Key,
    store::{Store, StoreError},
    target::{Purpose, Statements, TargetError, TargetKind, Targets},
};

/// The longest name of a connection or role, in bytes.
const MAX_NAME: usize = 256;

/// An operation on the database engine failed.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The path is none of the engine's.
    #[error("unsupported path")]
    UnsupportedPath,
    /// The policy does not allow it, now that it is known what is there.
    #[error("permission denied")]
    Denied,
    /// The connection's settings make no sense, or its database cannot be reached with them.
    #[error("error creating database object: {0}")]
    Create(String),
    /// The request is not possible; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// There is no such role.
    #[error("unknown role: {0}")]
    NoRole(String),
    /// There is no such static role.
    #[error("no static role found for role name")]
    NoStaticRole,
    /// There is no such connection.
    #[error("failed to find entry for connection with name: {0:?}")]
    NoConnection(String),
    /// The connection does not let the role use it.
    #[error("{0:?} is not an allowed role")]
    NotAllowed(String),
    /// The template of usernames does not give a name that can be used.
    #[error("unable to generate username: {0}")]
    Username(String),
    /// No password could be made.
    #[error("failed to generate password: {0}")]
    Password(String),
    /// The administrator's password could not be changed.
    #[error("unable to rotate root credentials: {0}")]
    Root(String),
    /// The password of a new static role could not be set, so that there is no such role.
    #[error("{0}")]
    Refused(String),
    /// A static role's password could not be changed; it is tried again.
    #[error(
        "unable to finish rotating credentials; retries will continue in the background but it is also safe to retry \
         manually: {0}"
    )]
    Rotation(String),
    /// The database could not be reached, or refused.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no lease for it.
    #[error(transparent)]
    Lease(#[from] NotIssued),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PasswordPolicyStoreError> for DatabaseError {
    fn from(error: PasswordPolicyStoreError) -> Self {
        match error {
            PasswordPolicyStoreError::Store(error) => Self::Store(error),
            error => Self::Password(error.to_string()),
        }
    }
}

impl From<GeneratorError> for DatabaseError {
    fn from(error: GeneratorError) -> Self {
        Self::Password(error.to_string())
    }
}

/// The connections and roles of all database mounts.
pub struct Database {
    store: Arc<Store>,
    leases: Arc<Leases>,
    policies: PasswordPolicies,
    pools: pools::Pools,
    rotations: Rotations,
}

impl Database {
    pub(crate) fn new(
        store: Arc<Store>,
        leases: Arc<Leases>,
        targets: Arc<dyn Targets>,
        rotations: Rotations,
    ) -> Arc<Self> {
        let database = Arc::new(Self {
            policies: PasswordPolicies::new(Arc::clone(&store)),
            store,
            leases: Arc::clone(&leases),
            pools: pools::Pools::new(targets),
            rotations,
        });
        leases.register(Engine::Database, Arc::new(issuer::Credentials(Arc::downgrade(&database))));
        database
    }

    /// Looks at statements before they are kept.
    fn check_statements(&self, kind: TargetKind, all: &[(Purpose, &Statements)]) -> Result<(), DatabaseError> {
        let check =
            |(purpose, statements): &(Purpose, &Statements)| self.pools.targets.check(kind, *purpose, statements);
        all.iter().try_for_each(check).map_err(|error| DatabaseError::Invalid(error.to_string()))
    }

    /// A password by the first policy that is named, or else as Vault makes them.
    async fn password(&self, policies: [&str; 2]) -> Result<SecretString, DatabaseError> {
        let generator = match policies.into_iter().find(|name| !name.is_empty()) {
            Some(name) => self.policies.generator(name).await?,
            None => crate::password::Generator::default(),
        };
        Ok(generator.generate(&self.store.random)?)
    }

    /// Whether a write to this path would change something that is there.
    pub(crate) async fn exists(&self, mount: &Mount, rest: &str) -> Result<bool, StoreError> {
        let area = match rest.split_once('/') {
            Some(("config", name)) => Some((Area::Config, name)),
            Some(("roles", name)) => Some((Area::Role, name)),
            Some(("static-roles", name)) => Some((Area::StaticRole, name)),
            _ => None,
        };
        match area {
            Some((area, name)) if is_name(name) => {
                Ok(self.store.barrier.get(&area.key(&mount.uuid, name)).await?.is_some())
            }
            _ => Ok(true),
        }
    }
}

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    Config,
    Role,
    StaticRole,
}

impl Area {
    /// Where the record of that name lies; without a name, the prefix of all.
    fn key(self, mount: &str, name: &str) -> Key {
        let folder = match self {
            Self::Config => "config",
            Self::Role => "role",
            Self::StaticRole => "static-role",
        };
        keys::database(mount, folder, name)
    }
}

/// Where a record is. Taken from a permit: an operation cannot touch another one than the policy was asked about.
#[derive(Debug, Clone)]
struct Place {
    /// The mount's uuid.
    mount: String,
    area: Area,
    name: String,
}

impl Place {
    /// The record of `area` that the permit's path names after `prefix`.
    fn of(permit: &Permit, prefix: &str, area: Area) -> Result<Self, DatabaseError> {
        let mount = mount_of(permit)?;
        let name = permit.rest().strip_prefix(prefix).filter(|name| is_name(name));
        let name = name.ok_or(DatabaseError::UnsupportedPath)?.to_owned();
        Ok(Self { mount: mount.uuid.clone(), area, name })
    }

    /// The connection of that name, of the same mount.
    fn connection(&self, name: &str) -> Self {
        Self { mount: self.mount.clone(), area: Area::Config, name: name.to_owned() }
    }

    fn key(&self) -> Key {
        self.area.key(&self.mount, &self.name)
    }
}

fn mount_of(permit: &Permit) -> Result<Arc<Mount>, DatabaseError> {
    match permit.mount().engine {
        Engine::Database => Ok(Arc::clone(permit.mount())),
        _ => Err(DatabaseError::UnsupportedPath),
    }
}

/// Letters, digits, `_`, and between them `-` and `.`, as with Vault.
fn is_name(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=MAX_NAME).contains(&name.len())
        && name.chars().all(|c| is_word(c) || c == '-' || c == '.')
        && name.starts_with(is_word)
        && name.ends_with(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words() {
        for name in ["app", "App_2", "a.b-c", "_"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", "a.", "a/b", "a b", "ä", "a\0b", "a\"; DROP ROLE x", &"x".repeat(MAX_NAME + 1)] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
