//! The database engine on databases in memory: what it does, and what is left when its process dies.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod crash;
mod credentials;
mod static_roles;
mod world;
