//! The AWS protocols: how requests are signed.

pub mod sigv4;

/// The account that all resources are in: a store is one account.
pub const ACCOUNT_ID: &str = "000000000000";

/// The namespace of the answers of STS.
pub const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
