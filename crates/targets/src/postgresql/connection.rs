//! Connections to PostgreSQL, and what their errors mean.

use std::{
    error::Error as _,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use keyturn_core::{
    secret::SecretString,
    target::{Access, TargetError, Tls},
};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Client, Error,
    error::SqlState,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};

use crate::{
    address::{
        Login,
        postgresql::{Address, parse},
    },
    pool::Connect,
    redact, tls,
};

/// Makes connections.
pub(super) struct Connector {
    address: Address,
    tls: MakeTls,
}

impl Connector {
    pub(super) fn of(access: &Access) -> Result<Self, TargetError> {
        let address = parse(access)?;
        let config = tls::client(&access.tls, address.verify)?;
        let settings = Tls { server_name: access.tls.server_name.clone(), ..Tls::default() };
        Ok(Self { address, tls: MakeTls { config, settings: Arc::new(settings) } })
    }

    /// Logs in. The connection closes when the client is dropped.
    pub(super) async fn log_in(&self, login: &Login) -> Result<Client, Error> {
        let mut config = self.address.config.clone();
        config.user(login.username.as_str()).password(login.password.expose_secret());
        let (client, connection) = config.connect(self.tls.clone()).await?;
        // Its errors are those of the calls that it fails.
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Connect for Connector {
    type Connection = Client;

    async fn connect(&self) -> Result<Client, TargetError> {
        let client = self.log_in(&self.address.login).await.map_err(|error| administrator(&error))?;
        client.batch_execute(RESET).await.map_err(|error| plain(&error))?;
        Ok(client)
    }

    async fn is_alive(&self, client: &mut Client) -> bool {
        !client.is_closed() && client.batch_execute(RESET).await.is_ok()
    }
}

/// Undoes what statements set in a session before. How quotes are read is set whatever the server's default is.
const RESET: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; SET standard_conforming_strings = on";

/// Whether an error says that name or password is wrong, or that this name may not log in.
pub(super) fn is_refusal(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::INVALID_PASSWORD
            || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
            || *code == SqlState::INSUFFICIENT_PRIVILEGE
    })
}

/// An error of the administrator's login.
fn administrator(error: &Error) -> TargetError {
    match error.as_db_error() {
        Some(told) if is_refusal(error) => TargetError::Denied(redact::reason(told.code().code(), told.message(), &[])),
        _ => plain(error),
    }
}

/// An error of a call whose statements hold no secret.
pub(super) fn plain(error: &Error) -> TargetError {
    of_statement(error, 1, &[])
}

/// An error of a statement, told as far as it holds none of the secrets.
pub(super) fn of_statement(error: &Error, number: usize, secrets: &[&SecretString]) -> TargetError {
    let Some(told) = error.as_db_error() else { return transport(error) };
    let reason = redact::reason(told.code().code(), told.message(), secrets);
    match told.code() {
        // The server goes away, or does not take connections yet, or any more.
        &SqlState::ADMIN_SHUTDOWN
        | &SqlState::CRASH_SHUTDOWN
        | &SqlState::CANNOT_CONNECT_NOW
        | &SqlState::TOO_MANY_CONNECTIONS => TargetError::Unreachable(reason),
        &SqlState::INVALID_CATALOG_NAME => TargetError::Settings(reason),
        _ => TargetError::Statement { number, reason },
    }
}

/// An error below the protocol. Its texts are the driver's own and the system's; they hold no statement.
fn transport(error: &Error) -> TargetError {
    let mut text = error.to_string();
    if let Some(source) = error.source() {
        text = format!("{text}: {source}");
    }
    TargetError::Unreachable(text)
}

/// TLS by rustls, as the driver asks for it.
#[derive(Clone)]
struct MakeTls {
    config: Arc<ClientConfig>,
    settings: Arc<Tls>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for MakeTls {
    type Stream = Stream<S>;
    type TlsConnect = ConnectTls;
    type Error = TargetError;

    fn make_tls_connect(&mut self, host: &str) -> Result<ConnectTls, TargetError> {
        Ok(ConnectTls { tls: self.clone(), host: host.to_owned() })
    }
}

struct ConnectTls {
    tls: MakeTls,
    host: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for ConnectTls {
    type Stream = Stream<S>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Stream<S>, Self::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let name = tls::server_name(&self.tls.settings, &self.host)?;
            let stream = tokio_rustls::TlsConnector::from(self.tls.config).connect(name, stream).await?;
            Ok(Stream(Box::new(stream)))
        })
    }
}

/// A stream within TLS.
struct Stream<S>(Box<tokio_rustls::client::TlsStream<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, out)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
