//! The audit log: every request and every answer is recorded, in Vault's JSON format, before the answer leaves.
//!
//! A caller describes what happens in borrowed records ([`RequestRecord`], [`ResponseRecord`]) and hands them to the
//! [`Broker`], which renders one line for each enabled [`Device`] with the device's own [`Hasher`]. Secret values
//! leave the process only as keyed hashes, so that a value can be recognised in a log (`sys/audit-hash`) by whoever
//! knows it already, and by nobody else. When no device takes the entry, the caller must not answer.

mod broker;
mod device;
mod entry;
mod hash;
mod json;
mod redact;

pub use broker::{AddDeviceError, AuditFailure, Broker, DeviceInfo};
pub use device::{Device, DeviceError, DeviceFactory};
pub use entry::{AuthRecord, IssuedAuth, RequestRecord, ResponseRecord};
pub use hash::Hasher;
pub use redact::{MAX_DEPTH, RedactError};
