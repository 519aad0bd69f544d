//! From a configuration to a node that serves: what `server` and `dev` have in common.

use std::{path::Path, sync::Arc};

use keyturn_core::{
    alert::AlertConfig,
    audit::{DeviceError, DeviceFactory as _, DeviceInfo},
    audit_devices::ConfiguredDevice,
    clock::{Clock, SystemClock},
    node::{Node, NodeError, NodeOptions, Status},
    seal::{Seal, SealError},
    storage::{Storage, StorageError},
    surroundings::Surroundings,
};
use keyturn_server::{
    api::{Api, ApiSettings},
    audit_device::Devices,
    hook_command::Commands,
    limits::Limits,
    outbound::Http,
    shutdown::{Reloads, ShutdownSignal},
    vault,
};
use keyturn_storage::{
    backend::Embedded,
    barrier::BarrierOptions,
    hardening::harden_process,
    seal::{KekSource, ShamirSeal, StaticSeal, create_key_file},
};
use keyturn_targets::Engines;

use crate::{
    alerting::AlertingError,
    config::{AuditConfig, ConfigError, KeySource, LogConfig, SealConfig, StorageConfig},
    logging::{self, LoggingError},
    sanitized::sanitized,
    serving::{self, Bound, ServingError},
};

/// A server that could not be started, or not be served to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The configuration file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The command line.
    #[error("{0}")]
    Usage(String),
    /// Logging.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// An address, a certificate, a signal.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// An audit device that the configuration names.
    #[error("the audit device {name:?} cannot be opened: {source}")]
    Audit {
        /// Its name.
        name: String,
        /// Why.
        source: DeviceError,
    },
    /// The storage engine.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The key that unseals.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store behind the seal.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// What alerts are signed with, or whom their receivers are known by.
    #[error(transparent)]
    Alerts(#[from] AlertingError),
    /// The table of routes.
    #[error("the table of routes contradicts itself: {0}")]
    Routes(String),
}

impl StartError {
    /// Whether what was asked for is wrong, rather than what happened.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Alerts(_) | Self::Usage(_))
    }
}

/// Closes the ways in which the process leaks its memory, before there are secrets in it, and starts logging.
///
/// # Errors
/// When logging was started before.
pub(crate) fn prepare_process(log: LogConfig) -> Result<(), StartError> {
    let hardening = harden_process();
    logging::start(log)?;
    for remark in hardening.remarks {
        tracing::info!("{remark}");
    }
    Ok(())
}

/// Opens the audit devices that belong to the process.
///
/// # Errors
/// [`StartError::Audit`] for the first that cannot be opened: a server that was told to audit does not start without.
pub(crate) async fn open_audit(configs: &[AuditConfig]) -> Result<Vec<ConfiguredDevice>, StartError> {
    let mut devices = Vec::with_capacity(configs.len());
    for AuditConfig { name, kind, options } in configs {
        let failed = |source| StartError::Audit { name: name.clone(), source };
        let device = Devices.open(kind, options).await.map_err(failed)?;
        let info = DeviceInfo {
            path: format!("{name}/"),
            kind: (*kind).to_owned(),
            description: "set where the server was started".to_owned(),
            options: options.clone(),
            local: true,
            accessor: format!("audit_{kind}_{name}"),
        };
        devices.push(ConfiguredDevice { info, device });
    }
    Ok(devices)
}

/// Opens the store and finds out its state; a static seal unseals it.
///
/// # Errors
/// When the store or the key that unseals it cannot be used.
pub(crate) async fn start(
    storage: &StorageConfig,
    seal: &SealConfig,
    devices: Vec<ConfiguredDevice>,
    commands: Commands,
    options: NodeOptions,
    alerts: AlertConfig,
) -> Result<Arc<Node>, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (storage, barrier) = open_storage(storage)?;
    let seal: Arc<dyn Seal> = match seal {
        SealConfig::Shamir => Arc::new(ShamirSeal::new(storage, barrier, Arc::clone(&clock))),
        SealConfig::Static(source) => {
            Arc::new(StaticSeal::new(storage, kek_source(source), barrier, Arc::clone(&clock)))
        }
    };
    let surroundings = Surroundings {
        clock,
        devices: Arc::new(Devices),
        outbound: Arc::new(Http::with_commands(commands)),
        targets: Arc::new(Engines),
        alerts,
    };
    Ok(Node::start_with(seal, surroundings, devices, options).await?)
}

/// Where the storage crate is to find a key.
pub(crate) fn kek_source(source: &KeySource) -> KekSource {
    match source {
        KeySource::File(path) => KekSource::File(path.clone()),
        KeySource::Environment(name) => KekSource::Environment(name.clone()),
    }
}

/// The configured cache is shared: a quarter for the engine's pages, the rest for the records that reads want.
pub(crate) fn open_storage(config: &StorageConfig) -> Result<(Arc<dyn Storage>, BarrierOptions), StorageError> {
    match config {
        StorageConfig::Memory => Ok((Arc::new(Embedded::in_memory()?), BarrierOptions::default())),
        StorageConfig::Embedded { path, cache_bytes } => {
            let pages = cache_bytes / 4;
            let options = BarrierOptions { cache_bytes: cache_bytes - pages, ..BarrierOptions::default() };
            Ok((Arc::new(Embedded::open(path, pages)?), options))
        }
    }
}

/// Makes the key file of a store that does not exist yet.
///
/// # Errors
/// When the store exists but its key does not: a new key would not open it.
pub(crate) fn ensure_key_file(key: &Path, store: &Path) -> Result<(), StartError> {
    match (key.exists(), store.exists()) {
        (true, _) => Ok(()),
        (false, false) => Ok(create_key_file(key)?),
        (false, true) => Err(StartError::Usage(format!(
            "{} is there, but {}, which opens it, is not; put the key file back, or choose another directory",
            store.display(),
            key.display()
        ))),
    }
}

/// Says what has to be done before secrets can be had.
pub(crate) fn report_state(status: &Status) {
    match status {
        Status { initialized: false, .. } => tracing::warn!("not initialised: run `keyturn operator init`"),
        Status { migration: true, threshold, .. } => tracing::warn!(
            "sealed, and to be moved to the configured key: run `keyturn operator unseal --migrate` with {threshold} of \
             the shares"
        ),
        Status { sealed: true, threshold, .. } => {
            tracing::warn!("sealed: run `keyturn operator unseal` with {threshold} of the shares");
        }
        _ => tracing::info!("unsealed"),
    }
}

/// A node that can be announced: its addresses take connections, and a signal no longer kills it.
pub(crate) struct Ready {
    node: Arc<Node>,
    bound: Vec<Bound>,
    api: Api,
    limits: Limits,
    shutdown: ShutdownSignal,
}

impl Ready {
    /// Puts the protocols before `node` and takes the process's signals over.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn new(
        node: Arc<Node>,
        devices: Vec<ConfiguredDevice>,
        bound: Vec<Bound>,
        limits: Limits,
        settings: ApiSettings,
    ) -> Result<Self, StartError> {
        let told = sanitized(&node.status(), &bound, &limits);
        let vault = vault::Api::with_configuration(Arc::clone(&node), limits.clone(), told)
            .map_err(|error| StartError::Routes(error.to_string()))?;
        let api = Api::new(vault, Arc::clone(&node), limits.clone(), settings);
        let shutdown = serving::take_signals(&bound, reloads(&node, devices))?;
        Ok(Self { node, bound, api, limits, shutdown })
    }

    /// Serves until a signal, and seals the store.
    pub(crate) async fn serve(self) {
        serving::serve(self.bound, self.api, &self.limits, self.shutdown).await;
        self.node.close().await;
    }
}

/// SIGHUP opens audit files anew. While the store is sealed its own devices are not open, but the process's are.
fn reloads(node: &Arc<Node>, devices: Vec<ConfiguredDevice>) -> Reloads {
    let node = Arc::downgrade(node);
    let mut reloads = Reloads::default();
    reloads.add("the audit devices", move || {
        match node.upgrade().and_then(|node| node.core().ok()) {
            Some(core) => core.reopen_audit_devices(),
            None => devices.iter().try_for_each(|device| device.device.reopen().map_err(|error| error.to_string()))?,
        }
        Ok(())
    });
    reloads
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_store_without_its_key_is_not_given_another() {
        let directory = tempfile::tempdir().expect("directory");
        let (key, store) = (directory.path().join("unseal.key"), directory.path().join("store"));
        ensure_key_file(&key, &store).expect("made");
        let made = fs::read(&key).expect("key");
        ensure_key_file(&key, &store).expect("kept");
        assert_eq!(fs::read(&key).expect("key"), made);
        fs::write(&store, "").expect("store");
        fs::remove_file(&key).expect("remove");
        let error = ensure_key_file(&key, &store).expect_err("refused").to_string();
        assert!(error.contains("put the key file back") && !key.exists(), "{error}");
    }

    #[tokio::test]
    async fn an_audit_device_that_cannot_be_opened_is_told_by_name_and_path() {
        let options = [("file_path".to_owned(), "/dev/null/audit.log".to_owned())].into();
        let config = AuditConfig { name: "trail".to_owned(), kind: "file", options };
        let error = open_audit(&[config]).await.map(|_| ()).expect_err("refused").to_string();
        assert!(error.contains("trail") && error.contains("/dev/null/audit.log"), "{error}");
    }
}
