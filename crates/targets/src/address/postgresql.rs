//! `postgresql://user:password@host:port,host2/database?sslmode=…`, or `host=… port=… dbname=…`, as libpq reads them.

use std::time::Duration;

use keyturn_core::target::{Access, TargetError};
use tokio_postgres::{
    Config,
    config::{SslMode, SslNegotiation, TargetSessionAttrs},
};

use super::{Login, Url, decode, host_and_port, login, refuse};
use crate::tls::Verify;

const DEFAULT_PORT: u16 = 5432;

/// Where it is, and how much TLS is asked for.
#[derive(Debug)]
pub(crate) struct Address {
    /// Everything but who logs in.
    pub(crate) config: Config,
    /// Who logs in.
    pub(crate) login: Login,
    /// What is asked of the certificate.
    pub(crate) verify: Verify,
}

/// Takes the settings' address apart.
pub(crate) fn parse(access: &Access) -> Result<Address, TargetError> {
    let text = access.url.expose_secret().trim();
    let mut parts = Parts::default();
    let rest = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://"));
    match rest {
        Some(rest) => parts.read_url(rest)?,
        None if text.contains("://") => return Err(refuse("the connection URL must begin with postgresql://")),
        None => parts.read_words(text)?,
    }
    parts.finish(access)
}

#[derive(Default)]
struct Parts {
    user: Option<String>,
    password: Option<String>,
    hosts: Vec<String>,
    ports: Vec<u16>,
    database: Option<String>,
    parameters: Vec<(String, String)>,
}

impl Parts {
    fn read_url(&mut self, rest: &str) -> Result<(), TargetError> {
        let url = Url::parse(rest);
        self.user = url.user.map(decode).transpose()?;
        self.password = url.password.map(decode).transpose()?;
        for one in url.authority.split(',').filter(|one| !one.is_empty()) {
            let (host, port) = host_and_port(one, DEFAULT_PORT)?;
            self.hosts.push(host);
            self.ports.push(port);
        }
        self.database = Some(decode(url.path)?).filter(|name| !name.is_empty());
        for (name, value) in url.parameters()? {
            self.set(name, value)?;
        }
        Ok(())
    }

    /// `name=value` and `name='a value'`, a backslash before a quote or a backslash.
    fn read_words(&mut self, text: &str) -> Result<(), TargetError> {
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (name, after) =
                rest.split_once('=').ok_or_else(|| refuse("the connection string is no list of name=value"))?;
            let mut characters = after.trim_start().chars();
            let mut value = String::new();
            let is_quoted = characters.as_str().starts_with('\'');
            if is_quoted {
                characters.next();
            }
            loop {
                match characters.next() {
                    Some('\'') if is_quoted => break,
                    Some('\\') => value.extend(characters.next()),
                    Some(c) if c.is_whitespace() && !is_quoted => break,
                    Some(c) => value.push(c),
                    None if is_quoted => return Err(refuse("a quote in the connection string is not closed")),
                    None => break,
                }
            }
            self.set(name.trim().to_owned(), value)?;
            rest = characters.as_str().trim_start();
        }
        Ok(())
    }

    fn set(&mut self, name: String, value: String) -> Result<(), TargetError> {
        match name.as_str() {
            "user" => self.user = Some(value),
            "password" => self.password = Some(value),
            "dbname" => self.database = Some(value),
            "host" => self.hosts = value.split(',').map(str::to_owned).collect(),
            "port" => {
                let ports: Result<_, _> = value.split(',').map(str::parse).collect();
                self.ports = ports.map_err(|_| refuse("the port is no number from 1 to 65535"))?;
            }
            "sslrootcert" | "sslcert" | "sslkey" | "sslpassword" | "sslcrl" | "passfile" | "service"
            | "servicefile" => {
                return Err(refuse(format!(
                    "{name} names a file of this server; give certificates and keys as settings"
                )));
            }
            _ => self.parameters.push((name, value)),
        }
        Ok(())
    }

    fn finish(self, access: &Access) -> Result<Address, TargetError> {
        let mut config = Config::new();
        let hosts = if self.hosts.is_empty() { vec!["localhost".to_owned()] } else { self.hosts };
        for host in &hosts {
            config.host(host.as_str());
        }
        for port in if self.ports.is_empty() { vec![DEFAULT_PORT] } else { self.ports } {
            config.port(port);
        }
        if let Some(database) = &self.database {
            config.dbname(database.as_str());
        }
        config.application_name("keyturn");
        let mut mode = Mode::Prefer;
        let mut options = String::new();
        for (name, value) in &self.parameters {
            if name == "sslmode" {
                mode = Mode::named(value)?;
            } else {
                parameter(&mut config, &mut options, name, value)?;
            }
        }
        if !options.is_empty() {
            config.options(options.as_str());
        }
        let verify = mode.apply(access, &mut config);
        Ok(Address { config, login: login(access, self.user, self.password), verify })
    }
}

fn parameter(config: &mut Config, options: &mut String, name: &str, value: &str) -> Result<(), TargetError> {
    let wrong = || refuse(format!("the connection URL's {name} has a value that it cannot have"));
    match name {
        "application_name" | "fallback_application_name" => _ = config.application_name(value),
        "connect_timeout" => match value.parse().map_err(|_| wrong())? {
            0 => {}
            seconds => _ = config.connect_timeout(Duration::from_secs(seconds)),
        },
        "options" => {
            options.push_str(value);
            options.push(' ');
        }
        "target_session_attrs" => {
            let wanted = match value {
                "any" => TargetSessionAttrs::Any,
                "read-write" | "primary" => TargetSessionAttrs::ReadWrite,
                _ => return Err(wrong()),
            };
            config.target_session_attrs(wanted);
        }
        "sslnegotiation" => match value {
            "postgres" => {}
            "direct" => _ = config.ssl_negotiation(SslNegotiation::Direct),
            _ => return Err(wrong()),
        },
        // What other drivers take for themselves and means nothing here.
        "sslinline"
        | "binary_parameters"
        | "gssencmode"
        | "channel_binding"
        | "default_query_exec_mode"
        | "statement_cache_capacity"
        | "description_cache_capacity" => {}
        _ if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c)) => {
            return Err(refuse("the connection URL has a parameter whose name is no setting's"));
        }
        // Any other is a setting of the session, as in libpq's descendants.
        _ => {
            let escaped = value.replace('\\', "\\\\").replace(' ', "\\ ");
            options.push_str(&format!("-c {name}={escaped} "));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Mode {
    fn named(name: &str) -> Result<Self, TargetError> {
        Ok(match name {
            "disable" => Self::Disable,
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return Err(refuse("sslmode must be disable, allow, prefer, require, verify-ca or verify-full")),
        })
    }

    /// Settings can only ask for more than the address does, except `insecure`, which says so by its name.
    fn apply(self, access: &Access, config: &mut Config) -> Verify {
        let has_ca = !access.tls.ca_pem.is_empty();
        let mode = match self {
            Self::Disable | Self::Prefer | Self::Require if access.tls.required => Self::VerifyFull,
            // As libpq: to require TLS and name an authority is to believe no other.
            Self::Require if has_ca => Self::VerifyCa,
            mode => mode,
        };
        config.ssl_mode(match mode {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        });
        match mode {
            _ if access.tls.insecure => Verify::Nothing,
            Self::Disable | Self::Prefer | Self::Require => Verify::Nothing,
            Self::VerifyCa => Verify::Chain,
            Self::VerifyFull => Verify::Name,
        }
    }
}
