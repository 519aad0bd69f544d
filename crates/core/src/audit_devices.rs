//! The audit devices that are enabled through `sys/audit`: remembered in the store, opened with it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::{
    audit::{Broker, Chained, Claim, Device, DeviceError, DeviceFactory, DeviceInfo, Head, Writer},
    barrier::MacPurpose,
    door::Permit,
    keys,
    random::Random,
    secret::Key256,
    store::{Store, StoreError},
};

/// A device that belongs to the process rather than to the store: from its configuration file.
#[derive(Clone)]
pub struct ConfiguredDevice {
    /// Its path, kind and options.
    pub info: DeviceInfo,
    /// The open device.
    pub device: Arc<dyn Device>,
}

/// An audit device could not be enabled or disabled.
#[derive(Debug, thiserror::Error)]
pub enum AuditDeviceError {
    /// The path is taken.
    #[error("path already in use: an audit device is enabled at {0:?}")]
    InUse(String),
    /// There is no device there.
    #[error("unknown audit backend: no audit device is enabled at {0:?}")]
    Unknown(String),
    /// The device keeps no chain.
    #[error("no audit device with a chain is enabled at {0:?}: enable one without the option chain=false")]
    NoChain(String),
    /// An option has a value that it cannot have.
    #[error("the option chain is \"true\" or \"false\"")]
    BadChainOption,
    /// The path cannot be a device's.
    #[error("an audit device's path must be 1 to 128 letters, digits, '-', '_' or '/'")]
    InvalidPath,
    /// The device is set in the configuration file and cannot be changed here.
    #[error("the audit device at {0:?} is set in the server's configuration file; change it there")]
    Configured(String),
    /// The device could not be opened or written to.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Serialize, Deserialize)]
struct StoredDevice {
    kind: String,
    description: String,
    options: BTreeMap<String, String>,
    local: bool,
    accessor: String,
}

/// The devices of one open store.
pub struct AuditDevices {
    store: Arc<Store>,
    broker: Broker,
    factory: Arc<dyn DeviceFactory>,
    configured: Vec<String>,
    changing: Mutex<()>,
    /// The heads that are in the store, by device.
    saved: Mutex<BTreeMap<String, Head>>,
}

/// The option that leaves a device's entries without links when it is `false`.
const CHAIN_OPTION: &str = "chain";

impl AuditDevices {
    /// Opens all devices. One that cannot be opened stays enabled and fails each write: as long as another takes the
    /// entries, requests are answered; if it is the only one, none is.
    pub(crate) async fn load(
        store: Arc<Store>,
        factory: Arc<dyn DeviceFactory>,
        configured: &[ConfiguredDevice],
    ) -> Result<Self, StoreError> {
        let names = configured.iter().map(|device| device.info.path.clone()).collect();
        let devices = Self {
            store,
            broker: Broker::new(),
            factory,
            configured: names,
            changing: Mutex::default(),
            saved: Mutex::default(),
        };
        for device in configured {
            devices.add(device.info.clone(), Arc::clone(&device.device)).await?;
        }
        for (path, stored) in devices.store.read_all::<StoredDevice>(keys::AUDIT_DEVICES).await? {
            let info = stored.into_info(&String::from_utf8_lossy(&path));
            let device = match devices.factory.open(&info.kind, &info.options).await {
                Ok(device) => device,
                Err(error) => {
                    tracing::error!(path = info.path, %error, "an audit device cannot be opened; it will fail each entry");
                    Arc::new(Unopened(error))
                }
            };
            devices.add(info, device).await?;
        }
        Ok(devices)
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Enables a device. It is opened before it is remembered, so that one that cannot be written to is refused.
    ///
    /// # Errors
    /// When the path is unfit or taken, or the device cannot be opened.
    pub async fn enable(&self, permit: Permit, mut info: DeviceInfo) -> Result<(), AuditDeviceError> {
        permit.spend();
        info.path = canonical(&info.path)?;
        let _changing = self.changing.lock().await;
        let clashes = |taken: &str| taken.starts_with(&info.path) || info.path.starts_with(taken);
        if let Some(taken) = self.broker.list().into_iter().find(|device| clashes(&device.path)) {
            return Err(AuditDeviceError::InUse(taken.path));
        }
        if info.options.get(CHAIN_OPTION).is_some_and(|value| value != "true" && value != "false") {
            return Err(AuditDeviceError::BadChainOption);
        }
        let device = self.factory.open(&info.kind, &info.options).await?;
        // A device that cannot record would keep every later request from being answered, also the one to disable it.
        let writer = Arc::new(self.writer(&info, device).await?);
        writer.probe(self.probe()?.into_bytes()).await?;
        let suffix: [u8; 4] = self.store.random.bytes().map_err(StoreError::from)?;
        info.accessor = format!("audit_{}_{}", info.kind, hex::encode(suffix));
        self.store.write(keys::audit_device(info.path.trim_end_matches('/')), &StoredDevice::from(&info)).await?;
        self.enter(info, writer);
        Ok(())
    }

    /// Disables a device. One that is not there is no error, as with Vault.
    ///
    /// # Errors
    /// When it is set in the configuration file, or the store fails.
    pub async fn disable(&self, permit: Permit, path: &str) -> Result<(), AuditDeviceError> {
        permit.spend();
        let path = canonical(path)?;
        if self.configured.iter().any(|name| name.trim_matches('/') == path.trim_matches('/')) {
            return Err(AuditDeviceError::Configured(path));
        }
        let _changing = self.changing.lock().await;
        self.store.delete(keys::audit_device(path.trim_end_matches('/'))).await?;
        self.save_heads().await?;
        self.broker.remove(&path);
        Ok(())
    }

    /// All enabled devices.
    #[must_use]
    pub fn list(&self, permit: Permit) -> Vec<DeviceInfo> {
        permit.spend();
        self.broker.list()
    }

    /// What a device would record in the place of `input`.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn hash(&self, permit: Permit, path: &str, input: &str) -> Result<String, AuditDeviceError> {
        permit.spend();
        self.broker.hash_for(path, input).ok_or_else(|| AuditDeviceError::Unknown(path.to_owned()))
    }

    /// The first line of a new device, as Vault writes it.
    fn probe(&self) -> Result<String, StoreError> {
        let (time, id) = (self.store.now(), self.store.random.uuid()?);
        let request = format!("{{\"id\":\"{id}\",\"operation\":\"update\",\"path\":\"sys/audit/test\"}}");
        Ok(format!("{{\"time\":\"{time}\",\"type\":\"request\",\"request\":{request}}}\n"))
    }

    async fn add(&self, info: DeviceInfo, device: Arc<dyn Device>) -> Result<(), StoreError> {
        let writer = Arc::new(self.writer(&info, device).await?);
        self.enter(info, writer);
        Ok(())
    }

    fn enter(&self, info: DeviceInfo, writer: Arc<Writer>) {
        // Each device has hashes of its own: two logs cannot be compared by whoever holds both.
        let salt = Key256::new(self.store.barrier.mac(MacPurpose::Audit, &[info.path.as_bytes()]));
        if let Err(error) = self.broker.add(info, writer, &salt) {
            tracing::error!(%error, "an audit device could not be enabled");
        }
    }

    /// The chain of a device, a new segment of it, unless its option `chain` is `false`.
    async fn chain(&self, info: &DeviceInfo) -> Result<Option<Chained>, StoreError> {
        if info.options.get(CHAIN_OPTION).is_some_and(|value| value == "false") {
            return Ok(None);
        }
        // A device's path holds no NUL: no device's salt is another one's chain key.
        let key = Key256::new(self.store.barrier.mac(MacPurpose::Audit, &[info.path.as_bytes(), b"\0chain"]));
        let before = self.saved_head(&info.path).await?;
        Ok(Some(Chained::begin(&key, Random::default(), before)?))
    }

    async fn writer(&self, info: &DeviceInfo, device: Arc<dyn Device>) -> Result<Writer, StoreError> {
        Ok(Writer::new(&info.path, device, self.chain(info).await?))
    }

    async fn saved_head(&self, path: &str) -> Result<Option<Head>, StoreError> {
        Ok(self.store.read(&keys::audit_chain(path.trim_end_matches('/'))).await?.map(|seen| seen.value))
    }

    /// Writes down how far each chain has come since the last time, so that a log cannot be cut off unseen.
    pub(crate) async fn save_heads(&self) -> Result<(), StoreError> {
        for (path, head) in self.broker.heads() {
            if self.saved.lock().await.insert(path.clone(), head.clone()).as_ref() != Some(&head) {
                self.store.write(keys::audit_chain(path.trim_end_matches('/')), &head).await?;
            }
        }
        Ok(())
    }

    /// How far the chain of a device has come.
    ///
    /// # Errors
    /// When there is no such device, it has no chain, or no entry yet.
    pub fn head(&self, permit: Permit, path: &str) -> Result<Head, AuditDeviceError> {
        permit.spend();
        self.broker.head_of(path).ok_or_else(|| AuditDeviceError::NoChain(path.to_owned()))
    }

    /// Which of the claims about a device's log do not hold, by their position.
    ///
    /// # Errors
    /// When there is no such device or it has no chain.
    pub fn refute(&self, permit: Permit, path: &str, claims: &[Claim]) -> Result<Vec<usize>, AuditDeviceError> {
        permit.spend();
        self.broker.refute(path, claims).ok_or_else(|| AuditDeviceError::NoChain(path.to_owned()))
    }
}

impl StoredDevice {
    fn into_info(self, path: &str) -> DeviceInfo {
        DeviceInfo {
            path: format!("{path}/"),
            kind: self.kind,
            description: self.description,
            options: self.options,
            local: self.local,
            accessor: self.accessor,
        }
    }
}

impl From<&DeviceInfo> for StoredDevice {
    fn from(info: &DeviceInfo) -> Self {
        Self {
            kind: info.kind.clone(),
            description: info.description.clone(),
            options: info.options.clone(),
            local: info.local,
            accessor: info.accessor.clone(),
        }
    }
}

/// Stands in for a device that could not be opened.
struct Unopened(DeviceError);

impl Device for Unopened {
    fn write(&self, _line: &[u8]) -> Result<(), DeviceError> {
        Err(self.0.clone())
    }

    fn reopen(&self) -> Result<(), DeviceError> {
        Err(self.0.clone())
    }
}

fn canonical(path: &str) -> Result<String, AuditDeviceError> {
    let bare = path.trim_matches('/');
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    if bare.is_empty() || bare.len() > 128 || !bare.chars().all(fits) {
        return Err(AuditDeviceError::InvalidPath);
    }
    Ok(format!("{bare}/"))
}
