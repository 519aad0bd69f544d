//! Entries to a collector behind a socket, one JSON object per line or per datagram. Options as Vault's `socket` device
//! takes them:
//!
//! ```text
//! address         host:port, or the absolute path of a Unix socket
//! socket_type     tcp (unless given), udp, unix (a stream), unixgram
//! write_timeout   "2s" unless given: the longest that one write may take, connecting included; 1ms to 60s
//! ```

use std::{collections::BTreeMap, path::Path, time::Duration};

use keyturn_core::{
    audit::{Device, DeviceError},
    duration::parse_seconds,
};
use rustix::net::SocketType;

use super::{connection::Address, remote::Remote};

const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Sends to a collector over TCP, UDP or a Unix socket.
#[derive(Debug)]
pub struct SocketDevice {
    remote: Remote,
    largest: usize,
}

impl SocketDevice {
    /// Reads the options; the first write connects.
    ///
    /// # Errors
    /// The option that is missing or wrong.
    pub fn new(options: &BTreeMap<String, String>) -> Result<Self, DeviceError> {
        let address = address(options)?;
        let largest = address.largest();
        Ok(Self { remote: Remote::new(address, write_timeout(options)?, true), largest })
    }
}

impl Device for SocketDevice {
    fn write(&self, line: &[u8]) -> Result<(), DeviceError> {
        self.remote.write(line)
    }

    /// The next write connects anew, and looks the address up again.
    fn reopen(&self) -> Result<(), DeviceError> {
        self.remote.renew();
        Ok(())
    }

    fn waits(&self) -> bool {
        true
    }

    fn largest(&self) -> usize {
        self.largest
    }
}

fn address(options: &BTreeMap<String, String>) -> Result<Address, DeviceError> {
    let address = options.get("address").filter(|address| !address.is_empty());
    let address = address.ok_or_else(|| DeviceError("address is required".to_owned()))?;
    match options.get("socket_type").map_or("tcp", String::as_str) {
        "tcp" => Ok(Address::Tcp(host_and_port(address)?)),
        "udp" => Ok(Address::Udp(host_and_port(address)?)),
        "unix" => unix(address, &[SocketType::STREAM]),
        "unixgram" => unix(address, &[SocketType::DGRAM]),
        other => Err(DeviceError(format!("socket_type {other:?} is none of tcp, udp, unix and unixgram"))),
    }
}

fn host_and_port(address: &str) -> Result<String, DeviceError> {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    match parts {
        Some((host, 1..)) if !host.is_empty() => Ok(address.to_owned()),
        _ => Err(DeviceError(format!("address {address:?} is not a host and a port; write \"127.0.0.1:9090\""))),
    }
}

/// The address of a Unix socket of one of `types`.
pub(super) fn unix(path: &str, types: &'static [SocketType]) -> Result<Address, DeviceError> {
    if !Path::new(path).is_absolute() {
        return Err(DeviceError(format!("address {path:?} is not the absolute path of a Unix socket")));
    }
    Ok(Address::Unix(path.into(), types))
}

/// The option `write_timeout`.
pub(super) fn write_timeout(options: &BTreeMap<String, String>) -> Result<Duration, DeviceError> {
    let Some(text) = options.get("write_timeout").filter(|text| !text.is_empty()) else { return Ok(WRITE_TIMEOUT) };
    let millis = text.strip_suffix("ms").and_then(|number| number.parse().ok()).map(Duration::from_millis);
    let timeout = millis.or_else(|| parse_seconds(text).ok().map(Duration::from_secs));
    timeout.filter(|timeout| !timeout.is_zero() && *timeout <= LONGEST_TIMEOUT).ok_or_else(|| {
        DeviceError(format!("write_timeout {text:?} is not a time from 1ms to 60s; write \"2s\" or \"500ms\""))
    })
}

#[cfg(test)]
mod tests;
