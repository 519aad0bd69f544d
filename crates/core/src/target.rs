//! Targets: the systems where credentials are valid, and what is done there.
//!
//! Core says whom to create, change and remove, and judges the outcome; the implementations, one per engine, are in
//! `keyturn-targets`. Each call may be repeated after a crash: what is already as it should be is no error.

use std::sync::Arc;

use crate::{clock::Timestamp, secret::SecretString, storage::BoxFuture};

/// The engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetKind {
    /// PostgreSQL.
    Postgresql,
    /// MySQL and MariaDB, which are told apart once connected.
    Mysql,
    /// Redis 6 and later, by its access control lists.
    Redis,
}

impl TargetKind {
    /// Every engine.
    pub const ALL: [Self; 3] = [Self::Postgresql, Self::Mysql, Self::Redis];

    /// The name in configuration and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
        }
    }
}

/// How a target is reached, and as whom it is administered.
#[derive(Debug, Clone)]
pub struct Access {
    /// The engine.
    pub kind: TargetKind,
    /// Where it is, as the engine's own clients write it: `postgresql://host:port/db?sslmode=…`, `tcp(host:port)/` or
    /// `mysql://host:port/`, `redis://host:port`. Secret, for it may hold a password. `{{username}}` and `{{password}}`
    /// in it stand for the fields below.
    pub url: SecretString,
    /// The administrator.
    pub username: String,
    /// The administrator's password.
    pub password: SecretString,
    /// How the connection is protected.
    pub tls: Tls,
    /// Connections that are open at most; 0: the engine's default.
    pub max_open_connections: u32,
    /// Connections kept while nothing is asked; 0: the engine's default.
    pub max_idle_connections: u32,
    /// Seconds after which a connection is replaced; 0: never.
    pub max_connection_lifetime: u64,
    /// Seconds that one call may take, connecting included; 0: the engine's default.
    pub timeout: u64,
    /// How passwords are written into statements.
    pub password_authentication: PasswordAuthentication,
}

/// How a password stands in the statements that set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PasswordAuthentication {
    /// As it is.
    #[default]
    Password,
    /// As a SCRAM-SHA-256 verifier, so that a log of the target's statements does not hold it. PostgreSQL only.
    ScramSha256,
}

impl PasswordAuthentication {
    /// The name in configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::ScramSha256 => "scram-sha-256",
        }
    }
}

/// What statements are for, which decides the placeholders that have a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// [`Target::create`]: `{{name}}`, `{{username}}`, `{{password}}`, `{{expiration}}`.
    Create,
    /// [`Target::renew`]: `{{name}}`, `{{username}}`, `{{expiration}}`.
    Renew,
    /// [`Target::set_password`]: `{{name}}`, `{{username}}`, `{{password}}`, and `{{expiration}}` if it has one.
    SetPassword,
    /// [`Target::revoke`]: `{{name}}`, `{{username}}`.
    Revoke,
}

/// How the connection to a target is protected.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Whether TLS is required; without it, the URL decides.
    pub required: bool,
    /// The certificates that the target's must lead back to, in PEM; empty: the system's.
    pub ca_pem: String,
    /// A certificate to show, in PEM.
    pub certificate_pem: String,
    /// Its key, in PEM.
    pub key_pem: SecretString,
    /// The name that the target's certificate must carry; empty: the URL's host.
    pub server_name: String,
    /// Whether any certificate is taken.
    pub insecure: bool,
}

/// A credential to be made or changed.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The name that logs in.
    pub username: String,
    /// Its password.
    pub password: SecretString,
    /// When it ends, for engines that can refuse a login by themselves from then on.
    pub expires: Option<Timestamp>,
}

/// What is to be executed, in the engine's language; `{{name}}`, `{{username}}`, `{{password}}` and `{{expiration}}`
/// stand for the principal's. None: the engine's default.
pub type Statements = [String];

/// A connection that is logged in at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// As whom.
    pub username: String,
    /// The engine's own id of it.
    pub id: String,
    /// The client's address; empty: not told.
    pub remote: String,
    /// What the client calls itself; empty: not told.
    pub application: String,
    /// Since when, if the engine tells.
    pub since: Option<Timestamp>,
}

/// How a login went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Login {
    /// It is let in.
    Accepted,
    /// The target answers that name or password is wrong, or that it may not log in.
    Refused,
}

/// A call failed. The texts hold no secret: an engine's answer is given only as far as it cannot repeat a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The settings make no sense; trying again will not help.
    #[error("{0}")]
    Settings(String),
    /// It cannot be reached, or the connection was lost: what was asked may or may not have been done.
    #[error("target is not reachable: {0}")]
    Unreachable(String),
    /// It did not answer in time: what was asked may or may not have been done.
    #[error("target did not answer within {0} seconds")]
    TimedOut(u64),
    /// The administrator's credential is refused.
    #[error("target refuses the administrator's credential: {0}")]
    Denied(String),
    /// A statement failed; nothing of its transaction was done, where the engine has transactions.
    #[error("statement {number} failed: {reason}")]
    Statement {
        /// Which, from 1.
        number: usize,
        /// The engine's code and message.
        reason: String,
    },
    /// The engine cannot do this.
    #[error("{0}")]
    Unsupported(String),
}

impl TargetError {
    /// Whether the same call may succeed later without anybody changing settings.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::TimedOut(_) | Self::Statement { .. })
    }

    /// Whether the call may have done what it was asked, now or a moment later.
    #[must_use]
    pub fn leaves_doubt(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::TimedOut(_))
    }
}

/// What a call gives.
pub type Outcome<'a, T> = BoxFuture<'a, Result<T, TargetError>>;

/// One target, open for administration.
pub trait Target: Send + Sync {
    /// Asks whether it answers and lets the administrator in.
    fn ping(&self) -> Outcome<'_, ()>;

    /// Makes a principal. One that is there already, from a call before that did not hear the outcome, is given the
    /// password and what the statements grant.
    ///
    /// # Errors
    /// [`TargetError::Settings`] if the engine has no default and there are no statements.
    fn create<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()>;

    /// Gives a principal another end.
    fn renew<'a>(&'a self, username: &'a str, expires: Timestamp, statements: &'a Statements) -> Outcome<'a, ()>;

    /// Gives a principal another password, in place of those that it had. One that was disabled is let in again.
    fn set_password<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()>;

    /// Gives a principal a further password and keeps the one that it had: the credential before stays good.
    ///
    /// # Errors
    /// [`TargetError::Unsupported`] where [`Target::can_keep_two_passwords`] is false.
    fn add_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()>;

    /// Takes from a principal every password but this one.
    ///
    /// # Errors
    /// [`TargetError::Unsupported`] where [`Target::can_keep_two_passwords`] is false.
    fn keep_only_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()>;

    /// Whether a principal can have two passwords that are good at once. Asks the target, for it may depend on its
    /// version.
    fn can_keep_two_passwords(&self) -> Outcome<'_, bool>;

    /// Makes a principal that is a member of `owner_role` and owns nothing itself: what it makes belongs to the role. One
    /// that is there already, from a call before that did not hear the outcome, is given the password and the role.
    fn create_member<'a>(&'a self, principal: &'a Principal, owner_role: &'a str) -> Outcome<'a, ()>;

    /// Ends a principal's sessions and removes it. One that is not there is no error.
    fn revoke<'a>(&'a self, username: &'a str, statements: &'a Statements) -> Outcome<'a, ()>;

    /// Keeps a principal but refuses it: no password of it is good any more, its sessions are ended.
    fn disable<'a>(&'a self, username: &'a str) -> Outcome<'a, ()>;

    /// Tries a login over a connection of its own.
    fn log_in<'a>(&'a self, username: &'a str, password: &'a SecretString) -> Outcome<'a, Login>;

    /// Which of `usernames` exist.
    fn existing<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<String>>;

    /// Who is connected right now as one of `usernames`. An administrator who would not see everybody's sessions gets
    /// an error, not a list that lacks some.
    fn sessions<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<Session>>;
}

/// What opens targets.
pub trait Targets: Send + Sync {
    /// Prepares a target. Connections are made when they are needed, and end when the last handle is dropped.
    ///
    /// # Errors
    /// When the settings make no sense.
    fn open(&self, access: Access) -> Result<Arc<dyn Target>, TargetError>;

    /// Looks at statements before they are kept: whether a value can be put safely wherever one of them names it.
    ///
    /// # Errors
    /// [`TargetError::Settings`], which names the statement.
    fn check(&self, kind: TargetKind, purpose: Purpose, statements: &Statements) -> Result<(), TargetError>;
}
