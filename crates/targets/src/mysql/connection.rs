//! Connections to MySQL and MariaDB, and what their errors mean.

use keyturn_core::{
    secret::SecretString,
    target::{Access, TargetError, Tls},
};
use mysql_async::{ClientIdentity, Conn, DriverError, Error, SslOpts, prelude::Queryable};
use rustls::RootCertStore;

use crate::{
    address::{
        Login,
        mysql::{Address, Mode, parse},
    },
    pool::Connect,
    redact,
    template::{Dialect, Engine},
    tls::Material,
};

/// Access denied; the same without a password; a host that may not connect; an account that is locked (in either
/// server); a password that has expired.
const REFUSALS: [u16; 6] = [1045, 1698, 1130, 3118, 4151, 1862];
/// Too many connections, a server that shuts down, a connection that was killed.
const LOST: [u16; 4] = [1040, 1053, 1927, 3169];
/// A right that the administrator lacks, on a database, a table or a column.
const FORBIDDEN: [u16; 4] = [1044, 1142, 1143, 1227];

/// Makes connections.
pub(super) struct Connector {
    address: Address,
    tls: Option<SslOpts>,
}

impl Connector {
    pub(super) fn of(access: &Access) -> Result<Self, TargetError> {
        let address = parse(access)?;
        let tls = match address.mode {
            Mode::Disabled => None,
            mode => Some(tls(&access.tls, mode)?),
        };
        Ok(Self { address, tls })
    }

    /// Logs in, into the address's database or none.
    pub(super) async fn log_in(&self, login: &Login, database: Option<&str>) -> Result<Conn, Error> {
        let options = || {
            let options = self.address.options.clone().user(Some(login.username.as_str()));
            options.pass(Some(login.password.expose_secret())).db_name(database)
        };
        match Conn::new(options().ssl_opts(self.tls.clone())).await {
            Err(Error::Driver(DriverError::NoClientSslFlagFromServer)) if self.address.mode == Mode::Preferred => {
                Conn::new(options()).await
            }
            outcome => outcome,
        }
    }
}

fn tls(tls: &Tls, mode: Mode) -> Result<SslOpts, TargetError> {
    let material = Material::of(tls)?;
    let mut options = SslOpts::default();
    if mode == Mode::VerifyIdentity {
        // The driver stops at an authority that it cannot read; the system may have some.
        let mut store = RootCertStore::empty();
        let roots: Vec<_> = material.roots.into_iter().filter(|root| store.add(root.clone()).is_ok()).collect();
        if roots.is_empty() {
            return Err(TargetError::Settings(
                "no certificate authority is believed: give the target's CA certificate".to_owned(),
            ));
        }
        let roots = roots.into_iter().map(|root| root.as_ref().to_vec().into()).collect();
        options = options.with_root_certs(roots).with_disable_built_in_roots(true);
    } else {
        options = options.with_danger_accept_invalid_certs(true);
    }
    if !tls.server_name.is_empty() {
        options = options.with_danger_tls_hostname_override(Some(tls.server_name.clone()));
    }
    if material.identity.is_some() {
        let (chain, key) = (tls.certificate_pem.as_bytes().to_vec(), tls.key_pem.expose_secret().as_bytes().to_vec());
        options = options.with_client_identity(Some(ClientIdentity::new(chain.into(), key.into())));
    }
    Ok(options)
}

impl Connect for Connector {
    type Connection = Conn;

    async fn connect(&self) -> Result<Conn, TargetError> {
        match self.log_in(&self.address.login, self.address.database.as_deref()).await {
            Ok(connection) => Ok(connection),
            Err(Error::Server(told)) if REFUSALS.contains(&told.code) => Err(TargetError::Denied(redact::reason(
                &code(told.code),
                &told.message,
                &[&self.address.login.password],
            ))),
            Err(Error::Driver(DriverError::NoClientSslFlagFromServer)) => {
                Err(TargetError::Unreachable("it offers no TLS, which the settings require".to_owned()))
            }
            Err(error) => Err(plain(&error)),
        }
    }

    async fn is_alive(&self, connection: &mut Conn) -> bool {
        // Makes the session as new, where the server can; its answer is enough otherwise.
        match connection.reset().await {
            Ok(true) => true,
            Ok(false) => connection.ping().await.is_ok(),
            Err(_) => false,
        }
    }
}

/// Which of the two it is, and how it reads quotes at this moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server {
    pub(super) is_mariadb: bool,
    pub(super) version: (u32, u32, u32),
    pub(super) dialect: Dialect,
}

impl Server {
    /// Asks the session.
    pub(super) async fn of(connection: &mut Conn) -> Result<Self, TargetError> {
        let row: Option<(String, String)> =
            connection.query_first("SELECT VERSION(), @@SESSION.sql_mode").await.map_err(|e| plain(&e))?;
        let (version, mode) = row.unwrap_or_default();
        Ok(Self::read(&version, &mode))
    }

    fn read(version: &str, mode: &str) -> Self {
        let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        let has = |name: &str| mode.split(',').any(|one| one.eq_ignore_ascii_case(name));
        Self {
            is_mariadb: version.to_ascii_lowercase().contains("mariadb"),
            version: (next(), next(), next()),
            dialect: Dialect {
                engine: Engine::Mysql,
                backslash: !has("NO_BACKSLASH_ESCAPES"),
                ansi_quotes: has("ANSI_QUOTES"),
            },
        }
    }

    /// `RETAIN CURRENT PASSWORD`.
    pub(super) fn has_two_passwords(self) -> bool {
        !self.is_mariadb && self.version >= (8, 0, 14)
    }

    /// `ACCOUNT LOCK`.
    pub(super) fn has_locks(self) -> bool {
        self.version >= if self.is_mariadb { (10, 4, 2) } else { (5, 7, 6) }
    }
}

pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Server(told) if REFUSALS.contains(&told.code))
}

/// Whether the server asks for a kind of proof that the driver does not know.
pub(super) fn is_unknown_method(error: &Error) -> bool {
    matches!(error, Error::Driver(DriverError::UnknownAuthPlugin { .. }))
}

pub(super) fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Server(told) if FORBIDDEN.contains(&told.code))
}

fn code(number: u16) -> String {
    format!("error {number}")
}

/// An error of a call whose statements hold no secret.
pub(super) fn plain(error: &Error) -> TargetError {
    of_statement(error, 1, &[])
}

/// An error of a statement, told as far as it holds none of the secrets.
pub(super) fn of_statement(error: &Error, number: usize, secrets: &[&SecretString]) -> TargetError {
    match error {
        Error::Server(told) => {
            let reason = redact::reason(&code(told.code), &told.message, secrets);
            if LOST.contains(&told.code) {
                TargetError::Unreachable(reason)
            } else if told.code == 1049 {
                TargetError::Settings(reason)
            } else {
                TargetError::Statement { number, reason }
            }
        }
        // The driver's own texts and the system's; they hold no statement.
        error => TargetError::Unreachable(redact::reason("", &error.to_string(), secrets)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart() {
        let mariadb = Server::read("10.11.6-MariaDB-0+deb12u1", "STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES");
        assert!(
            mariadb.is_mariadb && !mariadb.dialect.backslash && !mariadb.dialect.ansi_quotes && mariadb.has_locks()
        );
        assert!(!mariadb.has_two_passwords() && mariadb.version == (10, 11, 6));
        for (version, two) in
            [("8.0.13", false), ("8.0.14", true), ("8.4.2-log", true), ("5.7.44", false), ("9.1.0", true)]
        {
            let mysql = Server::read(version, "ANSI_QUOTES");
            assert_eq!((mysql.is_mariadb, mysql.has_two_passwords()), (false, two), "{version}");
            assert!(mysql.dialect.ansi_quotes && mysql.dialect.backslash);
        }
    }
}
