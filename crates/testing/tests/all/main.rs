//! Everything that is tested with a whole server in the process; one program, because each would link all of it.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod alerts;
mod aws_identity;
mod ceremony;
mod database;
mod door;
mod identity;
mod kept;
mod labelled;
mod leases;
mod login;
mod quotas;
mod real;
mod rotation;
mod trust;
