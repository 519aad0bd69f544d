//! Where records live and what guards them: backends below, the barrier that seals every value above them, and the
//! seal that guards the barrier's root key.
//!
//! Direction: [`seal`] opens a [`barrier`], which stands on any [`keyturn_core::storage::Storage`]; [`backend`] has
//! the ones of this crate and [`conformance`] the suite that each must pass; [`snapshot`] copies a store whole. [`hardening`] is the one module of the
//! workspace with unsafe code: it keeps key material out of swap and core dumps.

pub mod backend;
pub mod barrier;
pub mod conformance;
mod files;
pub mod hardening;
pub mod seal;
pub mod snapshot;
