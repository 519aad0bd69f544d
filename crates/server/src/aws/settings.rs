//! What the AWS APIs are told where the server is set up: which mount stands for which region.

use std::collections::BTreeMap;

/// Where the AWS APIs find their secrets, and how they call them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSettings {
    /// The region in the ARNs of the secrets of `mount`. Requests signed for a region that no other mount stands for
    /// are answered from there.
    pub region: String,
    /// The account in the ARNs of all mounts but those of other accounts: twelve digits.
    pub account_id: String,
    /// The versioned mount that is served, with its slash at the end.
    pub mount: String,
    /// Mounts that stand for other regions.
    pub region_mounts: BTreeMap<String, String>,
    /// Mounts that stand for other accounts, in `region`.
    pub account_mounts: BTreeMap<String, String>,
}

impl Default for AwsSettings {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            mount: "secret/".to_owned(),
            region_mounts: BTreeMap::new(),
            account_mounts: BTreeMap::new(),
        }
    }
}

impl AwsSettings {
    /// The mount that stands for a region, if one does.
    pub(crate) fn mount_of(&self, region: &str) -> Option<&str> {
        if region == self.region { Some(&self.mount) } else { self.region_mounts.get(region).map(String::as_str) }
    }

    /// The region that a mount stands for, if it does.
    pub(crate) fn region_of(&self, mount: &str) -> Option<&str> {
        if mount == self.mount {
            return Some(&self.region);
        }
        self.region_mounts.iter().find(|(_, path)| *path == mount).map(|(region, _)| region.as_str())
    }

    /// The mount that stands for an account in a region, if one does.
    pub(crate) fn mount_at(&self, account: &str, region: &str) -> Option<&str> {
        if account == self.account_id {
            return self.mount_of(region);
        }
        self.account_mounts.get(account).filter(|_| region == self.region).map(String::as_str)
    }

    /// The account that has a mount.
    pub(crate) fn account_of(&self, mount: &str) -> &str {
        let other = self.account_mounts.iter().find(|(_, path)| *path == mount);
        other.map_or(&self.account_id, |(account, _)| account)
    }
}
