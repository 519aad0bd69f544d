//! Which server to talk to and as whom: flags first, then Keyturn's environment variables, then Vault's.

use std::path::PathBuf;

use keyturn_core::secret::SecretString;

use crate::client::{Address, AddressError, Identity, TlsError, Trust};
use crate::token_file::{TokenFile, TokenFileError};

/// `keyturn dev` listens here, and only the machine itself can reach it.
const DEFAULT_ADDRESS: &str = "http://127.0.0.1:8200";

/// The flags that every client verb takes. There is none for the token: an argument is visible to every user of the
/// machine.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct ConnectionArgs {
    /// URL of the server [env: KEYTURN_ADDR, VAULT_ADDR] [default: http://127.0.0.1:8200]
    #[arg(long, global = true, value_name = "URL", help_heading = "Connection")]
    pub(crate) address: Option<String>,
    /// PEM file of the certificates to trust instead of the system's [env: KEYTURN_CACERT, VAULT_CACERT]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// PEM file of the certificate to show to the server [env: KEYTURN_CLIENT_CERT, VAULT_CLIENT_CERT]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub(crate) client_cert: Option<PathBuf>,
    /// PEM file of its private key [env: KEYTURN_CLIENT_KEY, VAULT_CLIENT_KEY]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub(crate) client_key: Option<PathBuf>,
}

/// What is wrong with the settings of the connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// The URL.
    #[error("{origin}: {source}")]
    Address { origin: &'static str, source: AddressError },
    /// A client certificate without its key, or the reverse.
    #[error("a client certificate needs its key and the reverse: give both --client-cert and --client-key")]
    HalfIdentity,
    /// The trusted certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The kept token.
    #[error(transparent)]
    TokenFile(#[from] TokenFileError),
    /// The token from the environment or the file cannot be one.
    #[error(
        "the token in {origin} is no token: it is empty, longer than 4096 bytes or holds characters other than visible \
         ASCII; set it anew, or run `keyturn login`"
    )]
    BadToken { origin: String },
}

/// Looks up an environment variable; a parameter, so that a test has its own.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's environment; a variable that is empty counts as absent.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl ConnectionArgs {
    /// The server's address.
    pub(crate) fn address(&self, env: Environment<'_>) -> Result<Address, ConnectionError> {
        let (origin, text) = match &self.address {
            Some(flag) => ("--address", flag.clone()),
            None => {
                first_of(env, ["KEYTURN_ADDR", "VAULT_ADDR"]).unwrap_or_else(|| ("default", DEFAULT_ADDRESS.to_owned()))
            }
        };
        Address::parse(&text).map_err(|source| ConnectionError::Address { origin, source })
    }

    /// The certificates that a TLS server's must lead back to.
    pub(crate) fn trust(&self, env: Environment<'_>) -> Trust {
        let named = first_of(env, ["KEYTURN_CACERT", "VAULT_CACERT"]).map(|(_, path)| PathBuf::from(path));
        match self.ca_cert.clone().or(named) {
            Some(file) => Trust::File(file),
            None => Trust::System { preferred: env("SSL_CERT_FILE").map(PathBuf::from) },
        }
    }
}

impl ConnectionArgs {
    /// The certificate to show to the server, if there is one.
    pub(crate) fn identity(&self, env: Environment<'_>) -> Result<Option<Identity>, ConnectionError> {
        let named = |names| first_of(env, names).map(|(_, path)| PathBuf::from(path));
        let certificate = self.client_cert.clone().or_else(|| named(["KEYTURN_CLIENT_CERT", "VAULT_CLIENT_CERT"]));
        let key = self.client_key.clone().or_else(|| named(["KEYTURN_CLIENT_KEY", "VAULT_CLIENT_KEY"]));
        match (certificate, key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(Identity { certificate, key })),
            _ => Err(ConnectionError::HalfIdentity),
        }
    }
}

/// The token to act with: the environment's, else the kept one, else none.
pub(crate) fn token(env: Environment<'_>, file: Option<&TokenFile>) -> Result<Option<SecretString>, ConnectionError> {
    if let Some((name, text)) = first_of(env, ["KEYTURN_TOKEN", "VAULT_TOKEN"]) {
        return checked(text.into(), name.to_owned()).map(Some);
    }
    let Some(file) = file else { return Ok(None) };
    file.read()?.map(|token| checked(token, file.path().display().to_string())).transpose()
}

/// Refuses what could not be sent in a header.
pub(crate) fn checked(token: SecretString, origin: String) -> Result<SecretString, ConnectionError> {
    let text = token.expose_secret();
    if (1..=4096).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(token)
    } else {
        Err(ConnectionError::BadToken { origin })
    }
}

fn first_of<const N: usize>(env: Environment<'_>, names: [&'static str; N]) -> Option<(&'static str, String)> {
    names.into_iter().find_map(|name| env(name).map(|value| (name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_flag_beats_the_environment_and_ours_beats_vaults() {
        let both = env(&[("KEYTURN_ADDR", "https://ours"), ("VAULT_ADDR", "https://vaults")]);
        let flag = ConnectionArgs { address: Some("https://flag".into()), ..ConnectionArgs::default() };
        let none = ConnectionArgs::default();
        assert_eq!(flag.address(&both).unwrap().to_string(), "https://flag");
        assert_eq!(none.address(&both).unwrap().to_string(), "https://ours");
        assert_eq!(none.address(&env(&[("VAULT_ADDR", "https://vaults")])).unwrap().to_string(), "https://vaults");
        assert_eq!(none.address(&env(&[])).unwrap().to_string(), DEFAULT_ADDRESS);
    }

    #[test]
    fn a_bad_address_says_where_it_came_from() {
        let error = ConnectionArgs::default().address(&env(&[("VAULT_ADDR", "ftp://x")])).unwrap_err();
        assert!(error.to_string().starts_with("VAULT_ADDR: "), "{error}");
    }

    #[test]
    fn a_client_certificate_needs_its_key() {
        let vaults = env(&[("VAULT_CLIENT_CERT", "/c.pem"), ("VAULT_CLIENT_KEY", "/k.pem")]);
        let both = ConnectionArgs::default().identity(&vaults).unwrap();
        assert_eq!(both, Some(Identity { certificate: "/c.pem".into(), key: "/k.pem".into() }));
        assert!(ConnectionArgs::default().identity(&env(&[])).unwrap().is_none());
        let half = ConnectionArgs { client_cert: Some("/c.pem".into()), ..ConnectionArgs::default() };
        assert!(matches!(half.identity(&env(&[])), Err(ConnectionError::HalfIdentity)));
    }

    #[test]
    fn a_token_must_fit_a_header_and_is_not_shown() {
        for bad in ["hvs.canary\r\nX-Evil: 1", "hvs canary", "hvs.canaryé"] {
            let error = checked(bad.into(), "KEYTURN_TOKEN".into()).unwrap_err().to_string();
            assert!(error.contains("KEYTURN_TOKEN") && !error.contains("canary"), "{error}");
        }
        let ours = env(&[("KEYTURN_TOKEN", "hvs.ours"), ("VAULT_TOKEN", "hvs.vaults")]);
        assert_eq!(token(&ours, None).unwrap().unwrap().expose_secret(), "hvs.ours");
        assert!(token(&env(&[]), None).unwrap().is_none());
    }

    #[test]
    fn a_named_ca_replaces_the_systems() {
        let vaults = env(&[("VAULT_CACERT", "/ca.pem"), ("SSL_CERT_FILE", "/system.pem")]);
        assert_eq!(ConnectionArgs::default().trust(&vaults), Trust::File("/ca.pem".into()));
        let system = env(&[("SSL_CERT_FILE", "/system.pem")]);
        assert_eq!(ConnectionArgs::default().trust(&system), Trust::System { preferred: Some("/system.pem".into()) });
    }
}
