//! Storage backends. Each passes [`crate::conformance`].

mod embedded;
mod engine;
#[cfg(test)]
mod fault_tests;
mod medium;
mod writer;

pub use embedded::Embedded;
