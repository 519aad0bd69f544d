//! `audit`: the devices that record each request and answer.

use std::path::PathBuf;

use clap::Subcommand;
use keyturn_protocol::vault::{Fields, SecretJson};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{audit_verify, settings::pairs};
use crate::context::Context;
use crate::failure::Failure;
use crate::input;
use crate::kv::Exposed;
use crate::output::{self, Format, FormatArgs, Table, cell};

/// List, enable and disable audit devices, verify their logs, and hash a value as they do
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the audit devices
    #[command(after_help = "Examples:\n  keyturn audit list")]
    List {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Enable an audit device; from then on nothing is answered that it could not record
    #[command(after_help = "\
Examples:
  keyturn audit enable file file_path=/var/log/keyturn/audit.log
  keyturn audit enable file --path console file_path=stdout
  keyturn audit enable socket address=collector:9090 write_timeout=1s
  keyturn audit enable syslog facility=LOCAL3 tag=keyturn")]
    Enable {
        /// What: file, socket, syslog …
        #[arg(value_name = "TYPE")]
        kind: String,
        /// Its options
        #[arg(value_name = "KEY=VALUE")]
        options: Vec<String>,
        /// Its name, if not its type
        #[arg(long)]
        path: Option<String>,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Disable an audit device
    #[command(after_help = "Examples:\n  keyturn audit disable console")]
    Disable {
        /// Its name
        path: String,
    },
    /// Check that a device's log is whole: no entry altered, removed, moved or cut off
    Verify(audit_verify::Args),
    /// Hash a value as an audit device does, to find it in its records
    #[command(after_help = "\
Examples:
  keyturn audit hash file                       asks for the value
  grep \"$(keyturn audit hash file --input-file leaked.txt)\" audit.log")]
    Hash {
        /// The device's name
        path: String,
        /// The value from a file, or - for standard input, instead of a prompt
        #[arg(long, value_name = "FILE|-")]
        input_file: Option<PathBuf>,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let said = match &args.action {
        Action::List { format } => return print_devices(client.get("sys/audit")?.data()?, format.format),
        Action::Enable { kind, options, path, description } => {
            let path = super::bare(path.as_ref().unwrap_or(kind));
            let options = pairs("an audit device", options)?;
            let description = description.as_deref().unwrap_or_default();
            let body = json!({ "type": kind, "description": description, "options": options });
            client.put(&format!("sys/audit/{path}"), &body)?;
            format!("audit device {kind} enabled at {path}/")
        }
        Action::Disable { path } => {
            client.delete(&format!("sys/audit/{}", super::bare(path)))?;
            format!("audit device at {}/ disabled", super::bare(path))
        }
        Action::Verify(args) => return audit_verify::run(args, &client),
        Action::Hash { path, input_file } => {
            #[derive(Deserialize)]
            struct Hashed {
                hash: String,
            }
            let value = input::credential("the value to hash", input_file.as_deref())?;
            let body: Fields = [("input".to_owned(), SecretJson::from_text(&value))].into();
            let route = format!("sys/audit-hash/{}", super::bare(path));
            client.post(&route, &Exposed(&body))?.data::<Hashed>()?.hash
        }
    };
    Ok(output::print_line(&said)?)
}

fn print_devices(devices: Map<String, Value>, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return Ok(output::print_json(&Value::Object(devices))?);
    }
    let mut table = Table::new(["path", "type", "options", "description"]);
    for (path, device) in &devices {
        table.row([path, &cell(&device["type"]), &cell(&device["options"]), &cell(&device["description"])]);
    }
    Ok(output::print(&table.render())?)
}
