//! The audit log: every request and every answer is recorded, in Vault's JSON format, before the answer leaves.
//!
//! A caller describes what happens in borrowed records ([`RequestRecord`], [`ResponseRecord`]) and hands them to the
//! [`Broker`], which renders one line for each enabled [`Device`] with the device's own [`Hasher`]. Secret values
//! leave the process only as keyed hashes, so that a value can be recognised in a log (`sys/audit-hash`) by whoever
//! knows it already, and by nobody else. A chain of keyed hashes through each device's entries shows when some of them were altered
//! or taken away. When no device takes the entry, the caller must not answer.

mod broker;
mod chain;
mod device;
mod entry;
mod hash;
mod json;
mod redact;
mod writer;

pub use broker::{AddDeviceError, AuditFailure, Broker, DeviceInfo, Recording};
pub use chain::{Claim, Digest, Fault, Head, Link, Walk};
pub use device::{Device, DeviceError, DeviceFactory};
pub use entry::{AuthRecord, HeaderRecord, IssuedAuth, RequestRecord, ResponseRecord};
pub use hash::Hasher;
pub use redact::{MAX_DEPTH, RedactError};
pub(crate) use writer::{Chained, Writer};
