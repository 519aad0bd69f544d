//! Connections to Redis, and what their errors mean.

use std::sync::Arc;

use keyturn_core::{
    secret::SecretString,
    target::{Access, TargetError, Tls},
};
use redis::{
    AsyncConnectionConfig, ErrorKind, RedisConnectionInfo, RedisError, RedisResult, ServerErrorKind,
    aio::MultiplexedConnection, cmd,
};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use super::DEFAULT_USER;
use crate::{
    address::{
        Login,
        redis::{Address, Place, parse},
    },
    pool::Connect,
    redact,
    tls::{self, Verify},
};

/// Makes connections.
pub(super) struct Connector {
    address: Address,
    tls: Arc<ClientConfig>,
    settings: Tls,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Connector {
    pub(super) fn of(access: &Access) -> Result<Self, TargetError> {
        let address = parse(access)?;
        let has_tls = matches!(address.place, Place::Host { has_tls: true, .. });
        let verify = if has_tls && !access.tls.insecure { Verify::Name } else { Verify::Nothing };
        Ok(Self { address, tls: tls::client(&access.tls, verify)?, settings: access.tls.clone() })
    }

    /// A connection that is not logged in.
    pub(super) async fn open(&self) -> Result<MultiplexedConnection, TargetError> {
        let stream = self.stream().await?;
        // How long an answer may take is the whole call's matter; the driver would tell its own name and version.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let nobody = RedisConnectionInfo::default().set_skip_set_lib_name();
        let (connection, driver) = MultiplexedConnection::new_with_config(&nobody, stream, config)
            .await
            .map_err(|error| of_command(&error, &[]))?;
        // It ends with the connection's last handle.
        tokio::spawn(driver);
        Ok(connection)
    }

    async fn stream(&self) -> Result<Box<dyn Stream>, TargetError> {
        let lost = |error: std::io::Error| TargetError::Unreachable(error.to_string());
        match &self.address.place {
            Place::Socket(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(lost)?)),
            Place::Host { host, port, has_tls } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(lost)?;
                stream.set_nodelay(true).map_err(lost)?;
                if !has_tls {
                    return Ok(Box::new(stream));
                }
                let name = tls::server_name(&self.settings, host)?;
                let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.tls));
                Ok(Box::new(connector.connect(name, stream).await.map_err(lost)?))
            }
        }
    }
}

/// Logs in. Without a name it is the default user, and without a password as well, nobody needs to log in.
pub(super) async fn authenticate(connection: &mut MultiplexedConnection, login: &Login) -> RedisResult<()> {
    let name = if login.username.is_empty() { DEFAULT_USER } else { &login.username };
    cmd("AUTH").arg(name).arg(login.password.expose_secret()).exec_async(connection).await
}

impl Connect for Connector {
    type Connection = MultiplexedConnection;

    async fn connect(&self) -> Result<MultiplexedConnection, TargetError> {
        let mut connection = self.open().await?;
        let login = &self.address.login;
        if login.username.is_empty() && login.password.is_empty() {
            return Ok(connection);
        }
        match authenticate(&mut connection, login).await {
            Ok(()) => Ok(connection),
            Err(error) if is_refusal(&error) => Err(TargetError::Denied(reason(&error, &[&login.password]))),
            Err(error) => Err(of_command(&error, &[&login.password])),
        }
    }

    async fn is_alive(&self, connection: &mut MultiplexedConnection) -> bool {
        cmd("PING").exec_async(connection).await.is_ok()
    }
}

/// Whether an error says that name or password is wrong, or that the user is off.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed || matches!(error.code(), Some("WRONGPASS" | "NOAUTH"))
}

fn reason(error: &RedisError, secrets: &[&SecretString]) -> String {
    redact::reason(error.code().unwrap_or_default(), error.detail().unwrap_or_default(), secrets)
}

/// An error of a command, told as far as it holds none of the secrets: Redis repeats what it does not take.
pub(super) fn of_command(error: &RedisError, secrets: &[&SecretString]) -> TargetError {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown) => {
            TargetError::Unreachable(reason(error, secrets))
        }
        ErrorKind::Server(_) | ErrorKind::Extension if is_refusal(error) => TargetError::Denied(reason(error, secrets)),
        ErrorKind::Server(_) | ErrorKind::Extension => {
            TargetError::Statement { number: 1, reason: reason(error, secrets) }
        }
        // The driver's own texts and the system's; they hold no command.
        _ => TargetError::Unreachable(redact::reason("", &error.to_string(), secrets)),
    }
}
