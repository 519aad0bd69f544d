//! The crate is described in ARCHITECTURE.md.
