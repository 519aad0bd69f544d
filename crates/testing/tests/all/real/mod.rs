//! What is promised of crashes, on real PostgreSQL, MariaDB and Redis.

mod engine;
mod leases;
mod rotation;
mod watched;

#[path = "../../../../targets/tests/support/server.rs"]
mod server;

pub(crate) use engine::Case;
