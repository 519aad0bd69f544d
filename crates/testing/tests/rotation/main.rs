//! Rotations over a target in memory: what they promise, at every point at which a process can die.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod crash;
mod fake;
mod life;
mod world;
