//! Networks within networks.

use std::net::IpAddr;

use ipnet::IpNet;

use super::AppRoleError;
use crate::token::address_allowed;

/// Checks that each network of a secret id lies within one of its role's; a role without any allows all.
pub(super) fn check_within(of_secret_id: &[IpNet], of_role: &[IpNet]) -> Result<(), AppRoleError> {
    let covered = |inner: &IpNet| of_role.iter().any(|outer| outer.contains(inner));
    if of_role.is_empty() || of_secret_id.iter().all(covered) {
        return Ok(());
    }
    Err(AppRoleError::Invalid(format!(
        "failed to verify subset relationship between CIDR blocks on the role {of_role:?} and CIDR blocks on the \
         secret ID {of_secret_id:?}"
    )))
}

/// Checks that a login comes from one of `cidrs`, if there are any.
pub(super) fn check_source(cidrs: &[IpNet], from: Option<IpAddr>, whose: &'static str) -> Result<(), AppRoleError> {
    if address_allowed(cidrs, from) {
        return Ok(());
    }
    let address = from.map_or_else(|| "unknown".to_owned(), |address| address.to_canonical().to_string());
    Err(AppRoleError::Source { address, whose })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().expect("a network")).collect()
    }

    #[test]
    fn every_network_must_lie_within_one_of_the_roles() {
        for (inner, outer, within) in [
            (vec![], vec!["10.0.0.0/8"], true),
            (vec!["192.168.0.0/16"], vec![], true),
            (vec!["10.1.0.0/16", "127.0.0.1/32"], vec!["127.0.0.0/8", "10.0.0.0/8"], true),
            (vec!["10.0.0.0/8"], vec!["10.0.0.0/8"], true),
            (vec!["10.0.0.0/7"], vec!["10.0.0.0/8"], false),
            (vec!["10.1.0.0/16", "11.0.0.0/16"], vec!["10.0.0.0/8"], false),
            (vec!["fd00::/16"], vec!["0.0.0.0/0"], false),
        ] {
            assert_eq!(check_within(&nets(&inner), &nets(&outer)).is_ok(), within, "{inner:?} in {outer:?}");
        }
    }

    #[test]
    fn a_source_outside_is_named() {
        let cidrs = nets(&["10.0.0.0/8"]);
        assert!(check_source(&cidrs, Some([10, 9, 8, 7].into()), "role").is_ok());
        assert!(check_source(&[], None, "role").is_ok());
        let refused = check_source(&cidrs, Some([127, 0, 0, 1].into()), "secret ID").expect_err("outside");
        assert_eq!(
            refused.to_string(),
            "source address \"127.0.0.1\" unauthorized through CIDR restrictions on the secret ID"
        );
        assert!(check_source(&cidrs, None, "role").is_err());
    }
}
