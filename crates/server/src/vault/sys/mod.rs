//! The system's own paths, `sys/`; a file is named after its URL.

pub(super) mod audit;
pub(super) mod audit_chain;
pub(super) mod auth;
pub(super) mod capabilities;
pub(super) mod internal_ui;
pub(super) mod leases;
mod mount_class;
mod mount_entry;
pub(super) mod mounts;
pub(super) mod policies;
pub(super) mod policy;
pub(super) mod remount;
pub(super) mod rotate;
pub(super) mod seal;
pub(super) mod wrapping;
