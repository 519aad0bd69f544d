//! The audit devices of this process: a file, standard output, a collector behind a socket, the local syslog, and one
//! that keeps nothing.
//!
//! Options of `file` as Vault's device takes them (`PUT sys/audit/:path`): `file_path` (or `path`), where `stdout` and
//! `discard` are not files; `mode`, octal, `0600` unless given, `0000` to leave an existing file's mode alone.
//! Options that shape the entries (`hmac_accessor`, `elide_list_responses`, …) concern who writes to the device.

mod connection;
mod file;
mod remote;
mod socket;
mod stdout;
mod syslog;

use std::{collections::BTreeMap, future::ready, path::PathBuf, sync::Arc};

use keyturn_core::{
    audit::{Device, DeviceError, DeviceFactory},
    storage::BoxFuture,
};

pub use self::{
    file::{FileDevice, Mode},
    socket::SocketDevice,
    stdout::StdoutDevice,
    syslog::SyslogDevice,
};

/// A device that takes every entry and keeps none: for measuring, never for a server that matters.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiscardDevice;

impl Device for DiscardDevice {
    fn write(&self, _: &[u8]) -> Result<(), DeviceError> {
        Ok(())
    }

    fn reopen(&self) -> Result<(), DeviceError> {
        Ok(())
    }
}

/// Opens devices of the kinds `file`, `stdout`, `socket` and `syslog`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Devices;

impl DeviceFactory for Devices {
    fn open<'a>(
        &'a self,
        kind: &'a str,
        options: &'a BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<Arc<dyn Device>, DeviceError>> {
        Box::pin(ready(open(kind, options)))
    }
}

/// Says what is wrong with the options of a `socket` or `syslog` device; connects to nothing.
///
/// # Errors
/// The option that is missing or wrong, or that the kind is another one.
pub fn check(kind: &str, options: &BTreeMap<String, String>) -> Result<(), DeviceError> {
    match kind {
        "socket" => SocketDevice::new(options).map(drop),
        "syslog" => SyslogDevice::new(options).map(drop),
        other => Err(DeviceError(format!("{other} is no kind that connects"))),
    }
}

fn open(kind: &str, options: &BTreeMap<String, String>) -> Result<Arc<dyn Device>, DeviceError> {
    match kind {
        "stdout" => Ok(Arc::new(StdoutDevice)),
        "file" => open_file(options),
        "socket" => Ok(Arc::new(SocketDevice::new(options)?)),
        "syslog" => Ok(Arc::new(SyslogDevice::new(options)?)),
        other => Err(DeviceError(format!("there is no kind {other:?}; known are file, stdout, socket and syslog"))),
    }
}

fn open_file(options: &BTreeMap<String, String>) -> Result<Arc<dyn Device>, DeviceError> {
    let path = options
        .get("file_path")
        .or_else(|| options.get("path"))
        .filter(|path| !path.is_empty())
        .ok_or_else(|| DeviceError("file_path is required".to_owned()))?;
    if path.eq_ignore_ascii_case("stdout") {
        return Ok(Arc::new(StdoutDevice));
    }
    if path.eq_ignore_ascii_case("discard") {
        return Ok(Arc::new(DiscardDevice));
    }
    let mode = options.get("mode").map_or(Ok(Mode::default()), |text| text.parse())?;
    Ok(Arc::new(FileDevice::open(PathBuf::from(path), mode)?))
}
