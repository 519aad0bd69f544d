//! Records each entry on every enabled device, and tells when none of them took it.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use super::{
    chain::{Claim, Head},
    entry::{RequestRecord, ResponseRecord, render, render_exchange},
    hash::Hasher,
    redact::RedactError,
    writer::{Submitted, Writer},
};
use crate::{clock::Timestamp, metrics::Counter, secret::Key256};

/// Room for an entry of a usual size, so that its buffer is allocated once.
const USUAL_LINE: usize = 4096;

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
    /// The kind of device: `file`, `stdout`, `socket`, `syslog`.
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
    failures: Counter,
}

struct Enabled {
    info: DeviceInfo,
    hasher: Hasher,
    writer: Arc<Writer>,
}

/// Entries that were handed to every device.
#[must_use = "whether a device took the entry decides whether the answer may leave"]
pub struct Recording {
    devices: usize,
    taken: bool,
    waiting: Vec<oneshot::Receiver<bool>>,
}

impl Recording {
    /// Waits until each device took the entries or failed.
    ///
    /// # Errors
    /// When none took them.
    pub async fn done(mut self) -> Result<(), AuditFailure> {
        for written in self.waiting {
            self.taken |= written.await.unwrap_or(false);
        }
        if self.taken { Ok(()) } else { Err(AuditFailure::NoDevice { devices: self.devices }) }
    }

    /// Whether it is certain already that none took them.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        !self.taken && self.waiting.is_empty()
    }
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
    /// When it cannot be recorded. Only what [`Recording::done`] says tells that it was: else the request must not be
    /// carried out.
    pub fn record_request(&self, request: &RequestRecord<'_>) -> Result<Recording, AuditFailure> {
        self.record(|hasher, line| render(request, None, hasher, line))
    }

    /// Records the answer to a request. Without a device this does nothing.
    ///
    /// # Errors
    /// When it cannot be recorded. Only what [`Recording::done`] says tells that it was: else the answer must not leave.
    pub fn record_response(
        &self,
        request: &RequestRecord<'_>,
        response: &ResponseRecord<'_>,
    ) -> Result<Recording, AuditFailure> {
        self.record(|hasher, line| render(request, Some(response), hasher, line))
    }

    /// Records a request, made at `asked`, and its answer by one write: for requests that change nothing, whose
    /// entry may wait until their answer is ready to leave. Without a device this does nothing.
    ///
    /// # Errors
    /// As for [`Self::record_response`].
    pub fn record_exchange(
        &self,
        asked: Timestamp,
        request: &RequestRecord<'_>,
        response: &ResponseRecord<'_>,
    ) -> Result<Recording, AuditFailure> {
        self.record(|hasher, lines| render_exchange(asked, request, response, hasher, lines))
    }

    fn record(
        &self,
        render: impl Fn(&Hasher, &mut Vec<u8>) -> Result<(), RedactError>,
    ) -> Result<Recording, AuditFailure> {
        let devices = self.devices.load();
        let mut recording = Recording { devices: devices.len(), taken: devices.is_empty(), waiting: Vec::new() };
        for enabled in devices.values() {
            let mut lines = Vec::with_capacity(USUAL_LINE);
            render(&enabled.hasher, &mut lines)?;
            match enabled.writer.submit(lines) {
                Submitted::Done(taken) => recording.taken |= taken,
                Submitted::Waiting(written) => recording.waiting.push(written),
            }
        }
        Ok(recording)
    }

    /// Waits for what was recorded, and counts entries that no device took.
    ///
    /// # Errors
    /// When no device took them, or they could not be recorded in the first place.
    pub(crate) async fn settle(&self, recording: Result<Recording, AuditFailure>) -> Result<(), AuditFailure> {
        let settled = match recording {
            Ok(recording) => recording.done().await,
            Err(failure) => Err(failure),
        };
        if settled.is_err() {
            self.failures.count();
        }
        settled
    }

    /// Entries that no device took.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.value()
    }

    /// Enables the device behind `writer` under `info.path`, its values hashed under `salt`.
    ///
    /// # Errors
    /// When there is no path, or a device is enabled at it, above it or below it (`a/` and `a/b/` exclude each other).
    pub(crate) fn add(&self, mut info: DeviceInfo, writer: Arc<Writer>, salt: &Key256) -> Result<(), AddDeviceError> {
        info.path = canonical(&info.path).ok_or(AddDeviceError::NoPath)?;
        let path = info.path.clone();
        let enabled = Arc::new(Enabled { info, hasher: Hasher::new(salt), writer });
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
        self.devices.load().get(&canonical(path)?)?.writer.head()
    }

    /// Which of `claims` about the log of the device at `path` do not hold; `None` for a device without a chain.
    #[must_use]
    pub fn refute(&self, path: &str, claims: &[Claim]) -> Option<Vec<usize>> {
        let devices = self.devices.load();
        let key = devices.get(&canonical(path)?)?.writer.key()?;
        Some(claims.iter().enumerate().filter(|(_, claim)| !key.holds(claim)).map(|(at, _)| at).collect())
    }

    /// How far each chain has come, by its device's path.
    pub(crate) fn heads(&self) -> Vec<(String, Head)> {
        let head = |(path, enabled): (&String, &Arc<Enabled>)| Some((path.clone(), enabled.writer.head()?));
        self.devices.load().iter().filter_map(head).collect()
    }

    /// Has every device open its file anew, after a rotation by somebody else, or connect anew. One that cannot keeps
    /// its old file, and the reason is logged.
    pub fn reopen_all(&self) {
        for (path, enabled) in self.devices.load().iter() {
            match enabled.writer.reopen() {
                Ok(()) => tracing::info!(device = %path, "audit device reopened"),
                Err(error) => tracing::error!(device = %path, %error, "audit device not reopened; the old file stays"),
            }
        }
    }
}

/// A device's path with one slash at its end, as Vault lists it; nothing if there is no path.
fn canonical(path: &str) -> Option<String> {
    let name = path.trim_matches('/');
    (!name.is_empty()).then(|| format!("{name}/"))
}

#[cfg(test)]
mod tests;
