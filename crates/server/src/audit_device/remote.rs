//! A collector that entries are sent to: one connection, kept as long as it works.
//!
//! A write has one deadline, whatever it takes: looking a name up, connecting, waiting for room. A connection that is
//! found dead before any of the write has left is replaced once. One on which a write stopped half-way is closed: what
//! followed on it would be read as the rest of the torn line. A collector that puts streams behind each other in one
//! file loses the torn line alone, since the next stream begins with a line feed.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use keyturn_core::audit::DeviceError;

use super::connection::{Address, Broken, Connection, Deadline};

/// A collector.
#[derive(Debug)]
pub(super) struct Remote {
    address: Address,
    /// For one write.
    timeout: Duration,
    /// Whether datagrams end in one.
    line_feeds: bool,
    link: Mutex<Link>,
    /// Whether to connect anew with the next write.
    renew: AtomicBool,
}

#[derive(Debug, Default)]
struct Link {
    connection: Option<Connection>,
    /// The last write on a stream stopped in the middle of a line.
    torn: bool,
}

impl Remote {
    /// Connects with the first write.
    pub(super) fn new(address: Address, timeout: Duration, line_feeds: bool) -> Self {
        Self { address, timeout, line_feeds, link: Mutex::default(), renew: AtomicBool::new(false) }
    }

    /// Has the next write connect anew; waits for none.
    pub(super) fn renew(&self) {
        self.renew.store(true, Ordering::Relaxed);
    }

    /// Sends lines that end in line feeds.
    pub(super) fn write(&self, lines: &[u8]) -> Result<(), DeviceError> {
        let deadline = Deadline::after(self.timeout);
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if self.renew.swap(false, Ordering::Relaxed) {
            link.connection = None;
        }
        if link.torn {
            let begun = [b"\n", lines].concat();
            return self.send(&mut link, &begun, deadline);
        }
        self.send(&mut link, lines, deadline)
    }

    fn send(&self, link: &mut Link, lines: &[u8], deadline: Deadline) -> Result<(), DeviceError> {
        if let Some(connection) = link.connection.take() {
            if connection.is_alive() {
                match self.send_on(connection, link, lines, deadline) {
                    Err(Broken { started: false, usable: false, .. }) => {}
                    sent => return sent.map_err(|broken| self.failed("cannot be written", &broken.error)),
                }
            }
            let address = &self.address;
            tracing::warn!(%address, "a collector has closed the connection; the last entries may be lost");
        }
        let connection = self.address.connect(deadline).map_err(|error| self.failed("cannot be reached", &error))?;
        let sent = self.send_on(connection, link, lines, deadline);
        sent.map_err(|broken| self.failed("cannot be written", &broken.error))
    }

    /// Sends by `connection` and keeps it, unless it is of no more use.
    fn send_on(&self, connection: Connection, link: &mut Link, lines: &[u8], deadline: Deadline) -> Result<(), Broken> {
        let sent = connection.send(lines, self.line_feeds, deadline);
        link.torn = match &sent {
            Ok(()) => false,
            Err(broken) => broken.torn || link.torn,
        };
        if sent.as_ref().map_or_else(|broken| broken.usable, |()| true) {
            link.connection = Some(connection);
        }
        sent
    }

    fn failed(&self, what: &str, error: &io::Error) -> DeviceError {
        let (address, timeout) = (&self.address, self.timeout);
        DeviceError(match error.kind() {
            io::ErrorKind::TimedOut => format!("{address} {what} within {timeout:?}"),
            _ => format!("{address} {what}: {error}"),
        })
    }
}
