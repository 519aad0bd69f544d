//! `[doppler]`: which secrets the Doppler API serves, and what its clients are told.

use keyturn_server::doppler::DopplerSettings;

use super::{
    aws,
    reader::{At, Schema, Section},
};

pub(super) static DOPPLER: Schema = Schema { section: "[doppler]", keys: &["mount", "workplace", "public_url"] };

const WORKPLACE: &str = "a name of 1 to 100 characters";
const PUBLIC_URL: &str = "an address such as \"https://secrets.example.com\"";

pub(super) fn read(mut section: Section<'_, '_>) -> DopplerSettings {
    let mut settings = DopplerSettings::default();
    if let Some(mount) = aws::mount(&mut section) {
        settings.mount = mount;
    }
    if let Some(At { value, span }) = section.text("workplace", WORKPLACE) {
        if value.trim().is_empty() || value.chars().count() > 100 || value.chars().any(char::is_control) {
            section.note(span, format!("doppler.workplace is {value:?}; allowed: {WORKPLACE}"));
        }
        settings.workplace = value;
    }
    if let Some(At { value, span }) = section.text("public_url", PUBLIC_URL) {
        let url = value.trim_end_matches('/');
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._:[]/".contains(c);
        if host.is_empty() || !host.chars().all(fits) {
            section.note(span, format!("doppler.public_url is {value:?}; allowed: {PUBLIC_URL}"));
        }
        settings.public_url = Some(url.to_owned());
    }
    settings
}
