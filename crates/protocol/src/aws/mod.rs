//! The AWS protocols: how requests are signed.

pub mod secretsmanager;
pub mod sigv4;

/// The namespace of the answers of STS.
pub const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
