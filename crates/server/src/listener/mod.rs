//! The accept loop: from a bound socket to requests, within [`Limits`], until shutdown.
//!
//! It is our own, and not `axum::serve`, because that has no bound on connections, no timeouts and no bounded drain.
//! Per request it adds three atomic operations on memory that only its connection touches.

mod beating;
mod connection;
mod endless;
mod gate;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{body::Body, http::Response};
use hyper::Request;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::server::TlsStream;

pub(crate) use self::endless::Endless;
use self::{
    connection::{Connections, serve_connection},
    gate::{Gate, Phase},
};
use crate::{limits::Limits, shutdown::ShutdownSignal, tls::TlsSource};

/// The first pause after the process ran out of files or memory; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Who is at the other end of the connection; an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The certificates that the client showed in the handshake, its own first, in DER; an extension of requests of clients
/// that did. The handshake has proven that the client has the key of the first, and nothing else about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates(pub Arc<Vec<Vec<u8>>>);

/// Certificates that are kept of what a client shows.
const MAX_CERTIFICATES: usize = 11;

impl ClientCertificates {
    fn of(stream: &TlsStream<TcpStream>) -> Option<Self> {
        let shown = stream.get_ref().1.peer_certificates().filter(|shown| !shown.is_empty())?;
        Some(Self(Arc::new(shown.iter().take(MAX_CERTIFICATES).map(|der| der.to_vec()).collect())))
    }
}

/// The connection is TLS; an extension of every request on one that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secure;

/// What answers requests: an [`axum::Router`], or any service of that shape. It is cloned per request.
pub trait Handler:
    tower_service::Service<
        Request<Body>,
        Response = Response<Body>,
        Error = Infallible,
        Future: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Handler for S where
    S: tower_service::Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Infallible,
            Future: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

/// Serves `service` on `listener` until `shutdown`, then lets requests at work finish for `limits.drain_timeout`
/// and cuts what is left. Returns when no connection is open any more.
///
/// With `tls`, connections speak TLS with ALPN `h2` and `http/1.1`; without, HTTP/1.1 or HTTP/2 with prior
/// knowledge. Above `limits.max_connections` new ones wait in the kernel's queue.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<TlsSource>>,
    service: impl Handler,
    limits: Limits,
    mut shutdown: ShutdownSignal,
) {
    let most = u32::try_from(limits.max_connections).unwrap_or(u32::MAX);
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let gate = Arc::new(Gate::default());
    let connections = Arc::new(Connections::new(service, limits, gate.clone(), tls.is_some()));
    loop {
        let (slot, stream, peer) = tokio::select! {
            next = next_connection(&listener, &slots) => next,
            () = shutdown.draining() => break,
        };
        tokio::spawn(handle(slot, stream, peer, tls.clone(), connections.clone()));
    }
    drop(listener);
    drain(&gate, &slots, most, connections.limits().drain_timeout, shutdown).await;
}

/// Waits for a free slot first, so that nothing is accepted that could not be served.
async fn next_connection(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, TcpStream, SocketAddr) {
    // The semaphore is never closed, so there always is a permit.
    let slot = slots.clone().acquire_owned().await.ok();
    let mut pause = FIRST_PAUSE;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (slot, stream, peer),
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::error!("cannot accept connections, trying again in {pause:?}: {error}");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// A client that was gone before it was accepted, against a process that is out of files or memory (EMFILE, ENFILE,
/// ENOBUFS, ENOMEM), where trying again at once would spin.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

async fn handle<S: Handler>(
    slot: Option<OwnedSemaphorePermit>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<TlsSource>>,
    connections: Arc<Connections<S>>,
) {
    // An answer is written whole; waiting to fill a segment only delays it.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, "TCP_NODELAY: {error}");
    }
    match tls {
        None => serve_connection(stream, peer, None, &connections).await,
        Some(tls) => {
            let handshake = timeout(connections.limits().handshake_timeout, tls.accept(stream));
            tokio::select! {
                shaken = handshake => match shaken {
                    Ok(Ok(stream)) => {
                    let certificates = ClientCertificates::of(&stream);
                    serve_connection(stream, peer, certificates, &connections).await;
                }
                    Ok(Err(error)) => tracing::debug!(%peer, "TLS handshake: {error}"),
                    Err(_) => tracing::debug!(%peer, "TLS handshake: not finished in time"),
                },
                () = connections.gate().left(Phase::Serving) => {}
            }
        }
    }
    drop(slot);
}

/// Every slot back means that every connection has ended.
async fn drain(gate: &Gate, slots: &Semaphore, most: u32, patience: Duration, mut shutdown: ShutdownSignal) {
    gate.enter(Phase::Draining);
    tokio::select! {
        _ = slots.acquire_many(most) => return,
        () = sleep(patience) => tracing::warn!("requests were still at work after {patience:?}; cutting them"),
        () = shutdown.cutting() => tracing::warn!("cutting the requests at work"),
    }
    gate.enter(Phase::Cutting);
    let _ = slots.acquire_many(most).await;
}
