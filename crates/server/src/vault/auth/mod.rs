//! Auth methods; a file is named after its mount's usual path.

use ipnet::IpNet;

pub(super) mod token;
pub(super) mod token_role;

/// Networks as Vault tells them: one of a single address by the address alone.
fn told_cidrs(cidrs: &[IpNet]) -> Vec<String> {
    let told = |cidr: &IpNet| {
        if cidr.prefix_len() == cidr.max_prefix_len() { cidr.addr().to_string() } else { cidr.to_string() }
    };
    cidrs.iter().map(told).collect()
}
