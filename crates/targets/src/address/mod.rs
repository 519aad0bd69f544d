//! Where a target is, as the engine's own clients write it, taken apart. Placeholders are filled in after that, so a
//! name or password can have any character and never becomes another part of the address.

pub(crate) mod mysql;
pub(crate) mod postgresql;
pub(crate) mod redis;

use keyturn_core::{
    secret::SecretString,
    target::{Access, TargetError},
};
use percent_encoding::percent_decode_str;

/// As whom to log in.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    /// The name.
    pub(crate) username: String,
    /// The password.
    pub(crate) password: SecretString,
}

/// A failure that does not repeat the address, for it may hold a password.
pub(crate) fn refuse(what: impl Into<String>) -> TargetError {
    TargetError::Settings(what.into())
}

/// The parts of `scheme://[user[:password]@]host[:port]…[/path][?query]`, not decoded.
#[derive(Debug, Default)]
struct Url<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
    authority: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Url<'a> {
    /// Takes apart what follows `scheme://`.
    fn parse(rest: &'a str) -> Self {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A password in the address may hold a slash that was not encoded; hosts do not.
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => (Some(user), Some(password)),
            None => (None, None),
        };
        Self { user, password, authority, path, query }
    }

    fn parameters(&self) -> Result<Vec<(String, String)>, TargetError> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(name)?, decode(value)?))
            })
            .collect()
    }
}

fn decode(text: &str) -> Result<String, TargetError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| refuse("the connection URL is not UTF-8 once decoded"))
}

/// `host[:port]`, `[v6]:port`.
fn host_and_port(text: &str, default: u16) -> Result<(String, u16), TargetError> {
    let wrong = || refuse("the connection URL's port is no number from 1 to 65535");
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port.filter(|port| !port.is_empty()) {
        Some(port) => port.parse().ok().filter(|&port| port > 0).ok_or_else(wrong)?,
        None => default,
    };
    Ok((decode(host)?, port))
}

/// As whom to log in: what the address says, with the placeholders filled in; otherwise the settings' own fields.
fn login(access: &Access, user: Option<String>, password: Option<String>) -> Login {
    let own = access.password.expose_secret();
    // With room for all of it, so that no part of the password stays behind in a buffer that was outgrown.
    let fill = |text: &str| {
        let slots = text.matches("{{").count();
        let mut out = String::with_capacity(text.len() + slots * own.len().max(access.username.len()));
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            out.push_str(before);
            rest = match (after.strip_prefix("username}}"), after.strip_prefix("password}}")) {
                (Some(after), _) => {
                    out.push_str(&access.username);
                    after
                }
                (_, Some(after)) => {
                    out.push_str(own);
                    after
                }
                _ => {
                    out.push_str("{{");
                    after
                }
            };
        }
        out.push_str(rest);
        out
    };
    let username = match user.filter(|user| !user.is_empty()) {
        Some(user) => fill(&user),
        None => access.username.clone(),
    };
    let password = match password.filter(|password| !password.is_empty()) {
        Some(password) => SecretString::new(fill(&password)),
        None => access.password.clone(),
    };
    Login { username, password }
}
