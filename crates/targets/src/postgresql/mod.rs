//! PostgreSQL. Statements run in one transaction, so a principal is whole or not there.

mod connection;
mod revoke;

use std::time::Duration;

use keyturn_core::{
    clock::Timestamp,
    secret::SecretString,
    target::{
        Access, Login, Outcome, PasswordAuthentication, Principal, Purpose, Session, Statements, Target, TargetError,
    },
};
use tokio_postgres::{Client, Transaction, error::SqlState, types::Type};
use zeroize::Zeroizing;

use self::connection::{Connector, is_refusal, of_statement, plain};
use crate::{
    address, check_name, check_principal,
    pool::{Limits, Pool},
    template::{Dialect, Script, Values},
};

/// Bytes of a name; the server cuts longer ones.
const LONGEST_NAME: usize = 63;

const RENEW: &str = r#"ALTER ROLE "{{name}}" VALID UNTIL '{{expiration}}'"#;
const SET_PASSWORD: &str = r#"ALTER ROLE "{{username}}" WITH PASSWORD '{{password}}'"#;
const SET_PASSWORD_AND_END: &str =
    r#"ALTER ROLE "{{username}}" WITH PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"#;

/// A server of PostgreSQL.
pub(crate) struct Postgresql {
    pool: Pool<Connector>,
    authentication: PasswordAuthentication,
}

impl Postgresql {
    pub(crate) fn open(access: Access) -> Result<Self, TargetError> {
        let limits = Limits::of(&access);
        let pool = Pool::new(Connector::of(&access)?, limits);
        Ok(Self { pool, authentication: access.password_authentication })
    }

    fn limits(&self) -> Limits {
        self.pool.limits()
    }

    /// What a principal's password is in a statement.
    fn written(&self, principal: &Principal) -> Written {
        let verifier = match self.authentication {
            PasswordAuthentication::Password => None,
            PasswordAuthentication::ScramSha256 => {
                let password = principal.password.expose_secret().as_bytes();
                Some(SecretString::new(postgres_protocol::password::scram_sha_256(password)))
            }
        };
        Written { password: principal.password.clone(), verifier, expiration: expiration(principal.expires) }
    }
}

/// The values of a principal as statements hold them.
struct Written {
    password: SecretString,
    verifier: Option<SecretString>,
    expiration: String,
}

impl Written {
    fn value(&self) -> &SecretString {
        self.verifier.as_ref().unwrap_or(&self.password)
    }

    fn values<'a>(&'a self, username: &'a str) -> Values<'a> {
        Values { username, password: Some(self.value()), expiration: Some(&self.expiration) }
    }

    fn error(&self, error: &tokio_postgres::Error, number: usize) -> TargetError {
        of_statement(error, number, &[&self.password, self.value()])
    }

    /// `LOGIN PASSWORD '…' VALID UNTIL '…'`.
    fn attributes(&self) -> Zeroizing<String> {
        let literal = Dialect::POSTGRESQL.literal();
        let password = literal.quote(self.value().expose_secret());
        let mut text = Zeroizing::new(String::with_capacity(password.len() + 100));
        text.push_str("LOGIN PASSWORD ");
        text.push_str(&password);
        text.push_str(" VALID UNTIL ");
        literal.write(&self.expiration, &mut text);
        text
    }
}

/// A time as statements take it.
fn expiration(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "infinity".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S%z").to_string())
}

fn identifier(name: &str) -> Zeroizing<String> {
    Dialect::POSTGRESQL.identifier().quote(name)
}

/// The operator's statements, or the engine's own.
fn script(purpose: Purpose, statements: &Statements, default: &str) -> Result<Script, TargetError> {
    let script = Script::read(Dialect::POSTGRESQL, purpose, statements)?;
    if script.is_empty() { Script::read(Dialect::POSTGRESQL, purpose, &[default.to_owned()]) } else { Ok(script) }
}

/// How often a transaction is begun again that met another one on the same rows of a catalogue: a grant changes the
/// row of what it is on, and two at once are an error.
const ATTEMPTS: u32 = 8;

/// Counts the attempts at a transaction.
#[derive(Default)]
struct Attempts(u32);

impl Attempts {
    /// Whether to begin again, after a pause: if it met another transaction. Nothing of it was done then.
    async fn again(&mut self, outcome: &Result<(), TargetError>) -> bool {
        let met_another = matches!(outcome, Err(TargetError::Statement { reason, .. }) if is_conflict(reason));
        let again = met_another && self.0 < ATTEMPTS;
        if again {
            tokio::time::sleep(Duration::from_millis(2 << self.0)).await;
            self.0 += 1;
        }
        again
    }
}

/// "tuple concurrently updated", a serialization failure, a deadlock.
fn is_conflict(reason: &str) -> bool {
    ["XX000", "40001", "40P01"].iter().any(|code| reason.starts_with(code))
}

/// Runs statements in one transaction.
async fn run(
    client: &mut Client,
    statements: &[Zeroizing<String>],
    error: impl Fn(&tokio_postgres::Error, usize) -> TargetError,
) -> Result<(), TargetError> {
    let mut attempts = Attempts::default();
    loop {
        let outcome = run_once(client, statements, &error).await;
        if !attempts.again(&outcome).await {
            return outcome;
        }
    }
}

async fn run_once(
    client: &mut Client,
    statements: &[Zeroizing<String>],
    error: impl Fn(&tokio_postgres::Error, usize) -> TargetError,
) -> Result<(), TargetError> {
    let transaction = client.transaction().await.map_err(|e| plain(&e))?;
    for (number, statement) in (1..).zip(statements) {
        transaction.batch_execute(statement).await.map_err(|e| error(&e, number))?;
    }
    transaction.commit().await.map_err(|e| error(&e, statements.len()))
}

async fn exists(transaction: &Transaction<'_>, name: &str) -> Result<bool, TargetError> {
    let query = "SELECT rolname = current_user FROM pg_roles WHERE rolname = $1";
    let found = transaction.query_typed(query, &[(&name, Type::TEXT)]).await.map_err(|e| plain(&e))?;
    match found.first().map(|row| row.try_get::<_, bool>(0)) {
        None => Ok(false),
        Some(Ok(false)) => Ok(true),
        Some(_) => Err(is_administrator()),
    }
}

fn is_administrator() -> TargetError {
    TargetError::Settings("that is the administrator by whom the target is reached".to_owned())
}

/// Makes a principal, in one transaction. One that is there is given its password and end first, and a statement that
/// would make it again is passed over.
async fn create(
    client: &mut Client,
    principal: &Principal,
    written: &Written,
    statements: &[Zeroizing<String>],
) -> Result<(), TargetError> {
    let mut attempts = Attempts::default();
    loop {
        let outcome = create_once(client, principal, written, statements).await;
        if !attempts.again(&outcome).await {
            return outcome;
        }
    }
}

async fn create_once(
    client: &mut Client,
    principal: &Principal,
    written: &Written,
    statements: &[Zeroizing<String>],
) -> Result<(), TargetError> {
    let transaction = client.transaction().await.map_err(|e| plain(&e))?;
    let is_there = exists(&transaction, &principal.username).await?;
    if is_there {
        let name = identifier(&principal.username);
        let statement = Zeroizing::new(format!("ALTER ROLE {} WITH {}", *name, *written.attributes()));
        transaction.batch_execute(&statement).await.map_err(|e| written.error(&e, 1))?;
    }
    for (number, statement) in (1..).zip(statements) {
        if is_there {
            transaction.batch_execute("SAVEPOINT keyturn").await.map_err(|e| plain(&e))?;
        }
        match transaction.batch_execute(statement).await {
            Ok(()) => {}
            Err(error) if is_there && error.code() == Some(&SqlState::DUPLICATE_OBJECT) => {
                transaction.batch_execute("ROLLBACK TO SAVEPOINT keyturn").await.map_err(|e| plain(&e))?;
            }
            Err(error) => return Err(written.error(&error, number)),
        }
    }
    transaction.commit().await.map_err(|e| written.error(&e, statements.len()))
}

/// Makes a member of a role that acts as the role from its login on, so that what it makes belongs to the role.
async fn create_member(
    client: &mut Client,
    principal: &Principal,
    written: &Written,
    owner_role: &str,
) -> Result<(), TargetError> {
    let mut attempts = Attempts::default();
    loop {
        let outcome = create_member_once(client, principal, written, owner_role).await;
        if !attempts.again(&outcome).await {
            return outcome;
        }
    }
}

async fn create_member_once(
    client: &mut Client,
    principal: &Principal,
    written: &Written,
    owner_role: &str,
) -> Result<(), TargetError> {
    let transaction = client.transaction().await.map_err(|e| plain(&e))?;
    let verb = if exists(&transaction, &principal.username).await? { "ALTER" } else { "CREATE" };
    let (name, owner) = (identifier(&principal.username), identifier(owner_role));
    let statements = [
        Zeroizing::new(format!("{verb} ROLE {} WITH {}", *name, *written.attributes())),
        Zeroizing::new(format!("GRANT {} TO {}", *owner, *name)),
        Zeroizing::new(format!("ALTER ROLE {} SET ROLE {}", *name, *owner)),
    ];
    for (number, statement) in (1..).zip(&statements) {
        transaction.batch_execute(statement).await.map_err(|e| written.error(&e, number))?;
    }
    transaction.commit().await.map_err(|e| written.error(&e, statements.len()))
}

async fn existing(client: &Client, names: &[String]) -> Result<Vec<String>, TargetError> {
    let query = "SELECT rolname::text FROM pg_roles WHERE rolname::text = ANY($1)";
    let rows = client.query_typed(query, &[(&names, Type::TEXT_ARRAY)]).await.map_err(|e| plain(&e))?;
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(|e| plain(&e))
}

/// Who is connected. Everybody may see whose a session is; its address and start are shown to a few only.
async fn sessions(client: &Client, names: &[String]) -> Result<Vec<Session>, TargetError> {
    let query = "SELECT usename::text, pid::text, coalesce(host(client_addr), ''), coalesce(application_name, ''), \
                 extract(epoch FROM backend_start)::float8 FROM pg_stat_activity \
                 WHERE usename::text = ANY($1) AND leader_pid IS NULL ORDER BY pid";
    let rows = client.query_typed(query, &[(&names, Type::TEXT_ARRAY)]).await.map_err(|e| plain(&e))?;
    let session = |row: &tokio_postgres::Row| -> Result<Session, tokio_postgres::Error> {
        let since: Option<f64> = row.try_get(4)?;
        Ok(Session {
            username: row.try_get(0)?,
            id: row.try_get(1)?,
            remote: row.try_get(2)?,
            application: row.try_get(3)?,
            since: since.and_then(|seconds| Timestamp::from_millisecond((seconds * 1000.0) as i64).ok()),
        })
    };
    rows.iter().map(session).collect::<Result<_, _>>().map_err(|e| plain(&e))
}

impl Target for Postgresql {
    fn ping(&self) -> Outcome<'_, ()> {
        Box::pin(self.limits().within(async {
            let lease = self.pool.get().await?;
            let outcome = lease.check_connection().await.map_err(|e| plain(&e));
            lease.settle(outcome)
        }))
    }

    fn create<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async {
            check_principal(principal, LONGEST_NAME)?;
            let script = Script::read(Dialect::POSTGRESQL, Purpose::Create, statements)?;
            if script.is_empty() {
                return Err(TargetError::Settings("PostgreSQL needs creation statements".to_owned()));
            }
            let written = self.written(principal);
            let statements = script.render(&written.values(&principal.username))?;
            let mut lease = self.pool.get().await?;
            let outcome = create(&mut lease, principal, &written, &statements).await;
            lease.settle(outcome)
        }))
    }

    fn renew<'a>(&'a self, username: &'a str, expires: Timestamp, statements: &'a Statements) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async move {
            check_name(username, LONGEST_NAME)?;
            let expiration = expiration(Some(expires));
            let values = Values { username, password: None, expiration: Some(&expiration) };
            let statements = script(Purpose::Renew, statements, RENEW)?.render(&values)?;
            let mut lease = self.pool.get().await?;
            let outcome = run(&mut lease, &statements, |e, number| of_statement(e, number, &[])).await;
            lease.settle(outcome)
        }))
    }

    fn set_password<'a>(&'a self, principal: &'a Principal, statements: &'a Statements) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async {
            check_principal(principal, LONGEST_NAME)?;
            let default = if principal.expires.is_some() { SET_PASSWORD_AND_END } else { SET_PASSWORD };
            let written = self.written(principal);
            let script = script(Purpose::SetPassword, statements, default)?;
            let statements = script.render(&written.values(&principal.username))?;
            let mut lease = self.pool.get().await?;
            let outcome = run(&mut lease, &statements, |e, number| written.error(e, number)).await;
            lease.settle(outcome)
        }))
    }

    fn add_password<'a>(&'a self, _principal: &'a Principal) -> Outcome<'a, ()> {
        Box::pin(async { Err(one_password()) })
    }

    fn keep_only_password<'a>(&'a self, _principal: &'a Principal) -> Outcome<'a, ()> {
        Box::pin(async { Err(one_password()) })
    }

    fn can_keep_two_passwords(&self) -> Outcome<'_, bool> {
        Box::pin(async { Ok(false) })
    }

    fn create_member<'a>(&'a self, principal: &'a Principal, owner_role: &'a str) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async move {
            check_principal(principal, LONGEST_NAME)?;
            check_name(owner_role, LONGEST_NAME)?;
            let written = self.written(principal);
            let mut lease = self.pool.get().await?;
            let outcome = create_member(&mut lease, principal, &written, owner_role).await;
            lease.settle(outcome)
        }))
    }

    fn revoke<'a>(&'a self, username: &'a str, statements: &'a Statements) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async move {
            let script = Script::read(Dialect::POSTGRESQL, Purpose::Revoke, statements)?;
            let statements = script.render(&Values { username, ..Values::default() })?;
            let mut lease = self.pool.get().await?;
            let outcome = revoke::revoke(&mut lease, username, &statements).await;
            lease.settle(outcome)
        }))
    }

    fn disable<'a>(&'a self, username: &'a str) -> Outcome<'a, ()> {
        Box::pin(self.limits().within(async move {
            let mut lease = self.pool.get().await?;
            let outcome = revoke::disable(&mut lease, username).await;
            lease.settle(outcome)
        }))
    }

    fn log_in<'a>(&'a self, username: &'a str, password: &'a SecretString) -> Outcome<'a, Login> {
        Box::pin(self.limits().within(async move {
            let login = address::Login { username: username.to_owned(), password: password.clone() };
            match self.pool.maker().log_in(&login).await {
                Ok(_) => Ok(Login::Accepted),
                Err(error) if is_refusal(&error) => Ok(Login::Refused),
                Err(error) => Err(of_statement(&error, 1, &[password])),
            }
        }))
    }

    fn existing<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<String>> {
        Box::pin(self.limits().within(async move {
            let lease = self.pool.get().await?;
            let outcome = existing(&lease, usernames).await;
            lease.settle(outcome)
        }))
    }

    fn sessions<'a>(&'a self, usernames: &'a [String]) -> Outcome<'a, Vec<Session>> {
        Box::pin(self.limits().within(async move {
            let lease = self.pool.get().await?;
            let outcome = sessions(&lease, usernames).await;
            lease.settle(outcome)
        }))
    }
}

fn one_password() -> TargetError {
    TargetError::Unsupported("a role of PostgreSQL has one password".to_owned())
}
