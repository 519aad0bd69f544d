//! `get`: read a secret.

use std::fmt::Write as _;

use keyturn_core::secret::SecretString;
use keyturn_protocol::vault::{Fields, SecretJson, VersionMetadata};
use serde::Serialize;

use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::kv::{self, Exposed, KvError, Place, Secret};
use crate::output::{self, Format, MASK, Table, short_time, visible};
use crate::wrap::WrapArgs;

const EXAMPLES: &str = "\
Examples:
  keyturn get secret/app/db                         on a terminal: a table, values masked
  keyturn get secret/app/db --reveal                the values too
  keyturn get secret/app/db#password | wc -c        the raw value
  keyturn get secret/app/db | jq -r .user           several fields: a JSON object
  keyturn get secret/app/db --version 3
  keyturn get secret/app/db --format json           path, version and times around the fields
  keyturn get secret/app/db --wrap-ttl 5m           a token for the answer, see `keyturn unwrap`

What is printed:
  terminal                 a table, values masked unless --reveal
  pipe or file, one field  the value exactly: no line end is added, text without quotes
  pipe or file, several    a JSON object of the fields
  --format table           the table, values masked unless --reveal
  --format json            JSON with metadata, values masked on a terminal unless --reveal";

/// Read a secret; on a terminal its values are masked
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which: MOUNT/NAME, or MOUNT/NAME#FIELD for one field
    #[arg(value_name = "PATH[#FIELD]")]
    path: String,
    /// One field only; then a # in PATH belongs to the name
    #[arg(long)]
    field: Option<String>,
    /// This version instead of the current one
    #[arg(long)]
    version: Option<u64>,
    /// Show the values on a terminal and in tables
    #[arg(long)]
    reveal: bool,
    /// Print as this, whatever reads it
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    wrap: WrapArgs,
}

/// How to show a secret.
#[derive(Debug, Clone, Copy)]
struct View {
    terminal: bool,
    reveal: bool,
    format: Option<Format>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let (path, field) = target(args);
    let client = context.client()?;
    if args.wrap.wanted() {
        return match field {
            None => wrapped(args, path, client),
            Some(_) => Err(Failure::Usage("--wrap-ttl wraps the whole secret: leave the field out".to_owned())),
        };
    }
    let mut secret = match Place::find_secret(&client, path)? {
        Place::Plain(plain) if args.version.is_none() => plain.read(&client)?,
        place => place.versioned("--version")?.read(&client, args.version)?,
    };
    if let Some(field) = field {
        select(&mut secret, field)?;
    }
    let view = View { terminal: output::is_terminal(), reveal: args.reveal, format: args.format };
    Ok(output::print(shown(&secret, view).expose_secret())?)
}

/// Prints the token that stands for the secret, which is not seen here.
fn wrapped(args: &Args, path: &str, client: Client) -> Result<(), Failure> {
    let (route, query) = match Place::find_secret(&client, path)? {
        Place::Plain(plain) if args.version.is_none() => (plain.path, None),
        place => (place.versioned("--version")?.route("data"), args.version),
    };
    let query: Vec<_> = query.iter().map(|number| ("version", number.to_string())).collect();
    let client = args.wrap.apply(client);
    let reply = client.get_any(&route, &query)?.accepted()?;
    args.wrap.check(&reply)?;
    super::answer::print(&reply, &route, None, args.format.unwrap_or_default())
}

fn target(args: &Args) -> (&str, Option<&str>) {
    match (&args.field, args.path.rsplit_once('#')) {
        (Some(field), _) => (&args.path, Some(field)),
        (None, Some((path, field))) => (path, Some(field)),
        (None, None) => (&args.path, None),
    }
}

fn select(secret: &mut Secret, field: &str) -> Result<(), KvError> {
    if !secret.fields.contains_key(field) {
        let names = secret.fields.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(KvError::NoField { path: secret.path.clone(), field: field.to_owned(), names });
    }
    secret.fields.retain(|name, _| name == field);
    Ok(())
}

/// The output as the help describes it.
fn shown(secret: &Secret, view: View) -> SecretString {
    let value = match secret.fields.values().next() {
        Some(value) if secret.fields.len() == 1 => Some(value),
        _ => None,
    };
    match (view.format, view.terminal, value) {
        (Some(Format::Json), terminal, _) => document(secret, terminal && !view.reveal),
        (None, true, Some(value)) if view.reveal => {
            format!("{}\n", visible(value.to_text().expose_secret(), true)).into()
        }
        (Some(Format::Table), _, _) | (None, true, _) => table(secret, view.reveal),
        (None, false, Some(value)) => value.to_text(),
        (None, false, None) => json(&Exposed(&secret.fields)),
    }
}

fn table(secret: &Secret, reveal: bool) -> SecretString {
    let mut table = Table::new(["field", "value"]);
    for (name, value) in &secret.fields {
        table.row([name, if reveal { value.to_text() } else { MASK.into() }.expose_secret()]);
    }
    let mut text = String::new();
    if let Some(metadata) = &secret.metadata {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} version {}, written {}\n",
            visible(&secret.path, false),
            metadata.version,
            visible(&short_time(&metadata.created_time), false)
        );
    }
    text.push_str(&table.render());
    text.into()
}

#[derive(Serialize)]
struct Document<'a> {
    path: &'a str,
    data: Exposed<'a>,
    metadata: Option<DocumentMetadata<'a>>,
}

#[derive(Serialize)]
struct DocumentMetadata<'a> {
    version: u64,
    state: &'static str,
    created_time: &'a str,
    deletion_time: &'a str,
}

fn document(secret: &Secret, masked: bool) -> SecretString {
    let mask: Fields = secret.fields.keys().map(|name| (name.clone(), SecretJson::from_text(&MASK.into()))).collect();
    let fields = if masked { &mask } else { &secret.fields };
    let metadata = secret.metadata.as_ref().map(|metadata: &VersionMetadata| DocumentMetadata {
        version: metadata.version,
        state: kv::state_now(metadata).as_str(),
        created_time: &metadata.created_time,
        deletion_time: &metadata.deletion_time,
    });
    json(&Document { path: &secret.path, data: Exposed(fields), metadata })
}

/// Indented JSON with a line end. Values are copied from the answer as they stand, so that no number is rounded.
fn json(value: &impl Serialize) -> SecretString {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: View = View { terminal: false, reveal: false, format: None };
    const TERMINAL: View = View { terminal: true, ..PIPE };

    fn secret(json: &str) -> Secret {
        Secret {
            path: "secret/app".to_owned(),
            fields: serde_json::from_str(json).unwrap(),
            metadata: Some(VersionMetadata {
                version: 3,
                created_time: "2026-08-01T10:20:30.5Z".to_owned(),
                deletion_time: String::new(),
                destroyed: false,
            }),
        }
    }

    fn text(json: &str, view: View) -> String {
        shown(&secret(json), view).expose_secret().to_owned()
    }

    const TWO: &str = r#"{"user": "bob", "password": "canary\u0000"}"#;

    #[test]
    fn a_pipe_gets_one_value_exactly_and_several_as_json() {
        assert_eq!(text(r#"{"a": "line\n\u00e9"}"#, PIPE), "line\né");
        assert_eq!(text(r#"{"a": [1, 2.50]}"#, PIPE), "[1, 2.50]");
        assert_eq!(text(r#"{"a": "x", "b": 1.0}"#, PIPE), "{\n  \"a\": \"x\",\n  \"b\": 1.0\n}\n");
        assert_eq!(text("{}", PIPE), "{}\n");
    }

    #[test]
    fn a_terminal_gets_values_only_if_they_are_revealed() {
        let views =
            [TERMINAL, View { format: Some(Format::Json), ..TERMINAL }, View { format: Some(Format::Table), ..PIPE }];
        for view in views {
            let masked = text(TWO, view);
            assert!(masked.contains(MASK) && masked.contains("user"), "{masked}");
            assert!(!masked.contains("bob") && !masked.contains("canary"), "{masked}");
            let revealed = text(TWO, View { reveal: true, ..view });
            assert!(revealed.contains("bob") && revealed.contains("canary"), "{revealed}");
        }
        assert!(!text(r#"{"a": "canary"}"#, TERMINAL).contains("canary"));
    }

    #[test]
    fn a_revealed_value_cannot_steer_the_terminal() {
        let view = View { reveal: true, ..TERMINAL };
        assert_eq!(text(r#"{"a": "one\ntwo\u001b[2J"}"#, view), "one\ntwo\\u{1b}[2J\n");
        assert!(!text(r#"{"a": "\u001b[2J", "b": ""}"#, view).contains('\u{1b}'));
    }

    #[test]
    fn json_says_where_the_fields_are_from() {
        let view = View { format: Some(Format::Json), ..PIPE };
        let document: serde_json::Value = serde_json::from_str(&text(TWO, view)).unwrap();
        assert_eq!(document["data"]["user"], "bob");
        assert_eq!(document["metadata"]["version"], 3);
        assert_eq!(document["metadata"]["state"], "live");
    }

    #[test]
    fn a_field_is_named_in_the_path_or_by_its_flag() {
        let args = |path: &str, field: Option<&str>| Args {
            path: path.to_owned(),
            field: field.map(str::to_owned),
            version: None,
            reveal: false,
            format: None,
            wrap: WrapArgs::default(),
        };
        assert_eq!(target(&args("s/a#b#c", None)), ("s/a#b", Some("c")));
        assert_eq!(target(&args("s/a#b", Some("c"))), ("s/a#b", Some("c")));
        assert_eq!(target(&args("s/a", None)), ("s/a", None));
        let mut two = secret(TWO);
        let error = select(&mut two, "nope").unwrap_err().to_string();
        assert!(error.contains("password, user") && !error.contains("canary"), "{error}");
        select(&mut two, "user").unwrap();
        assert_eq!(two.fields.len(), 1);
    }
}
