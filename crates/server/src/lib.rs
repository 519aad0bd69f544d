//! Keyturn over HTTP: listeners with their limits, TLS, audit devices, and the protocols that clients speak.

pub mod api;
pub mod audit_device;
pub mod aws;
mod client_certificate;
pub mod doppler;
pub mod hook_command;
pub mod limits;
pub mod listener;
pub mod outbound;
mod request_id;
pub mod shutdown;
pub mod spool;
mod tally;
pub mod tls;
pub mod vault;
