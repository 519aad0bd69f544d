//! `[rotation]`: the programs that rotations may run. Who may set up a rotation only says a name; what is executed, and with
//! what around it, is said here.

use std::{collections::BTreeMap, ops::RangeInclusive, path::PathBuf, time::Duration};

use keyturn_server::hook_command::HookCommand;

use super::reader::{At, Schema, Section};

pub(super) static ROTATION: Schema = Schema { section: "[rotation]", keys: &["hook"] };
pub(super) static HOOK: Schema =
    Schema { section: "[rotation.hook.NAME]", keys: &["command", "timeout", "directory", "environment"] };

const COMMAND: &str = "texts, the first an absolute path: [\"/etc/keyturn/hooks/rotate\", \"argument\"]";
const ENVIRONMENT: &str = "texts \"NAME\", passed on from the server, or \"NAME=value\"";
const TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(15 * 60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How the variables begin that are set for each run.
const RESERVED: &str = "KEYTURN_HOOK_";

pub(super) fn read(mut section: Section<'_, '_>) -> BTreeMap<String, HookCommand> {
    section.named_tables("hook", &HOOK, hook)
}

fn hook(name: &str, mut section: Section<'_, '_>) -> Option<HookCommand> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        section.note_here(format!("rotation.hook has the name {name:?}; allowed: 1 to 64 letters, digits, - and _"));
    }
    if section.place("command").is_none() {
        section.note_here(format!("rotation.hook.NAME.command is missing; allowed: {COMMAND}"));
    }
    let command =
        section.texts("command", COMMAND, |index, text| !text.contains('\0') && (index > 0 || text.starts_with('/')));
    if let Some(At { span, .. }) = command.as_ref().filter(|at| at.value.is_empty()) {
        section.note(span.clone(), format!("rotation.hook.NAME.command is empty; allowed: {COMMAND}"));
    }
    let mut timeout = DEFAULT_TIMEOUT;
    section.duration("timeout", &TIMEOUT, &mut timeout);
    let directory = section.path("directory").map_or_else(|| PathBuf::from("/"), |at| at.value);
    let environment = section.texts("environment", ENVIRONMENT, |_, text| is_variable(text));
    let environment =
        environment.map(|at| at.value).unwrap_or_default().into_iter().map(|text| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (text, None),
        });
    Some(HookCommand { command: command?.value, timeout, directory, environment: environment.collect() })
}

fn is_variable(text: &str) -> bool {
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = !name.starts_with(|c: char| c.is_ascii_digit());
    !name.is_empty() && starts && name.chars().all(fits) && !text.contains('\0') && !name.starts_with(RESERVED)
}
