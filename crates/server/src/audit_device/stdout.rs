//! Entries on standard output, for a process whose output is collected by its supervisor.

use std::io::{self, Write};

use keyturn_core::audit::{Device, DeviceError};

/// Writes to standard output; each entry leaves in one piece, and is flushed.
#[derive(Debug, Clone, Copy, Default)]
pub struct StdoutDevice;

impl Device for StdoutDevice {
    fn write(&self, line: &[u8]) -> Result<(), DeviceError> {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(line)
            .and_then(|()| stdout.flush())
            .map_err(|error| DeviceError(format!("standard output: {error}")))
    }

    /// Nothing to do: whoever started the process owns its output.
    fn reopen(&self) -> Result<(), DeviceError> {
        Ok(())
    }
}
