//! Where audit entries go: the devices that must take a line before an answer leaves.

use std::{collections::BTreeMap, sync::Arc};

use crate::storage::BoxFuture;

/// A device could not be opened, could not record an entry, or could not be reopened. The text names the device's
/// trouble ("no space left on device"), never what was to be recorded.
#[derive(Debug, Clone, thiserror::Error)]
#[error("audit device could not write: {0}")]
pub struct DeviceError(pub String);

/// Where audit entries are recorded: a file, standard output, a collector behind a socket.
pub trait Device: Send + Sync {
    /// Records one entry or several: each a JSON object and its line feed. Returns once the operating system has taken it.
    ///
    /// # Errors
    /// When it was not recorded whole.
    fn write(&self, line: &[u8]) -> Result<(), DeviceError>;

    /// Opens the underlying file or connection anew, after a rotation by somebody else (SIGHUP). Waits for no collector.
    ///
    /// # Errors
    /// When the file cannot be opened; the device then keeps its old one.
    fn reopen(&self) -> Result<(), DeviceError>;

    /// Whether a write may wait for somebody else, a collector: then none is made on a thread that serves requests.
    fn waits(&self) -> bool {
        false
    }

    /// The most bytes of one entry, its link and line feed included.
    fn largest(&self) -> usize {
        usize::MAX
    }
}

/// Makes devices of the kinds that this process offers (`file`), from the options given to `sys/audit`.
pub trait DeviceFactory: Send + Sync {
    /// Opens a device of `kind` with `options` (for `file`: `file_path`, `mode`). Waits for nobody: whether it can be
    /// written to shows with the first write.
    fn open<'a>(
        &'a self,
        kind: &'a str,
        options: &'a BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<Arc<dyn Device>, DeviceError>>;
}
