//! `user:password@tcp(host:port)/database?tls=…`, as drivers in Go take it, or `mysql://user:password@host:port/database`.

use keyturn_core::target::{Access, TargetError};
use mysql_async::OptsBuilder;

use super::{Login, Url, decode, host_and_port, login, refuse};

const DEFAULT_PORT: u16 = 3306;

/// How much TLS is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// None.
    Disabled,
    /// As much as the server has, verifying nothing.
    Preferred,
    /// TLS, verifying nothing.
    Required,
    /// TLS with a certificate of an authority that is believed, for the server's name.
    VerifyIdentity,
}

/// Where it is, and how much TLS is asked for.
#[derive(Debug)]
pub(crate) struct Address {
    /// Everything but who logs in and TLS.
    pub(crate) options: OptsBuilder,
    /// The database to be in; empty: none.
    pub(crate) database: Option<String>,
    /// Who logs in.
    pub(crate) login: Login,
    /// TLS.
    pub(crate) mode: Mode,
}

/// Takes the settings' address apart.
pub(crate) fn parse(access: &Access) -> Result<Address, TargetError> {
    let text = access.url.expose_secret().trim();
    let parts = match text.strip_prefix("mysql://").or_else(|| text.strip_prefix("mariadb://")) {
        Some(rest) => of_url(rest)?,
        None if text.contains("://") => return Err(refuse("the connection URL must begin with mysql://")),
        None => of_dsn(text)?,
    };
    let (user, password) = (parts.user, parts.password);
    let mode = if access.tls.required && !access.tls.insecure {
        Mode::VerifyIdentity
    } else if access.tls.required || (parts.mode == Mode::VerifyIdentity && access.tls.insecure) {
        Mode::Required
    } else if parts.mode == Mode::Required && !access.tls.ca_pem.is_empty() {
        // To require TLS and name an authority is to believe no other.
        Mode::VerifyIdentity
    } else {
        parts.mode
    };
    // Over the socket of a file system there is nobody who listens.
    let mode = if parts.is_socket { Mode::Disabled } else { mode };
    Ok(Address { options: parts.options, database: parts.database, login: login(access, user, password), mode })
}

struct Parts {
    options: OptsBuilder,
    is_socket: bool,
    database: Option<String>,
    user: Option<String>,
    password: Option<String>,
    mode: Mode,
}

fn tcp(host: &str, port: u16) -> OptsBuilder {
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    OptsBuilder::default().ip_or_hostname(host).tcp_port(port).prefer_socket(false)
}

fn socket(path: &str) -> OptsBuilder {
    OptsBuilder::default().socket(Some(path))
}

fn of_url(rest: &str) -> Result<Parts, TargetError> {
    let url = Url::parse(rest);
    let (host, port) = host_and_port(url.authority, DEFAULT_PORT)?;
    let mut parts = Parts {
        options: tcp(&host, port),
        is_socket: false,
        database: Some(decode(url.path)?).filter(|name| !name.is_empty()),
        user: url.user.map(decode).transpose()?,
        password: url.password.map(decode).transpose()?,
        mode: Mode::Disabled,
    };
    for (name, value) in url.parameters()? {
        if name == "socket" {
            (parts.options, parts.is_socket) = (socket(&value), true);
        } else {
            parameter(&mut parts, &name, &value)?;
        }
    }
    Ok(parts)
}

/// `[user[:password]@][net[(address)]]/[database][?name=value&…]`; the last slash and the last `@` before it count, so
/// a password may hold both.
fn of_dsn(text: &str) -> Result<Parts, TargetError> {
    let (before, after) =
        text.rsplit_once('/').ok_or_else(|| refuse("the connection URL has no slash before the database's name"))?;
    // A socket's path has slashes, within parentheses.
    let (database, query) = after.split_once('?').unwrap_or((after, ""));
    let (user, password, net) = match before.rsplit_once('@') {
        None => (None, None, before),
        Some((login, net)) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            (Some(user.to_owned()), Some(password.to_owned()), net)
        }
    };
    let (net, address) = match net.split_once('(') {
        Some((net, rest)) => {
            (net, rest.strip_suffix(')').ok_or_else(|| refuse("the connection URL's address is not closed by )"))?)
        }
        None => (net, ""),
    };
    let (options, is_socket) = match net {
        "" | "tcp" => {
            let (host, port) = host_and_port(address, DEFAULT_PORT)?;
            (tcp(&host, port), false)
        }
        "unix" => (socket(if address.is_empty() { "/tmp/mysql.sock" } else { address }), true),
        _ => return Err(refuse("the connection URL's network must be tcp or unix")),
    };
    let database = Some(decode(database)?).filter(|name| !name.is_empty());
    let mut parts = Parts { options, is_socket, database, user, password, mode: Mode::Disabled };
    let parameters = Url { query, ..Url::default() }.parameters()?;
    for (name, value) in parameters {
        parameter(&mut parts, &name, &value)?;
    }
    Ok(parts)
}

fn parameter(parts: &mut Parts, name: &str, value: &str) -> Result<(), TargetError> {
    match name.to_ascii_lowercase().as_str() {
        "tls" | "ssl-mode" | "sslmode" => {
            parts.mode = match value.to_ascii_lowercase().as_str() {
                "false" | "0" | "disabled" | "disable" => Mode::Disabled,
                "preferred" | "prefer" => Mode::Preferred,
                "skip-verify" | "required" | "require" => Mode::Required,
                "true" | "1" | "verify_identity" | "verify-full" => Mode::VerifyIdentity,
                _ => {
                    return Err(refuse(
                        "tls must be true, skip-verify, preferred or false, or ssl-mode DISABLED, PREFERRED, REQUIRED or \
                         VERIFY_IDENTITY",
                    ));
                }
            };
        }
        // What drivers in Go take for themselves and means nothing here.
        "parsetime"
        | "loc"
        | "charset"
        | "collation"
        | "timeout"
        | "readtimeout"
        | "writetimeout"
        | "multistatements"
        | "interpolateparams"
        | "maxallowedpacket"
        | "clientfoundrows"
        | "checkconnliveness"
        | "allownativepasswords"
        | "columnswithalias"
        | "rejectreadonly"
        | "connectionattributes"
        | "compress" => {}
        _ => return Err(refuse("the connection URL has a parameter that is not known here")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, user, password, host, port, database) in [
            ("root:p/w@x@tcp(db:3307)/app?tls=skip-verify", "root", "p/w@x", "db", 3307, Some("app")),
            ("{{username}}:{{password}}@tcp(127.0.0.1:3306)/", "{{username}}", "{{password}}", "127.0.0.1", 3306, None),
            ("root@tcp([::1])/x", "root", "", "::1", 3306, Some("x")),
        ] {
            let parts = of_dsn(text).unwrap();
            let options = mysql_async::Opts::from(parts.options);
            assert_eq!((options.ip_or_hostname(), options.tcp_port()), (host, port), "{text}");
            assert_eq!((parts.user.as_deref(), parts.password.as_deref()), (Some(user), Some(password)));
            assert_eq!(parts.database.as_deref(), database);
        }
        let parts = of_url("a%40b:p%2Fw@db:3307/app?ssl-mode=VERIFY_IDENTITY").unwrap();
        assert_eq!((parts.user.as_deref(), parts.password.as_deref()), (Some("a@b"), Some("p/w")));
        assert_eq!(parts.mode, Mode::VerifyIdentity);
        let parts = of_dsn("root@unix(/run/mysqld/mysqld.sock)/").unwrap();
        assert_eq!(mysql_async::Opts::from(parts.options).socket(), Some("/run/mysqld/mysqld.sock"));
        for wrong in ["root@tcp(db)", "root@udp(db)/", "root@tcp(db/", "root@tcp(db:x)/", "x@tcp(db)/?what=1"] {
            assert!(of_dsn(wrong).is_err(), "{wrong}");
        }
    }
}
