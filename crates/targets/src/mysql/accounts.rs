//! Accounts: a name at each host that it may come from.

use std::time::Duration;

use keyturn_core::{
    secret::SecretString,
    target::{Principal, Session, TargetError},
};
use mysql_async::{Conn, Error, Row, prelude::Queryable};
use zeroize::Zeroizing;

use super::{
    connection::{Server, is_forbidden, of_statement, plain},
    run,
};

/// Any host; where an account is made, and where it is looked for by an administrator who may not read accounts.
const ANY_HOST: &str = "%";
/// The accounts of a name, which is compared as bytes: a collation takes different names for the same.
const ACCOUNTS: &str = "SELECT User, Host FROM mysql.user WHERE CAST(User AS BINARY) = CAST(? AS BINARY)";
/// How long is waited between two looks at sessions that were told to end.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// `KILL` of a connection that has ended.
const NO_SUCH_THREAD: u16 = 1094;

/// A name, and the hosts at which it is an account.
pub(super) struct Account<'a> {
    server: Server,
    name: &'a str,
    /// None: the administrator may not see.
    hosts: Option<Vec<String>>,
}

impl<'a> Account<'a> {
    /// Looks for a name.
    ///
    /// # Errors
    /// [`TargetError::Settings`] if it is the administrator's own.
    pub(super) async fn find(connection: &mut Conn, server: Server, name: &'a str) -> Result<Self, TargetError> {
        if current(connection).await?.0 == name {
            return Err(TargetError::Settings("that is the administrator by whom the target is reached".to_owned()));
        }
        Self::find_any(connection, server, name).await
    }

    async fn find_any(connection: &mut Conn, server: Server, name: &'a str) -> Result<Self, TargetError> {
        let rows = connection.exec(ACCOUNTS, (name,)).await;
        let hosts = match rows {
            Ok(rows) => Some(rows),
            Err(error) if is_forbidden(&error) => None,
            Err(error) => return Err(plain(&error)),
        };
        let own = |(user, host): (String, String)| (user == name).then_some(host);
        Ok(Self { server, name, hosts: hosts.map(|rows: Vec<_>| rows.into_iter().filter_map(own).collect()) })
    }

    /// Whether it is known to exist.
    pub(super) fn is_there(&self) -> bool {
        self.hosts.as_ref().is_some_and(|hosts| !hosts.is_empty())
    }

    /// Whether it is known not to exist.
    pub(super) fn is_absent(&self) -> bool {
        self.hosts.as_ref().is_some_and(Vec::is_empty)
    }

    /// `'name'@'host'` for each host.
    fn quoted(&self) -> Vec<String> {
        let any = [ANY_HOST.to_owned()];
        let hosts = self.hosts.as_deref().unwrap_or(&any);
        hosts.iter().map(|host| quoted(self.server, self.name, host)).collect()
    }

    async fn each(
        &self,
        connection: &mut Conn,
        statement: impl Fn(&str) -> Zeroizing<String>,
        secrets: &[&SecretString],
    ) -> Result<(), TargetError> {
        for account in self.quoted() {
            let statement = statement(&account);
            connection.query_drop(statement.as_str()).await.map_err(|e| of_statement(&e, 1, secrets))?;
        }
        Ok(())
    }

    /// Sets the password wherever the name is known to be, and lets it in if it was locked out.
    pub(super) async fn set_password(&self, connection: &mut Conn, password: &SecretString) -> Result<(), TargetError> {
        if !self.is_there() {
            return Ok(());
        }
        self.identify(connection, password, if self.server.has_locks() { " ACCOUNT UNLOCK" } else { "" }).await
    }

    async fn identify(&self, connection: &mut Conn, password: &SecretString, more: &str) -> Result<(), TargetError> {
        let quoted = self.server.dialect.literal().quote(password.expose_secret());
        let statement = |account: &str| Zeroizing::new(format!("ALTER USER {account} IDENTIFIED BY {}{more}", *quoted));
        self.each(connection, statement, &[password]).await
    }

    /// Removes it, with all that it was granted.
    pub(super) async fn drop(&self, connection: &mut Conn) -> Result<(), TargetError> {
        self.each(connection, |account| Zeroizing::new(format!("DROP USER IF EXISTS {account}")), &[]).await
    }

    async fn lock(&self, connection: &mut Conn) -> Result<(), TargetError> {
        self.each(connection, |account| Zeroizing::new(format!("ALTER USER {account} ACCOUNT LOCK")), &[]).await
    }
}

fn quoted(server: Server, name: &str, host: &str) -> String {
    let quote = server.dialect.literal();
    format!("{}@{}", *quote.quote(name), *quote.quote(host))
}

/// The administrator's account, name and host.
async fn current(connection: &mut Conn) -> Result<(String, String), TargetError> {
    let account: Option<String> = connection.query_first("SELECT CURRENT_USER()").await.map_err(|e| plain(&e))?;
    let account = account.unwrap_or_default();
    let (name, host) = account.rsplit_once('@').unwrap_or((&account, ""));
    Ok((name.to_owned(), host.to_owned()))
}

fn absent() -> TargetError {
    TargetError::Statement { number: 1, reason: "there is no such user".to_owned() }
}

pub(super) fn one_password(server: Server) -> TargetError {
    let (major, minor, patch) = server.version;
    let name = if server.is_mariadb { "MariaDB" } else { "MySQL" };
    TargetError::Unsupported(format!(
        "a user of {name} {major}.{minor}.{patch} has one password; MySQL has two from 8.0.14 on"
    ))
}

/// Sets the password of an account that must be there; the administrator's own as well.
pub(super) async fn set_password(
    connection: &mut Conn,
    server: Server,
    principal: &Principal,
) -> Result<(), TargetError> {
    let account = Account::find_any(connection, server, &principal.username).await?;
    if account.is_absent() {
        return Err(absent());
    }
    let unlock = if account.is_there() && server.has_locks() { " ACCOUNT UNLOCK" } else { "" };
    account.identify(connection, &principal.password, unlock).await
}

/// Sets a password and keeps the one before.
pub(super) async fn add_password(
    connection: &mut Conn,
    server: Server,
    principal: &Principal,
) -> Result<(), TargetError> {
    let account = Account::find_any(connection, server, &principal.username).await?;
    if account.is_absent() {
        return Err(absent());
    }
    account.identify(connection, &principal.password, " RETAIN CURRENT PASSWORD").await
}

/// Makes this the one password.
pub(super) async fn keep_only_password(
    connection: &mut Conn,
    server: Server,
    principal: &Principal,
) -> Result<(), TargetError> {
    if !server.has_two_passwords() {
        return Err(one_password(server));
    }
    let account = Account::find_any(connection, server, &principal.username).await?;
    if account.is_absent() {
        return Err(absent());
    }
    // The first of the two is set again, for it may be the other one that is to go.
    account.identify(connection, &principal.password, "").await?;
    account.each(connection, |name| Zeroizing::new(format!("ALTER USER {name} DISCARD OLD PASSWORD")), &[]).await
}

/// What makes a member of a role that acts as the role from its login on. Nothing has an owner here.
pub(super) fn member(server: Server, principal: &Principal, owner_role: &str) -> Vec<Zeroizing<String>> {
    let account = quoted(server, &principal.username, ANY_HOST);
    let password = server.dialect.literal().quote(principal.password.expose_secret());
    let role = server.dialect.identifier().quote(owner_role);
    let default = if server.is_mariadb {
        format!("SET DEFAULT ROLE {} FOR {account}", *role)
    } else {
        format!("SET DEFAULT ROLE {} TO {account}", *role)
    };
    vec![
        Zeroizing::new(format!("CREATE USER {account} IDENTIFIED BY {}", *password)),
        Zeroizing::new(format!("GRANT {} TO {account}", *role)),
        Zeroizing::new(default),
    ]
}

/// Ends an account: no more logins, then no more sessions, then no more account.
pub(super) async fn revoke(
    connection: &mut Conn,
    server: Server,
    name: &str,
    statements: &[Zeroizing<String>],
) -> Result<(), TargetError> {
    let account = Account::find(connection, server, name).await?;
    if account.is_there() && server.has_locks() {
        account.lock(connection).await?;
        end_sessions(connection, name).await?;
    }
    let outcome = if account.is_absent() {
        Ok(())
    } else if statements.is_empty() {
        account.drop(connection).await
    } else {
        // One that cannot be looked for may be gone, and then statements on it fail.
        run(connection, statements, &[], account.hosts.is_none()).await
    };
    end_sessions(connection, name).await?;
    outcome
}

/// Locks an account and ends its sessions.
pub(super) async fn disable(connection: &mut Conn, server: Server, name: &str) -> Result<(), TargetError> {
    if !server.has_locks() {
        return Err(TargetError::Unsupported("this version cannot lock an account".to_owned()));
    }
    let account = Account::find(connection, server, name).await?;
    if account.is_absent() {
        return Err(absent());
    }
    account.lock(connection).await?;
    end_sessions(connection, name).await
}

pub(super) async fn existing(connection: &mut Conn, names: &[String]) -> Result<Vec<String>, TargetError> {
    let mut found = Vec::new();
    for name in names {
        let users: Vec<(String, String)> = connection.exec(ACCOUNTS, (name,)).await.map_err(|e| plain(&e))?;
        if users.iter().any(|(user, _)| user == name) {
            found.push(name.clone());
        }
    }
    Ok(found)
}

/// Who is connected.
pub(super) async fn sessions(connection: &mut Conn, names: &[String]) -> Result<Vec<Session>, TargetError> {
    let grants: Vec<String> = connection.query("SHOW GRANTS").await.map_err(|e| plain(&e))?;
    if !grants.iter().any(|grant| sees_all(grant)) {
        return Err(TargetError::Unsupported(
            "the administrator needs the privilege PROCESS to see who is connected".to_owned(),
        ));
    }
    let rows: Vec<Row> = connection.query("SHOW PROCESSLIST").await.map_err(|e| plain(&e))?;
    let session = |row: &Row| {
        let text = |at: usize| row.get_opt::<String, _>(at).and_then(Result::ok);
        let username = text(1)?;
        names.contains(&username).then(|| Session {
            username,
            id: text(0).unwrap_or_default(),
            remote: text(2).unwrap_or_default(),
            application: String::new(),
            since: None,
        })
    };
    Ok(rows.iter().filter_map(session).collect())
}

/// Whether a line of `SHOW GRANTS` gives the sight of everybody's sessions.
fn sees_all(grant: &str) -> bool {
    let Some((privileges, _)) = grant.split_once(" ON *.* TO ") else { return false };
    let privileges = privileges.trim_start_matches("GRANT ");
    privileges.split(", ").any(|one| one == "PROCESS" || one == "ALL PRIVILEGES")
}

/// Ends all sessions of a name and waits until they are gone.
async fn end_sessions(connection: &mut Conn, name: &str) -> Result<(), TargetError> {
    let names = [name.to_owned()];
    loop {
        let sessions = sessions(connection, &names).await?;
        if sessions.is_empty() {
            return Ok(());
        }
        for session in sessions {
            let Ok(id) = session.id.parse::<u64>() else { continue };
            match connection.query_drop(format!("KILL CONNECTION {id}")).await {
                Ok(()) => {}
                Err(Error::Server(told)) if told.code == NO_SUCH_THREAD => {}
                Err(error) => return Err(plain(&error)),
            }
        }
        // The call's deadline ends this if a session does not end.
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_that_show_all_sessions_are_told_apart() {
        for grant in [
            "GRANT ALL PRIVILEGES ON *.* TO `admin`@`%` WITH GRANT OPTION",
            "GRANT SELECT, PROCESS, CREATE USER ON *.* TO 'a'@'%'",
            "GRANT PROCESS ON *.* TO 'a'@'%'",
        ] {
            assert!(sees_all(grant), "{grant}");
        }
        for grant in ["GRANT USAGE ON *.* TO `PROCESS`@`%`", "GRANT ALL PRIVILEGES ON `x`.* TO `a`@`%`", "GRANT r TO a"]
        {
            assert!(!sees_all(grant), "{grant}");
        }
    }
}
