//! Redis from version 6 on, by its access control lists. One command changes a user whole.
//!
//! Where Redis keeps its users in a file (`aclfile`), each change is saved there at once, so that a restart brings no
//! user back that was revoked. Its main configuration is not rewritten.

mod connection;
mod rules;

use keyturn_core::{
    clock::Timestamp,
    secret::SecretString,
    target::{Access, Login, Outcome, Principal, Session, Statements, Target, TargetError},
};
use redis::{Cmd, FromRedisValue, aio::MultiplexedConnection, cmd};
use zeroize::Zeroizing;

pub(crate) use self::rules::check;
use self::{
    connection::{Connector, is_refusal, of_command},
    rules::rules,
};
use crate::{
    address, check_name, check_principal,
    pool::{Lease, Limits, Pool},
};

const LONGEST_NAME: usize = 512;
/// The user that everybody is before a login, whom Redis does not let be removed.
const DEFAULT_USER: &str = "default";

/// A server of Redis.
pub(crate) struct Redis {
    pool: Pool<Connector>,
}

impl Redis {
    pub(crate) fn open(access: Access) -> Result<Self, TargetError> {
        let limits = Limits::of(&access);
        Ok(Self { pool: Pool::new(Connector::of(&access)?, limits) })
    }

    fn limits(&self) -> Limits {
        self.pool.limits()
    }

    async fn session(&self) -> Result<Lease<MultiplexedConnection>, TargetError> {
        self.pool.get().await
    }

    /// Changes a user that is there.
    async fn change(&self, principal: &Principal, modifiers: &[&str]) -> Result<(), TargetError> {
        check_user(principal)?;
        let mut lease = self.session().await?;
        let outcome = change(&mut lease, principal, modifiers).await;
        lease.settle(outcome)
    }
}

/// What Redis cannot take for a name.
fn check_user_name(name: &str) -> Result<(), TargetError> {
    check_name(name, LONGEST_NAME)?;
    if name.contains(char::is_whitespace) {
        return Err(TargetError::Settings("the user name holds a space, which Redis does not take".to_owned()));
    }
    Ok(())
}

fn check_user(principal: &Principal) -> Result<(), TargetError> {
    check_principal(principal, LONGEST_NAME)?;
    check_user_name(&principal.username)
}

async fn ask<T: FromRedisValue>(connection: &mut MultiplexedConnection, command: &Cmd) -> Result<T, TargetError> {
    command.query_async(connection).await.map_err(|e| of_command(&e, &[]))
}

fn acl(verb: &str) -> Cmd {
    let mut command = cmd("ACL");
    command.arg(verb);
    command
}

/// Keeps the change over a restart, where Redis keeps its users at all.
async fn save(connection: &mut MultiplexedConnection) -> Result<(), TargetError> {
    match acl("SAVE").exec_async(connection).await {
        Err(error) if error.detail().is_some_and(|told| told.contains("not configured to use an ACL file")) => Ok(()),
        outcome => outcome.map_err(|e| of_command(&e, &[])),
    }
}

async fn is_there(connection: &mut MultiplexedConnection, name: &str) -> Result<bool, TargetError> {
    let user: redis::Value = ask(connection, acl("GETUSER").arg(name)).await?;
    Ok(user != redis::Value::Nil)
}

/// `>password`, which adds one.
fn added(password: &SecretString) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(password.len() + 1));
    text.push('>');
    text.push_str(password.expose_secret());
    text
}

async fn set_user(
    connection: &mut MultiplexedConnection,
    principal: &Principal,
    modifiers: &[&str],
    rules: &[String],
) -> Result<(), TargetError> {
    let mut command = acl("SETUSER");
    command.arg(&principal.username).arg(modifiers).arg(added(&principal.password).as_str()).arg(rules);
    command.exec_async(connection).await.map_err(|e| of_command(&e, &[&principal.password]))?;
    save(connection).await
}

/// Changes a user, with its password added after the modifiers.
async fn change(
    connection: &mut MultiplexedConnection,
    principal: &Principal,
    modifiers: &[&str],
) -> Result<(), TargetError> {
    // To set what is not there would make it.
    if !is_there(connection, &principal.username).await? {
        return Err(absent());
    }
    set_user(connection, principal, modifiers, &[]).await
}

fn absent() -> TargetError {
    TargetError::Statement { number: 1, reason: "there is no such user".to_owned() }
}

/// Refuses what would lock the administrator out.
async fn check_other(connection: &mut MultiplexedConnection, name: &str) -> Result<(), TargetError> {
    let own: String = ask(connection, &acl("WHOAMI")).await?;
    if own == name || name == DEFAULT_USER {
        return Err(TargetError::Settings(
            "that is the administrator by whom the target is reached, or the default user".to_owned(),
        ));
    }
    Ok(())
}

async fn create(
    connection: &mut MultiplexedConnection,
    principal: &Principal,
    rules: &[String],
) -> Result<(), TargetError> {
    check_other(connection, &principal.username).await?;
    set_user(connection, principal, &["reset", "on"], rules).await
}

/// Lets nobody in as this user any more, and ends its sessions.
async fn shut_out(connection: &mut MultiplexedConnection, name: &str) -> Result<(), TargetError> {
    ask::<()>(connection, acl("SETUSER").arg(name).arg("off").arg("resetpass")).await?;
    ask::<redis::Value>(connection, cmd("CLIENT").arg("KILL").arg("USER").arg(name)).await.map(drop)
}

async fn revoke(connection: &mut MultiplexedConnection, name: &str) -> Result<(), TargetError> {
    check_other(connection, name).await?;
    if is_there(connection, name).await? {
        shut_out(connection, name).await?;
        ask::<u64>(connection, acl("DELUSER").arg(name)).await?;
    }
    // Again if the user was gone before, for that may not have been saved.
    save(connection).await
}

async fn disable(connection: &mut MultiplexedConnection, name: &str) -> Result<(), TargetError> {
    check_other(connection, name).await?;
    if !is_there(connection, name).await? {
        return Err(absent());
    }
    shut_out(connection, name).await?;
    save(connection).await
}

async fn sessions(connection: &mut MultiplexedConnection, names: &[String]) -> Result<Vec<Session>, TargetError> {
    let list: String = ask(connection, cmd("CLIENT").arg("LIST")).await?;
    let (now, _): (i64, i64) = ask(connection, &cmd("TIME")).await?;
    let clients = list.lines().map(|line| client(line, now));
    Ok(clients.filter(|session| names.contains(&session.username)).collect())
}

/// A line of `CLIENT LIST`; no value there holds a space.
fn client(line: &str, now: i64) -> Session {
    let value = |name: &str| {
        let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value).unwrap_or_default()
    };
    Session {
        username: value("user").to_owned(),
        id: value("id").to_owned(),
        remote: value("addr").to_owned(),
        application: value("name").to_owned(),
        since: value("age").parse().ok().and_then(|age: i64| Timestamp::from_second(now - age).ok()),
    }
}

impl Target for Redis {
    fn ping(&self) -> Outcome<'_, ()> {
        Box::pin(self.limits().within(async {
            let mut lease = self.session().await?;
            let outcome = ask::<()>(&mut lease, &cmd("PING")).await;
            lease.settle(outcome)
        }))
    }

    fn create<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async {
            check_user(principal)?;
            let rules = rules(statements, &principal.username)?;
            let mut lease = self.session().await?;
            let outcome = create(&mut lease, principal, &rules).await;
            lease.settle(outcome)
        }))
    }

    fn renew<'a>(&'a self, _username: &'a str, _expires: Timestamp, _statements: &'a Statements) -> Outcome<'a, ()> {
        // No user ends by itself here; there is nothing to move.
        Box::pin(async { Ok(()) })
    }

    fn set_password<'a>(&'a self, principal: &'a Principal, _statements: &'a Statements) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(self.change(principal, &["on", "resetpass"])))
    }

    fn add_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(self.change(principal, &["on"])))
    }

    fn keep_only_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(self.change(principal, &["resetpass"])))
    }

    fn can_keep_two_passwords(&self) -> Outcome<'_, bool> {
        Box::pin(async { Ok(true) })
    }

    fn create_member<'a>(&'a self, _principal: &'a Principal, _owner_role: &'a str) -> Outcome<'a, ()> {
        Box::pin(async {
            Err(TargetError::Unsupported("Redis has no roles; one user there can have two passwords".to_owned()))
        })
    }

    fn revoke<'a>(&'a self, username: &'a str, _statements: &'a Statements) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async move {
            check_user_name(username)?;
            let mut lease = self.session().await?;
            let outcome = revoke(&mut lease, username).await;
            lease.settle(outcome)
        }))
    }

    fn disable<'a>(&'a self, username: &'a str) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async move {
            check_user_name(username)?;
            let mut lease = self.session().await?;
            let outcome = disable(&mut lease, username).await;
            lease.settle(outcome)
        }))
    }

    fn log_in<'a>(&'a self, username: &'a str, password: &'a SecretString) -> Outcome<'a, Login> {
        Box::pin(self.limits().within(async move {
            let login = address::Login { username: username.to_owned(), password: password.clone() };
            let mut connection = self.pool.maker().open().await?;
            match connection::authenticate(&mut connection, &login).await {
                Ok(()) => Ok(Login::Accepted),
                Err(error) if is_refusal(&error) => Ok(Login::Refused),
                Err(error) => Err(of_command(&error, &[password])),
            }
        }))
    }

    fn existing<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<String>> {
        Box::pin(self.limits().within(async move {
            let mut lease = self.session().await?;
            let outcome = ask::<Vec<String>>(&mut lease, &acl("USERS")).await;
            let found = outcome.map(|users| usernames.iter().filter(|name| users.contains(name)).cloned().collect());
            lease.settle(found)
        }))
    }

    fn sessions<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<Session>> {
        Box::pin(self.limits().within(async move {
            let mut lease = self.session().await?;
            let outcome = sessions(&mut lease, usernames).await;
            lease.settle(outcome)
        }))
    }
}
