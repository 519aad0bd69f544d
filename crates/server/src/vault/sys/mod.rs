//! The system's own paths, `sys/`; a file is named after its URL.

pub(super) mod audit;
pub(super) mod audit_chain;
pub(super) mod auth;
pub(super) mod capabilities;
pub(super) mod counters;
pub(super) mod host_info;
pub(super) mod internal_ui;
pub(super) mod leases;
pub(super) mod locked_users;
mod mount_class;
mod mount_entry;
pub(super) mod mounts;
pub(super) mod plugins;
pub(super) mod policies;
pub(super) mod policies_password;
pub(super) mod policy;
pub(super) mod remount;
pub(super) mod resultant_acl;
pub(super) mod rotate;
pub(super) mod seal;
pub(super) mod wrapping;
pub(super) mod status;
pub(super) mod tools;
