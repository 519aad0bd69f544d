//! Keyturn over HTTP: listeners with their limits, TLS, audit devices, and the protocols that clients speak.

pub mod audit_device;
mod client_certificate;
pub mod limits;
pub mod listener;
pub mod outbound;
pub mod shutdown;
pub mod spool;
pub mod tls;
pub mod vault;
