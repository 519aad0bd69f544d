//! Entries to the machine's syslog, as RFC 3164 writes them without a host name:
//!
//! ```text
//! <38>Jan  2 03:04:05 vault[4711]: {"time":"2026-01-02T03:04:05.678Z",…}
//!  |  the entry's second, UTC       the entry
//!  facility · 8 + 6 (informational)
//! ```
//!
//! Options as Vault's `syslog` device takes them: `facility`, `AUTH` unless given; `tag`, `vault` unless given. Besides
//! `address`, the absolute path of the socket, `/dev/log` unless given, and `write_timeout`.

use std::{collections::BTreeMap, io::Write};

use keyturn_core::audit::{Device, DeviceError};
use rustix::net::SocketType;

use super::{
    remote::Remote,
    socket::{unix, write_timeout},
};

const ADDRESS: &str = "/dev/log";
const FACILITY: &str = "AUTH";
const TAG: &str = "vault";
/// RFC 3164 gives a tag so many characters.
const LONGEST_TAG: usize = 32;
const INFORMATIONAL: u8 = 6;
/// By their number.
const FACILITIES: [&str; 12] =
    ["KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP"];
const LOCAL0: u8 = 16;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// `Jan  2 03:04:05 `.
const STAMP_LEN: usize = 16;

/// Sends to the local syslog.
#[derive(Debug)]
pub struct SyslogDevice {
    remote: Remote,
    priority: String,
    /// `vault[4711]: `.
    sender: String,
    largest: usize,
}

impl SyslogDevice {
    /// Reads the options; the first write connects.
    ///
    /// # Errors
    /// The option that is wrong.
    pub fn new(options: &BTreeMap<String, String>) -> Result<Self, DeviceError> {
        let option = |name: &str, default: &'static str| {
            options.get(name).map(String::as_str).filter(|value| !value.is_empty()).unwrap_or(default)
        };
        // Daemons listen for datagrams; a few take streams instead.
        let address = unix(option("address", ADDRESS), &[SocketType::DGRAM, SocketType::STREAM])?;
        let facility = facility(option("facility", FACILITY))?;
        let priority = format!("<{}>", facility * 8 + INFORMATIONAL);
        let sender = format!("{}[{}]: ", tag(option("tag", TAG))?, std::process::id());
        let largest = address.largest().saturating_sub(priority.len() + STAMP_LEN + sender.len());
        Ok(Self { remote: Remote::new(address, write_timeout(options)?, false), priority, sender, largest })
    }

    fn message(&self, line: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.priority.as_bytes());
        append_stamp(line, out);
        out.extend_from_slice(self.sender.as_bytes());
        out.extend_from_slice(line);
    }
}

impl Device for SyslogDevice {
    fn write(&self, lines: &[u8]) -> Result<(), DeviceError> {
        let mut messages = Vec::with_capacity(lines.len() + 128);
        lines.split_inclusive(|byte| *byte == b'\n').for_each(|line| self.message(line, &mut messages));
        self.remote.write(&messages)
    }

    /// The next write connects anew.
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

/// The number of a facility by its name, in any case.
fn facility(name: &str) -> Result<u8, DeviceError> {
    let upper = name.to_ascii_uppercase();
    let local = upper.strip_prefix("LOCAL").and_then(|number| number.parse().ok()).filter(|number| *number < 8);
    let named = || (0..).zip(FACILITIES).find(|(_, known)| *known == upper).map(|(number, _)| number);
    local.map(|number: u8| LOCAL0 + number).or_else(named).ok_or_else(|| {
        let known = FACILITIES.join(", ");
        DeviceError(format!("facility {name:?} is none of {known} and LOCAL0 to LOCAL7"))
    })
}

fn tag(tag: &str) -> Result<&str, DeviceError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if tag.len() <= LONGEST_TAG && tag.bytes().all(fits) {
        return Ok(tag);
    }
    Err(DeviceError(format!("tag {tag:?} is not 1 to {LONGEST_TAG} letters, digits, '-', '_', '.' or '/'")))
}

/// The second of the entry's own time. An entry without one goes without a stamp, and gets the daemon's.
fn append_stamp(entry: &[u8], out: &mut Vec<u8>) {
    let stamp = || {
        let text = std::str::from_utf8(entry.strip_prefix(b"{\"time\":\"")?.get(..19)?).ok()?;
        let (date, time) = text.split_once('T')?;
        let mut parts = date.split('-').skip(1).map(|part| part.parse::<usize>().ok());
        let (month, day) = (MONTHS.get(parts.next()??.checked_sub(1)?)?, parts.next()??);
        Some((month, day, time))
    };
    if let Some((month, day, time)) = stamp() {
        // A vector takes every byte; there is no error to pass on.
        _ = write!(out, "{month} {day:>2} {time} ");
    }
}

#[cfg(test)]
mod tests;
