//! An audit device that a test can read, and a factory that offers no others.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use keyturn_core::{
    audit::{Device, DeviceError, DeviceFactory},
    storage::BoxFuture,
};

/// Keeps every line in memory; can be made to fail.
#[derive(Debug, Default)]
pub struct Recording {
    lines: Mutex<Vec<String>>,
    broken: AtomicBool,
}

impl Recording {
    /// The lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes every further write fail, or succeed again.
    pub fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }
}

impl Device for Recording {
    fn write(&self, line: &[u8]) -> Result<(), DeviceError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(DeviceError("the test broke it".to_owned()));
        }
        let line = String::from_utf8_lossy(line).into_owned();
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        Ok(())
    }

    fn reopen(&self) -> Result<(), DeviceError> {
        Ok(())
    }
}

/// Offers no devices through `sys/audit`.
#[derive(Debug, Clone, Copy)]
pub struct NoDevices;

impl DeviceFactory for NoDevices {
    fn open<'a>(
        &'a self,
        kind: &'a str,
        _options: &'a BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<Arc<dyn Device>, DeviceError>> {
        Box::pin(async move { Err(DeviceError(format!("a test server offers no audit device of kind {kind:?}"))) })
    }
}
