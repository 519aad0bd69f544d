//! What `server` and `dev` share: binding addresses, and serving on them until a signal.

use std::{io, net::SocketAddr, sync::Arc};

use keyturn_core::alert::{Certificates, End};
use keyturn_server::{
    api::Api,
    limits::Limits,
    listener,
    shutdown::{self, Reloads, ShutdownSignal},
    tls::{ClientCertificates, TlsError, TlsSource},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{net::TcpListener, task::JoinSet};

use crate::config::{ListenerConfig, TlsFiles};

/// File descriptors beside those of connections: the store, logs, audit files, the runtime's own.
const SPARE_FILES: u64 = 64;

/// A server that cannot start serving.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServingError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", hint(source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Signals or threads could not be set up.
    #[error("the operating system refused {what}: {source}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// Its reason.
        source: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another process listens there: stop it, or choose another port",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege: choose another port",
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        _ => "",
    }
}

/// An address that is listened on, and not served yet.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    tls: Option<Arc<TlsSource>>,
    /// The real address, with the port that was taken for port 0.
    pub(crate) address: SocketAddr,
}

impl Bound {
    /// Whether it speaks TLS.
    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }
}

/// Listens on every address; none is served before all are there.
///
/// # Errors
/// [`ServingError`], which names the address or file.
pub(crate) async fn bind(configs: &[ListenerConfig]) -> Result<Vec<Bound>, ServingError> {
    let mut all = Vec::with_capacity(configs.len());
    for config in configs {
        let address = config.address;
        let failed = |source| ServingError::Bind { address, source };
        let tls = config.tls.as_ref().map(load_tls).transpose()?;
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        all.push(Bound { listener, tls, address });
    }
    Ok(all)
}

/// Reads a certificate and its key.
///
/// # Errors
/// [`TlsError`], which names the file.
pub(crate) fn load_tls(files: &TlsFiles) -> Result<Arc<TlsSource>, TlsError> {
    let clients = if files.ignore_clients { ClientCertificates::Ignored } else { ClientCertificates::Asked };
    TlsSource::load(&files.certificate, &files.key, clients).map(Arc::new)
}

/// The certificates of the addresses that speak TLS.
struct Served(Vec<(SocketAddr, Arc<TlsSource>)>);

impl Certificates for Served {
    fn all(&self) -> Vec<End> {
        self.0.iter().flat_map(|(address, tls)| tls.ends(&format!("listener {address}"))).collect()
    }
}

/// What alerts are to know of the certificates of `bound`.
pub(crate) fn certificates(bound: &[Bound]) -> Arc<dyn Certificates> {
    let served = bound.iter().filter_map(|bound| bound.tls.clone().map(|tls| (bound.address, tls)));
    Arc::new(Served(served.collect()))
}

/// Takes the process's signals over: SIGTERM and SIGINT end what [`serve`] does, SIGHUP runs `reloads` and reads the
/// certificates of `bound` again.
///
/// # Errors
/// When the operating system refuses.
pub(crate) fn take_signals(bound: &[Bound], mut reloads: Reloads) -> Result<ShutdownSignal, ServingError> {
    for tls in bound.iter().filter_map(|bound| bound.tls.clone()) {
        let name = format!("the certificate {}", tls.certificate_path().display());
        reloads.add(name, move || tls.reload().map_err(|error| error.to_string()));
    }
    let refused = |source| ServingError::System { what: "to hand over its signals", source };
    shutdown::on_signals(reloads).map_err(refused)
}

/// Serves `api` on all of `bound` until `shutdown`; returns when the last request has been answered or cut.
pub(crate) async fn serve(bound: Vec<Bound>, api: Api, limits: &Limits, shutdown: ShutdownSignal) {
    allow_files(limits.max_connections as u64 * bound.len() as u64);
    let mut listeners = JoinSet::new();
    for Bound { listener, tls, address } in bound {
        tracing::info!("listening on {}://{address}", if tls.is_some() { "https" } else { "http" });
        listeners.spawn(listener::serve(listener, tls, api.clone(), limits.clone(), shutdown.clone()));
    }
    while listeners.join_next().await.is_some() {}
    tracing::info!("stopped");
}

/// Raises the soft limit on open files to what the connections may need, as far as the hard limit allows.
fn allow_files(connections: u64) {
    let needed = connections.saturating_add(SPARE_FILES);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return;
    }
    let granted = maximum.map_or(needed, |maximum| maximum.min(needed));
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(granted), maximum }) {
        tracing::warn!("the limit on open files could not be raised to {granted}: {error}");
    } else if granted < needed {
        tracing::warn!(
            "limits.max_connections needs {needed} open files, the system allows {granted}; raise `ulimit -n`"
        );
    }
}

/// The runtime that a server runs on: a thread per core.
///
/// # Errors
/// When the operating system refuses threads.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, ServingError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("keyturn")
        .build()
        .map_err(|source| ServingError::System { what: "threads", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_in_use_is_told_with_what_to_do() {
        let plain = |address| [ListenerConfig { address, tls: None }];
        let first = bind(&plain("127.0.0.1:0".parse().expect("address"))).await.expect("bound");
        assert_ne!(first[0].address.port(), 0);
        let error = bind(&plain(first[0].address)).await.expect_err("in use").to_string();
        assert!(error.contains(&first[0].address.to_string()) && error.contains("another process"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_certificate_is_told_by_its_path() {
        let files = TlsFiles {
            certificate: "/nowhere/server.crt".into(),
            key: "/nowhere/server.key".into(),
            ignore_clients: false,
        };
        let config = ListenerConfig { address: "127.0.0.1:0".parse().expect("address"), tls: Some(files) };
        let error = bind(&[config]).await.expect_err("no file").to_string();
        assert!(error.contains("/nowhere/server.crt"), "{error}");
    }
}
