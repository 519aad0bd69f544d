//! Storage backends. Each passes [`crate::conformance`].

mod embedded;
mod engine;
mod medium;
mod writer;

pub use embedded::Embedded;
