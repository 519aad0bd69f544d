//! What every client verb works with: the flags of the connection, and the environment they fall back to.

use crate::client::{Address, Client};
use crate::connection::{self, ConnectionArgs, ConnectionError};
use crate::output;
use crate::token_file::{TokenFile, TokenFileError};

/// The setting of one run.
#[derive(Debug)]
pub(crate) struct Context {
    connection: ConnectionArgs,
}

impl Context {
    /// Takes the flags; nothing is read or sent yet.
    pub(crate) const fn new(connection: ConnectionArgs) -> Self {
        Self { connection }
    }

    /// A client that acts with the user's token, if there is one.
    pub(crate) fn client(&self) -> Result<Client, ConnectionError> {
        let env = &connection::environment;
        let token = connection::token(env, TokenFile::locate(env).as_ref())?;
        let identity = self.connection.identity(env)?;
        let trust = self.connection.trust(env);
        let client = Client::new(self.connection.address(env)?, &trust, identity.as_ref(), token)?;
        if client.exposes_token() {
            output::note("warning: the token and every secret travel in clear text: use an https:// address");
        }
        Ok(client)
    }

    /// A client for the routes that ask for no token; the user's is not sent where it is not needed.
    pub(crate) fn client_without_token(&self) -> Result<Client, ConnectionError> {
        let env = &connection::environment;
        let identity = self.connection.identity(env)?;
        Ok(Client::new(self.connection.address(env)?, &self.connection.trust(env), identity.as_ref(), None)?)
    }

    /// The server's address.
    pub(crate) fn address(&self) -> Result<Address, ConnectionError> {
        self.connection.address(&connection::environment)
    }

    /// Where the token is kept.
    pub(crate) fn token_file(&self) -> Result<TokenFile, TokenFileError> {
        TokenFile::locate(&connection::environment).ok_or(TokenFileError::NoPlace)
    }

    /// The environment variable that beats the kept token, if one is set.
    pub(crate) fn overriding_variable(&self) -> Option<&'static str> {
        ["KEYTURN_TOKEN", "VAULT_TOKEN"].into_iter().find(|name| connection::environment(name).is_some())
    }
}
