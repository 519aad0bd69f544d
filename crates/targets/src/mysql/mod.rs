//! MySQL and MariaDB. Their statements on accounts are no part of a transaction: what fails half-way is undone, and what
//! is repeated finds what is there.

mod accounts;
mod connection;

use keyturn_core::{
    clock::Timestamp,
    secret::SecretString,
    target::{Access, Login, Outcome, Principal, Purpose, Session, Statements, Target, TargetError},
};
use mysql_async::{Conn, Error, prelude::Queryable};
use zeroize::Zeroizing;

use self::{
    accounts::Account,
    connection::{Connector, Server, is_refusal, is_unknown_method, of_statement},
};
use crate::{
    address, check_name, check_principal,
    pool::{Lease, Limits, Pool},
    template::{Script, Values},
};

/// Bytes of a name, in MariaDB; MySQL has fewer and refuses more.
const LONGEST_NAME: usize = 128;
/// `CREATE USER` of one that is there.
const CANNOT_USER: u16 = 1396;

/// A server of MySQL or MariaDB.
pub(crate) struct Mysql {
    pool: Pool<Connector>,
}

impl Mysql {
    pub(crate) fn open(access: Access) -> Result<Self, TargetError> {
        let limits = Limits::of(&access);
        Ok(Self { pool: Pool::new(Connector::of(&access)?, limits) })
    }

    fn limits(&self) -> Limits {
        self.pool.limits()
    }

    /// A connection, and what is at its other end.
    async fn session(&self) -> Result<(Lease<Conn>, Server), TargetError> {
        let mut lease = self.pool.get().await?;
        match Server::of(&mut lease).await {
            Ok(server) => Ok((lease, server)),
            Err(error) => lease.settle(Err(error)),
        }
    }

    async fn try_login(&self, username: &str, password: &SecretString) -> Result<Login, Error> {
        let login = address::Login { username: username.to_owned(), password: password.clone() };
        // Into no database: which of them it may enter is another question.
        match self.pool.maker().log_in(&login, None).await {
            Ok(connection) => {
                let _ = connection.disconnect().await;
                Ok(Login::Accepted)
            }
            Err(error) if is_refusal(&error) => Ok(Login::Refused),
            Err(error) => Err(error),
        }
    }

    /// Whether there is such an account.
    async fn knows(&self, username: &str) -> Result<bool, TargetError> {
        let mut lease = self.pool.get().await?;
        let outcome = accounts::existing(&mut lease, &[username.to_owned()]).await;
        Ok(!lease.settle(outcome)?.is_empty())
    }
}

/// What the servers cannot take for a name: they keep names in an encoding of three bytes a character.
fn check_user(principal: &Principal) -> Result<(), TargetError> {
    check_principal(principal, LONGEST_NAME)?;
    if principal.username.chars().any(|c| c.len_utf8() > 3) {
        return Err(TargetError::Settings("the user name holds a character that MySQL keeps in no name".to_owned()));
    }
    Ok(())
}

/// The operator's statements with their values; none if there are none.
fn rendered(
    server: Server,
    purpose: Purpose,
    statements: &Statements,
    values: &Values<'_>,
) -> Result<Vec<Zeroizing<String>>, TargetError> {
    Script::read(server.dialect, purpose, statements)?.render(values)
}

/// A time as statements take it.
fn expiration(time: Option<Timestamp>) -> Option<String> {
    time.map(|time| time.strftime("%Y-%m-%d %H:%M:%S%z").to_string())
}

fn values<'a>(principal: &'a Principal, expiration: Option<&'a str>) -> Values<'a> {
    Values { username: &principal.username, password: Some(&principal.password), expiration }
}

/// Runs statements one after the other. With `is_there`, one that would make the account again is passed over.
async fn run(
    connection: &mut Conn,
    statements: &[Zeroizing<String>],
    secrets: &[&SecretString],
    is_there: bool,
) -> Result<(), TargetError> {
    for (number, statement) in (1..).zip(statements) {
        match connection.query_drop(statement.as_str()).await {
            Ok(()) => {}
            Err(Error::Server(told)) if is_there && told.code == CANNOT_USER => {}
            Err(error) => return Err(of_statement(&error, number, secrets)),
        }
    }
    Ok(())
}

/// Makes an account, or gives the one that is there its password again and what the statements grant. One that was not
/// there is gone again if a statement fails.
async fn create(
    connection: &mut Conn,
    server: Server,
    principal: &Principal,
    statements: &[Zeroizing<String>],
) -> Result<(), TargetError> {
    let account = Account::find(connection, server, &principal.username).await?;
    account.set_password(connection, &principal.password).await?;
    let outcome = run(connection, statements, &[&principal.password], account.is_there()).await;
    if outcome.is_err() && account.is_absent() {
        let made = Account::find(connection, server, &principal.username).await?;
        made.drop(connection).await?;
    }
    outcome
}

impl Target for Mysql {
    fn ping(&self) -> Outcome<'_, ()> {
        Box::pin(self.limits().within(async {
            let (lease, _) = self.session().await?;
            lease.settle(Ok(()))
        }))
    }

    fn create<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async {
            check_user(principal)?;
            let (mut lease, server) = self.session().await?;
            let expiration = expiration(principal.expires);
            let values = values(principal, expiration.as_deref());
            let outcome = match rendered(server, Purpose::Create, statements, &values) {
                Ok(statements) if statements.is_empty() => {
                    Err(TargetError::Settings("MySQL needs creation statements".to_owned()))
                }
                Ok(statements) => create(&mut lease, server, principal, &statements).await,
                Err(error) => Err(error),
            };
            lease.settle(outcome)
        }))
    }

    fn renew<'a>(&'a self, username: &'a str, expires: Timestamp, statements: &'a Statements) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async move {
            // No account ends by itself here; there is nothing to move but what statements say.
            if statements.is_empty() {
                return Ok(());
            }
            check_name(username, LONGEST_NAME)?;
            let expiration = expiration(Some(expires));
            let values = Values { username, password: None, expiration: expiration.as_deref() };
            let (mut lease, server) = self.session().await?;
            let outcome = match rendered(server, Purpose::Renew, statements, &values) {
                Ok(statements) => run(&mut lease, &statements, &[], false).await,
                Err(error) => Err(error),
            };
            lease.settle(outcome)
        }))
    }

    fn set_password<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async {
            check_user(principal)?;
            let (mut lease, server) = self.session().await?;
            let expiration = expiration(principal.expires);
            let values = values(principal, expiration.as_deref());
            let outcome = match rendered(server, Purpose::SetPassword, statements, &values) {
                Ok(statements) if statements.is_empty() => accounts::set_password(&mut lease, server, principal).await,
                Ok(statements) => run(&mut lease, &statements, &[&principal.password], false).await,
                Err(error) => Err(error),
            };
            lease.settle(outcome)
        }))
    }

    fn add_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async {
            check_user(principal)?;
            let (mut lease, server) = self.session().await?;
            if !server.has_two_passwords() {
                return lease.settle(Err(accounts::one_password(server)));
            }
            // To set it twice would push the password out that is to stay.
            let is_set = self.try_login(&principal.username, &principal.password).await;
            let outcome = match is_set {
                Ok(Login::Accepted) => Ok(()),
                Ok(Login::Refused) => accounts::add_password(&mut lease, server, principal).await,
                Err(error) => Err(of_statement(&error, 1, &[&principal.password])),
            };
            lease.settle(outcome)
        }))
    }

    fn keep_only_password<'a>(&'a self, principal: &'a Principal) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async {
            check_user(principal)?;
            let (mut lease, server) = self.session().await?;
            let outcome = accounts::keep_only_password(&mut lease, server, principal).await;
            lease.settle(outcome)
        }))
    }

    fn can_keep_two_passwords(&self) -> Outcome<'_, bool> {
        Box::pin(self.limits().within(async {
            let (lease, server) = self.session().await?;
            lease.settle(Ok(server.has_two_passwords()))
        }))
    }

    fn create_member<'a>(&'a self, principal: &'a Principal, owner_role: &'a str) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async move {
            check_user(principal)?;
            check_name(owner_role, LONGEST_NAME)?;
            let (mut lease, server) = self.session().await?;
            let statements = accounts::member(server, principal, owner_role);
            let outcome = create(&mut lease, server, principal, &statements).await;
            lease.settle(outcome)
        }))
    }

    fn revoke<'a>(&'a self, username: &'a str, statements: &'a Statements) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async move {
            let (mut lease, server) = self.session().await?;
            let outcome = match rendered(server, Purpose::Revoke, statements, &Values { username, ..Values::default() })
            {
                Ok(statements) => accounts::revoke(&mut lease, server, username, &statements).await,
                Err(error) => Err(error),
            };
            lease.settle(outcome)
        }))
    }

    fn disable<'a>(&'a self, username: &'a str) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async move {
            let (mut lease, server) = self.session().await?;
            let outcome = accounts::disable(&mut lease, server, username).await;
            lease.settle(outcome)
        }))
    }

    fn log_in<'a>(&'a self, username: &'a str, password: &'a SecretString) -> Outcome<'a, Login> {
        Box::pin(self.limits().within(async {
            match self.try_login(username, password).await {
                // Of a name that it does not know MySQL asks for proof by any of its methods, to give nothing away.
                Err(error) if is_unknown_method(&error) && !self.knows(username).await? => Ok(Login::Refused),
                outcome => outcome.map_err(|error| of_statement(&error, 1, &[password])),
            }
        }))
    }

    fn existing<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<String>> {
        Box::pin(self.limits().within(async move {
            let mut lease = self.pool.get().await?;
            let outcome = accounts::existing(&mut lease, usernames).await;
            lease.settle(outcome)
        }))
    }

    fn sessions<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<Session>> {
        Box::pin(self.limits().within(async move {
            let mut lease = self.pool.get().await?;
            let outcome = accounts::sessions(&mut lease, usernames).await;
            lease.settle(outcome)
        }))
    }
}
