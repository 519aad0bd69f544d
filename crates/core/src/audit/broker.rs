//! Records each entry on every enabled device, and tells when none of them took it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;

use super::{
    chain::{self, Chain, ChainKey, Claim, Head},
    device::{Device, DeviceError, lock_soon},
    entry::{RequestRecord, ResponseRecord, render, render_exchange},
    hash::Hasher,
    redact::RedactError,
};
use crate::{
    clock::Timestamp,
    random::{Random, RandomError},
    secret::Key256,
};

/// Room for an entry of a usual size, so that its buffer is allocated once.
const USUAL_LINE: usize = 4096;

/// The most bytes of a buffer that is kept for the next entry.
const MOST_KEPT: usize = 64 << 10;

/// No device recorded the entry: the request must not be carried out, its answer must not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuditFailure {
    /// Every enabled device failed; each one's error is in the server's log.
    #[error(
        "the request could not be audited: none of the {devices} enabled audit devices could record it; look in the \
         server's log for each device's error, and free or repair one of them"
    )]
    NoDevice {
        /// How many devices are enabled.
        devices: usize,
    },
    /// The request's or the answer's data cannot be recorded.
    #[error("the request could not be audited: {0}")]
    Data(#[from] RedactError),
}

/// A device was not added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddDeviceError {
    /// The path is empty.
    #[error("an audit device needs a path; name it, for example \"file\"")]
    NoPath,
    /// A device of this path, of one above it or of one below it is enabled.
    #[error("path already in use by the audit device at {taken:?}; choose another path or disable that device")]
    PathInUse {
        /// The path of the enabled device.
        taken: String,
    },
}

/// An enabled device as `sys/audit` lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The name under which it is enabled. Slashes at the ends mean nothing; listed with one at the end, `file/`.
    pub path: String,
    /// The kind of device: `file`.
    pub kind: String,
    /// What the operator noted.
    pub description: String,
    /// What the operator set, for `file`: `file_path`, `mode`.
    pub options: BTreeMap<String, String>,
    /// Whether it serves this cluster alone.
    pub local: bool,
    /// A stable handle, such as `audit_file_1a2b3c4d`.
    pub accessor: String,
}

/// The enabled devices. Recording takes no lock: changes replace the whole set.
#[derive(Default)]
pub struct Broker {
    devices: ArcSwap<BTreeMap<String, Arc<Enabled>>>,
}

struct Enabled {
    info: DeviceInfo,
    device: Arc<dyn Device>,
    hasher: Hasher,
    chain: Option<Chained>,
    /// Whether the last write failed, so that a dead device is logged once and not with every request.
    failing: AtomicBool,
}

impl Broker {
    /// A broker without devices: everything counts as recorded.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records that a request is about to be carried out, or refused. Without a device this does nothing.
    ///
    /// # Errors
    /// When no device recorded it: the request must not be carried out.
    pub fn record_request(&self, request: &RequestRecord<'_>) -> Result<(), AuditFailure> {
        self.record(|hasher, line| render(request, None, hasher, line))
    }

    /// Records the answer to a request. Without a device this does nothing.
    ///
    /// # Errors
    /// When no device recorded it: the answer must not be sent.
    pub fn record_response(
        &self,
        request: &RequestRecord<'_>,
        response: &ResponseRecord<'_>,
    ) -> Result<(), AuditFailure> {
        self.record(|hasher, line| render(request, Some(response), hasher, line))
    }

    /// Records a request, made at `asked`, and its answer by one write: for requests that change nothing, whose
    /// entry may wait until their answer is ready to leave. Without a device this does nothing.
    ///
    /// # Errors
    /// When no device recorded them: the answer must not be sent.
    pub fn record_exchange(
        &self,
        asked: Timestamp,
        request: &RequestRecord<'_>,
        response: &ResponseRecord<'_>,
    ) -> Result<(), AuditFailure> {
        self.record(|hasher, lines| render_exchange(asked, request, response, hasher, lines))
    }

    fn record(&self, render: impl Fn(&Hasher, &mut Vec<u8>) -> Result<(), RedactError>) -> Result<(), AuditFailure> {
        let devices = self.devices.load();
        if devices.is_empty() {
            return Ok(());
        }
        let mut recorded = false;
        let mut line = Vec::with_capacity(USUAL_LINE);
        for enabled in devices.values() {
            render(&enabled.hasher, &mut line)?;
            recorded |= enabled.write(&line);
        }
        if recorded { Ok(()) } else { Err(AuditFailure::NoDevice { devices: devices.len() }) }
    }

    /// Enables `device` under `info.path`, its values hashed under `salt`, its entries linked by `chain`, if any.
    ///
    /// # Errors
    /// When there is no path, or a device is enabled at it, above it or below it (`a/` and `a/b/` exclude each other).
    pub(crate) fn add(
        &self,
        mut info: DeviceInfo,
        device: Arc<dyn Device>,
        salt: &Key256,
        chain: Option<Chained>,
    ) -> Result<(), AddDeviceError> {
        info.path = canonical(&info.path).ok_or(AddDeviceError::NoPath)?;
        let path = info.path.clone();
        let (hasher, failing) = (Hasher::new(salt), AtomicBool::new(false));
        let enabled = Arc::new(Enabled { info, device, hasher, chain, failing });
        let mut taken = None;
        self.devices.rcu(|devices| {
            taken = devices.keys().find(|other| other.starts_with(&path) || path.starts_with(*other)).cloned();
            let mut devices = BTreeMap::clone(devices);
            if taken.is_none() {
                devices.insert(path.clone(), Arc::clone(&enabled));
            }
            devices
        });
        taken.map_or(Ok(()), |taken| Err(AddDeviceError::PathInUse { taken }))
    }

    /// Disables the device at `path`; it is closed when the entries that are on their way have been written. Whether
    /// there was one.
    pub fn remove(&self, path: &str) -> bool {
        let Some(path) = canonical(path) else { return false };
        let mut found = false;
        self.devices.rcu(|devices| {
            let mut devices = BTreeMap::clone(devices);
            found = devices.remove(&path).is_some();
            devices
        });
        found
    }

    /// The enabled devices, ordered by path.
    #[must_use]
    pub fn list(&self) -> Vec<DeviceInfo> {
        self.devices.load().values().map(|enabled| enabled.info.clone()).collect()
    }

    /// `input` as it stands in the log of the device at `path`, or nothing when there is no such device.
    #[must_use]
    pub fn hash_for(&self, path: &str, input: &str) -> Option<String> {
        self.devices.load().get(&canonical(path)?).map(|enabled| enabled.hasher.hash_str(input))
    }

    /// How far the chain of the device at `path` has come; `None` for a device without one, or without entries.
    #[must_use]
    pub fn head_of(&self, path: &str) -> Option<Head> {
        self.devices.load().get(&canonical(path)?)?.chain.as_ref()?.head()
    }

    /// Which of `claims` about the log of the device at `path` do not hold; `None` for a device without a chain.
    #[must_use]
    pub fn refute(&self, path: &str, claims: &[Claim]) -> Option<Vec<usize>> {
        let devices = self.devices.load();
        let chain = devices.get(&canonical(path)?)?.chain.as_ref()?;
        Some(claims.iter().enumerate().filter(|(_, claim)| !chain.key.holds(claim)).map(|(at, _)| at).collect())
    }

    /// How far each chain has come, by its device's path.
    pub(crate) fn heads(&self) -> Vec<(String, Head)> {
        let head = |(path, enabled): (&String, &Arc<Enabled>)| Some((path.clone(), enabled.chain.as_ref()?.head()?));
        self.devices.load().iter().filter_map(head).collect()
    }

    /// Has every device open its file anew, after a rotation by somebody else. One that cannot keeps its old file,
    /// and the reason is logged.
    pub fn reopen_all(&self) {
        for (path, enabled) in self.devices.load().iter() {
            match enabled.device.reopen() {
                Ok(()) => tracing::info!(device = %path, "audit device reopened"),
                Err(error) => tracing::error!(device = %path, %error, "audit device not reopened; the old file stays"),
            }
        }
    }
}

impl Enabled {
    fn write(&self, line: &[u8]) -> bool {
        let result = match &self.chain {
            Some(chain) => chain.write(&*self.device, line),
            None => self.device.write(line),
        };
        if self.failing.load(Ordering::Relaxed) != result.is_err() {
            self.log_turn(result.as_ref().err());
        }
        result.is_ok()
    }

    /// Logs that the device began to fail, or that it records again: once, whichever thread comes first.
    #[cold]
    fn log_turn(&self, error: Option<&DeviceError>) {
        if self.failing.swap(error.is_some(), Ordering::Relaxed) == error.is_some() {
            return;
        }
        let device = &self.info.path;
        match error {
            Some(error) => tracing::error!(%device, %error, "audit device does not record"),
            None => tracing::info!(%device, "audit device records again"),
        }
    }
}

/// A chain, and the device's lines on their way into it.
pub(crate) struct Chained {
    key: ChainKey,
    state: Mutex<(Chain, Vec<u8>)>,
}

impl Chained {
    /// Links entries under `key`, in a new segment after `before`.
    pub(crate) fn begin(key: &Key256, random: Random, before: Option<Head>) -> Result<Self, RandomError> {
        let key = ChainKey::new(key);
        Ok(Self { state: Mutex::new((Chain::begin(key.clone(), random, before)?, Vec::new())), key })
    }

    /// Writes `lines` with their links. What takes long, hashing them, is done before others are kept out.
    pub(crate) fn write(&self, device: &dyn Device, lines: &[u8]) -> Result<(), DeviceError> {
        let digests: Vec<_> = chain::digests(lines).collect();
        let mut state = lock_soon(&self.state);
        let (chain, linked) = &mut *state;
        linked.clear();
        linked.shrink_to(MOST_KEPT);
        let head = chain.link(lines, &digests, linked);
        let written = device.write(linked);
        match &written {
            Ok(()) => chain.keep(head),
            Err(_) => chain.break_off().map_err(|error| DeviceError(error.to_string()))?,
        }
        written
    }

    fn head(&self) -> Option<Head> {
        lock_soon(&self.state).0.head().cloned()
    }
}

/// A device's path with one slash at its end, as Vault lists it; nothing if there is no path.
fn canonical(path: &str) -> Option<String> {
    let name = path.trim_matches('/');
    (!name.is_empty()).then(|| format!("{name}/"))
}

#[cfg(test)]
mod tests;
