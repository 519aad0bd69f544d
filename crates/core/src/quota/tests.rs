use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::mount::MountConfig;

fn mount(path: &str, engine: Engine) -> Arc<Mount> {
    Arc::new(Mount {
        path: path.to_owned(),
        engine,
        uuid: format!("uuid-of-{path}"),
        accessor: String::new(),
        description: String::new(),
        options: BTreeMap::new(),
        config: MountConfig::default(),
        local: false,
        seal_wrap: false,
    })
}

fn rule(number: u64, mount: Option<&Mount>, suffix: &str, role: &str) -> Arc<Rule> {
    let record = Record {
        mount: mount.map(|mount| mount.uuid.clone()),
        suffix: suffix.to_owned(),
        role: role.to_owned(),
        rate: 1.0,
        interval: 1,
        block_interval: 0,
        inheritable: false,
    };
    Arc::new(Rule { number, record })
}

fn limits(suffixes: &[&str]) -> OfMount {
    let mount = mount("kv/", Engine::Kv2);
    let mut limits = OfMount::default();
    for (number, suffix) in suffixes.iter().enumerate() {
        limits.put(&rule(number as u64, Some(&mount), suffix, ""));
    }
    limits
}

#[test]
fn the_most_specific_limit_counts() {
    let limits = limits(&["", "data/*", "data/app/*", "data/app/db", "*"]);
    let found = |rest: &str| limits.find(rest).map(|rule| rule.record.suffix.clone());
    for (rest, suffix) in [
        ("data/app/db", "data/app/db"),
        ("data/app/dbx", "data/app/*"),
        ("data/app", "data/*"),
        ("data/other", "data/*"),
        ("metadata/x", "*"),
        ("", "*"),
    ] {
        assert_eq!(found(rest).as_deref(), Some(suffix), "{rest}");
    }
}

#[test]
fn names_outside_of_secrets_are_compared_in_one_case() {
    assert_eq!(folded(&mount("auth/u/", Engine::UserPass), "login/Ann"), "login/ann");
    assert_eq!(folded(&mount("sys/", Engine::System), "Policies/ACL"), "policies/acl");
    assert_eq!(folded(&mount("kv/", Engine::Kv2), "data/A"), "data/A");
}

#[test]
fn exempt_paths_are_prefixes() {
    let snapshot = Snapshot::new(BTreeMap::new(), QuotaConfig::default());
    assert!(snapshot.is_exempt("sys/health") && snapshot.is_exempt("sys/generate-root/attempt"));
    assert!(!snapshot.is_exempt("sys/mounts") && !snapshot.is_exempt("secret/sys/health"));
}

#[test]
fn what_cannot_be_is_refused() {
    let (kv, users) = (mount("kv/", Engine::Kv2), mount("auth/u/", Engine::UserPass));
    let quota = |path: &str, role: &str, rate: f64| WriteQuota {
        path: path.to_owned(),
        role: role.to_owned(),
        rate,
        ..WriteQuota::default()
    };
    let refused = |quota: WriteQuota, place: Option<(&Arc<Mount>, &str)>| {
        let place = place.map(|(mount, suffix)| (Arc::clone(mount), suffix.to_owned()));
        Record::new(quota, place).err().map(|error| error.to_string()).unwrap_or_default()
    };
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e12] {
        assert!(refused(quota("", "", rate), None).contains("'rate' is invalid"), "{rate}");
    }
    let slow = WriteQuota { interval: u64::MAX, ..quota("", "", 1.0) };
    assert!(refused(slow, None).contains("interval"));
    assert!(refused(quota("kv/*/x", "", 1.0), Some((&kv, "*/x"))).contains("invalid path"));
    assert!(refused(quota("auth/u/login", "r", 1.0), Some((&users, "login"))).contains("both a path suffix"));
    assert!(refused(quota("kv", "r", 1.0), Some((&kv, ""))).contains("not a valid auth method"));
    assert!(refused(quota("", "r", 1.0), None).contains("not a valid auth method"));
    assert_eq!(refused(quota("auth/u", "R", 0.2), Some((&users, ""))), "");
}

#[test]
fn a_fraction_is_at_least_one_request() {
    let kept = |rate| Record::new(WriteQuota { rate, ..WriteQuota::default() }, None).expect("rate").most();
    assert_eq!((kept(0.1), kept(1.4), kept(2.5)), (1, 1, 3));
}

proptest! {
    /// The index finds what looking at every limit in turn would.
    #[test]
    fn the_index_finds_the_longest_match(
        suffixes in prop::collection::btree_set("[ab/]{0,4}[*]?", 0..12),
        rest in "[ab/]{0,6}",
    ) {
        let suffixes: Vec<&str> = suffixes.iter().map(String::as_str).collect();
        let score = |suffix: &&&str| match suffix.strip_suffix('*') {
            Some(prefix) => rest.starts_with(prefix).then_some(prefix.len() + 1),
            None if **suffix == rest => Some(if rest.is_empty() { 0 } else { usize::MAX }),
            None => suffix.is_empty().then_some(0),
        };
        let expected = suffixes.iter().filter(|suffix| score(suffix).is_some()).max_by_key(score);
        let limits = limits(&suffixes);
        let found = limits.find(&rest).map(|rule| rule.record.suffix.as_str());
        prop_assert_eq!(found, expected.copied());
    }
}
