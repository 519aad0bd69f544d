//! Secrets: `kv` version 1 and 2.

pub(super) mod config;
pub(super) mod data;
pub(super) mod diff;
pub(super) mod metadata;
pub(super) mod v1;
pub(super) mod versions;
