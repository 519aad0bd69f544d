//! `[[audit.device]]`: where requests and answers are recorded from the start.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use keyturn_server::audit_device::{Mode, check};

use super::{
    AuditConfig,
    reader::{At, Schema, Section},
    sections::required,
};

pub(super) static AUDIT: Schema = Schema { section: "[audit]", keys: &["device"] };
pub(super) static DEVICE: Schema = Schema {
    section: "[[audit.device]]",
    keys: &["type", "name", "path", "mode", "address", "socket_type", "write_timeout", "facility", "tag", "chain"],
};

/// The keys that only some types have, and those types.
const OWN: [(&str, &[&str]); 7] = [
    ("path", &["file"]),
    ("mode", &["file"]),
    ("address", &["socket", "syslog"]),
    ("socket_type", &["socket"]),
    ("write_timeout", &["socket", "syslog"]),
    ("facility", &["syslog"]),
    ("tag", &["syslog"]),
];
const WRITE_TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);

pub(super) fn read(mut section: Section<'_, '_>) -> Vec<AuditConfig> {
    let mut names: Vec<String> = Vec::new();
    section.tables("device", &DEVICE, |section| device(section, &mut names))
}

fn device(mut section: Section<'_, '_>, names: &mut Vec<String>) -> Option<AuditConfig> {
    let kinds = [("file", "file"), ("stdout", "stdout"), ("socket", "socket"), ("syslog", "syslog")];
    let allowed = "\"file\", \"stdout\", \"socket\" or \"syslog\"";
    let kind = required(&mut section, "type", allowed, |section| section.choice("type", &kinds));
    let given = section.text("name", "a name: letters, digits, - and _");
    let mut options = options(&mut section);
    if section.flag("chain").is_some_and(|at| !at.value) {
        options.insert("chain".to_owned(), "false".to_owned());
    }
    let kind = kind?;
    let name = given.map_or_else(|| kind.to_owned(), |at| at.value);
    check_name(&mut section, &name, names);
    let mut fits = true;
    for (key, kinds) in OWN.into_iter().filter(|(_, kinds)| !kinds.contains(&kind)) {
        fits &= section.place(key).is_none();
        section.forbid(key, &format!("is not used by type = {kind:?}, but by {}; remove it", kinds.join(" and ")));
    }
    if kind == "file" && section.place("path").is_none() {
        section.note_here("audit.device.path is missing; write the file that entries are appended to");
    }
    if fits
        && matches!(kind, "socket" | "syslog")
        && let Err(error) = check(kind, &options)
    {
        section.note_here(format!("audit.device: {}", error.0));
    }
    Some(AuditConfig { name, kind, options })
}

/// What the keys say, as `sys/audit` takes it.
fn options(section: &mut Section<'_, '_>) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    let mut set = |name: &str, value: Option<String>| options.extend(value.map(|value| (name.to_owned(), value)));
    set("file_path", section.path("path").map(|at| at.value.display().to_string()));
    let mode = section.text("mode", "octal digits in quotes, such as \"0600\"");
    if let Some(At { value, span }) = &mode
        && let Err(error) = value.parse::<Mode>()
    {
        section.note(span.clone(), format!("audit.device.mode: {error}"));
    }
    set("mode", mode.map(|at| at.value));
    set("address", section.text("address", "host:port, or the path of a Unix socket").map(|at| at.value));
    let types = ["tcp", "udp", "unix", "unixgram"].map(|name| (name, name));
    set("socket_type", section.choice("socket_type", &types).map(|at| at.value.to_owned()));
    let mut timeout = Duration::ZERO;
    section.duration("write_timeout", &WRITE_TIMEOUT, &mut timeout);
    set("write_timeout", (!timeout.is_zero()).then(|| timeout.as_secs().to_string()));
    set("facility", section.text("facility", "a facility of syslog, such as \"AUTH\"").map(|at| at.value));
    set("tag", section.text("tag", "what syslog lists the entries under").map(|at| at.value));
    options
}

fn check_name(section: &mut Section<'_, '_>, name: &str, names: &mut Vec<String>) {
    let span = section.place("name");
    let mut complain = |message: String| match span.clone() {
        Some(span) => section.note(span, message),
        None => section.note_here(message),
    };
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        complain(format!("audit.device.name is {name:?}; allowed: letters, digits, - and _"));
    }
    if names.iter().any(|other| other == name) {
        complain(format!("audit.device.name {name:?} is there twice; give each device a name of its own"));
    }
    names.push(name.to_owned());
}
