//! Rotations over a target in memory: what they promise, at every point at which a process can die.

mod crash;
mod fake;
mod hook;
mod hooks;
mod life;
mod schedules;
pub(crate) mod world;
