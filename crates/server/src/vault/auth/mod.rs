//! Auth methods; a file is named after its mount's usual path.

use ipnet::IpNet;

pub(super) mod approle;
pub(super) mod approle_field;
pub(super) mod approle_secret_id;
pub(super) mod cert;
pub(super) mod jwt;
pub(super) mod jwt_role;
pub(super) mod kubernetes;
pub(super) mod token;
pub(super) mod token_role;
mod token_settings;
pub(super) mod userpass;

pub(super) use token_role::set;

/// Networks as Vault tells them: one of a single address by the address alone.
fn told_cidrs(cidrs: &[IpNet]) -> Vec<String> {
    let told = |cidr: &IpNet| {
        if cidr.prefix_len() == cidr.max_prefix_len() { cidr.addr().to_string() } else { cidr.to_string() }
    };
    cidrs.iter().map(told).collect()
}
