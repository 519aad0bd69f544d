//! The shapes of the wire protocols, shared by those who send and those who receive them. No I/O.

pub mod aws;
pub mod doppler;
pub mod vault;
