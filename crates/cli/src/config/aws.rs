//! `[aws]`: how the AWS APIs call the secrets that they serve.

use keyturn_core::access_key::is_account;
use keyturn_server::aws::AwsSettings;

use super::reader::{At, Schema, Section};

pub(super) static AWS: Schema =
    Schema { section: "[aws]", keys: &["region", "account_id", "mount", "replica", "account"] };
pub(super) static REPLICA: Schema = Schema { section: "[[aws.replica]]", keys: &["region", "mount"] };
pub(super) static ACCOUNT: Schema = Schema { section: "[[aws.account]]", keys: &["account_id", "mount"] };

const REGION: &str = "a region, such as \"us-east-1\"";
const ACCOUNT_ID: &str = "twelve digits in quotes";
const MOUNT: &str = "the path of a kv version 2 mount, such as \"secret/\"";

pub(super) fn read(mut section: Section<'_, '_>) -> AwsSettings {
    let mut settings = AwsSettings::default();
    if let Some(region) = region(&mut section) {
        settings.region = region;
    }
    if let Some(account) = account(&mut section) {
        settings.account_id = account;
    }
    if let Some(mount) = mount(&mut section) {
        settings.mount = mount;
    }
    let (home, home_mount) = (settings.region.clone(), settings.mount.clone());
    section.tables("replica", &REPLICA, |mut section| {
        let (region, mount) = (region(&mut section), mount(&mut section));
        for key in ["region", "mount"] {
            if section.place(key).is_none() {
                section.note_here(format!("aws.replica.{key} is missing; allowed: {}", if key == "region" { REGION } else { MOUNT }));
            }
        }
        let (region, mount) = (region?, mount?);
        let taken = settings.region_mounts.values().any(|other| *other == mount);
        if region == home || mount == home_mount || taken || settings.region_mounts.contains_key(&region) {
            section.note_here("aws.replica names a region or a mount that stands elsewhere in [aws] too; one mount stands for one region");
        }
        settings.region_mounts.insert(region, mount);
        Some(())
    });
    accounts(&mut section, &mut settings);
    settings
}

/// Mounts that stand for other accounts.
fn accounts(section: &mut Section<'_, '_>, settings: &mut AwsSettings) {
    section.tables("account", &ACCOUNT, |mut section| {
        let (account, mount) = (account(&mut section), mount(&mut section));
        for (key, allowed) in [("account_id", ACCOUNT_ID), ("mount", MOUNT)] {
            if section.place(key).is_none() {
                section.note_here(format!("aws.account.{key} is missing; allowed: {allowed}"));
            }
        }
        let (account, mount) = (account?, mount?);
        let taken = mount == settings.mount
            || settings.region_mounts.values().chain(settings.account_mounts.values()).any(|other| *other == mount);
        if account == settings.account_id || taken || settings.account_mounts.contains_key(&account) {
            section.note_here(
                "aws.account names an account or a mount that stands elsewhere in [aws] too; one mount stands for one \
                 account",
            );
        }
        settings.account_mounts.insert(account, mount);
        Some(())
    });
}

fn account(section: &mut Section<'_, '_>) -> Option<String> {
    let At { value, span } = section.text("account_id", ACCOUNT_ID)?;
    if !is_account(&value) {
        let name = section.name("account_id");
        section.note(span, format!("{name} is {value:?}; allowed: {ACCOUNT_ID}"));
        return None;
    }
    Some(value)
}

fn region(section: &mut Section<'_, '_>) -> Option<String> {
    let At { value, span } = section.text("region", REGION)?;
    let fits = value.len() <= 64 && value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let numbered = value.rsplit_once('-').is_some_and(|(_, number)| number.parse::<u8>().is_ok());
    if !fits || !numbered {
        let name = section.name("region");
        section.note(span, format!("{name} is {value:?}; allowed: {REGION}"));
        return None;
    }
    Some(value)
}

/// A mount's path, with its slash.
pub(super) fn mount(section: &mut Section<'_, '_>) -> Option<String> {
    let At { value, span } = section.text("mount", MOUNT)?;
    let path = value.trim_matches('/');
    if path.is_empty() || path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        let name = section.name("mount");
        section.note(span, format!("{name} is {value:?}; allowed: {MOUNT}"));
        return None;
    }
    Some(format!("{path}/"))
}
