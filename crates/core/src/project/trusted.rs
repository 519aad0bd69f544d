//! From where configs may be read and written. It holds at every door, hence the door asks here; nothing but memory is
//! looked at, and without any such config it is one load.

use std::{collections::HashMap, net::IpAddr, sync::Mutex};

use arc_swap::ArcSwap;
use ipnet::IpNet;

use super::Project;
use crate::token::address_allowed;

type Networks = HashMap<String, HashMap<String, Vec<IpNet>>>;

/// The networks that configs trust, by the mount's uuid and the secret's name.
#[derive(Default)]
pub(super) struct Trusted {
    networks: ArcSwap<Networks>,
    changing: Mutex<()>,
}

impl Trusted {
    /// Learns what a project's record says; `None`: the project is gone.
    pub(super) fn learn(&self, mount: &str, project: &str, record: Option<&Project>) {
        let _changing = self.changing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = self.networks.load();
        let configs = record.map_or(&[][..], |record| &record.configs);
        let said = configs.iter().filter(|config| !config.trusted.is_empty());
        let prefix = format!("{project}/");
        let had = known.get(mount).is_some_and(|names| names.keys().any(|name| name.starts_with(&prefix)));
        if !had && said.clone().next().is_none() {
            return;
        }
        let mut networks = Networks::clone(&known);
        let names = networks.entry(mount.to_owned()).or_default();
        names.retain(|name, _| !name.starts_with(&prefix));
        names.extend(said.map(|config| (format!("{prefix}{}", config.name), config.trusted.clone())));
        networks.retain(|_, names| !names.is_empty());
        self.networks.store(std::sync::Arc::new(networks));
    }

    /// Whether a path below a mount may be used from an address.
    pub(super) fn allows(&self, mount: &str, rest: &str, address: Option<IpAddr>) -> bool {
        let networks = self.networks.load();
        if networks.is_empty() {
            return true;
        }
        let Some((area, name)) = rest.split_once('/') else { return true };
        // What is said about a config can be changed from elsewhere, or a wrong network would lock everybody out.
        area == "metadata"
            || networks
                .get(mount)
                .and_then(|names| names.get(name))
                .is_none_or(|trusted| address_allowed(trusted, address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, project::Config};

    #[test]
    fn a_config_that_trusts_networks_trusts_no_others() {
        let trusted = Trusted::default();
        let mut record = Project::new(String::new(), Timestamp::UNIX_EPOCH);
        let networks = vec!["10.0.0.0/8".parse().expect("a network")];
        record.insert(Config { trusted: networks, ..Config::new("prd", "prd", Timestamp::UNIX_EPOCH) });
        trusted.learn("m", "app", Some(&record));
        let from = |rest: &str, address: &str| trusted.allows("m", rest, Some(address.parse().expect("an address")));
        assert!(from("data/app/prd", "10.1.2.3") && from("data/app/prd", "::ffff:10.1.2.3"));
        for rest in ["data/app/prd", "subkeys/app/prd", "delete/app/prd"] {
            assert!(!from(rest, "192.0.2.1") && !trusted.allows("m", rest, None), "{rest}");
        }
        for rest in ["metadata/app/prd", "data/app/prd/x", "data/app/prd_x", "data/other/prd", "config"] {
            assert!(from(rest, "192.0.2.1"), "{rest}");
        }
        assert!(trusted.allows("other", "data/app/prd", None));
        trusted.learn("m", "app", None);
        assert!(from("data/app/prd", "192.0.2.1"));
    }
}
