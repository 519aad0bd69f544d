//! `redis://user:password@host:port/database`, `rediss://` for TLS, `unix:///path` for a socket of the file system.

use keyturn_core::target::{Access, TargetError};

use super::{Login, Url, decode, host_and_port, login, refuse};

const DEFAULT_PORT: u16 = 6379;

/// Where it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A host, and whether to speak TLS.
    Host { host: String, port: u16, has_tls: bool },
    /// A path.
    Socket(String),
}

/// Where it is, and who logs in.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) place: Place,
    pub(crate) login: Login,
}

/// Takes the settings' address apart. A database in it means nothing: users belong to none.
pub(crate) fn parse(access: &Access) -> Result<Address, TargetError> {
    let text = access.url.expose_secret().trim();
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong_scheme)?;
    let url = Url::parse(rest);
    let place = match scheme {
        "redis" | "rediss" | "valkey" | "valkeys" => {
            let (host, port) = host_and_port(url.authority, DEFAULT_PORT)?;
            let host = if host.is_empty() { "127.0.0.1".to_owned() } else { host };
            Place::Host { host, port, has_tls: matches!(scheme, "rediss" | "valkeys") || access.tls.required }
        }
        "unix" | "redis+unix" => Place::Socket(format!("/{}", decode(url.path)?)),
        _ => return Err(wrong_scheme()),
    };
    let has_tls = matches!(place, Place::Host { has_tls: true, .. });
    if access.tls.required && !has_tls {
        return Err(refuse("TLS is required, which a socket of the file system does not have"));
    }
    let (user, password) = (url.user.map(decode).transpose()?, url.password.map(decode).transpose()?);
    Ok(Address { place, login: login(access, user, password) })
}

fn wrong_scheme() -> TargetError {
    refuse("the connection URL must begin with redis://, rediss:// or unix://")
}
