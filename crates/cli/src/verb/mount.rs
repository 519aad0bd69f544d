//! `mount`: the engines that serve secrets, and where.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::settings::{Settings, pairs};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Format, FormatArgs, OutputError, Table, cell};

/// List, enable, disable, tune and move secret engines
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the mounts
    #[command(after_help = "Examples:\n  keyturn mount list\n  keyturn mount list --format json | jq 'keys'")]
    List {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Mount an engine
    #[command(after_help = "\
Examples:
  keyturn mount enable kv --path team --version 2    secrets with versions
  keyturn mount enable kv --path legacy --version 1  secrets without")]
    Enable {
        /// What: kv …
        #[arg(value_name = "TYPE")]
        kind: String,
        /// Where, if not at its own name
        #[arg(long)]
        path: Option<String>,
        /// The engine's version; of kv, 2 keeps versions of secrets
        #[arg(long)]
        version: Option<u8>,
        /// Any other option of the engine, once for each
        #[arg(long = "option", value_name = "KEY=VALUE")]
        options: Vec<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Unmount an engine: all that it holds is deleted
    #[command(after_help = "Examples:\n  keyturn mount disable legacy")]
    Disable {
        /// Where it is
        path: String,
    },
    /// Change a mount's settings
    #[command(after_help = "\
Examples:
  keyturn mount tune team --description 'the team' --max-lease-ttl 24h
  keyturn mount tune legacy --option version=2     start to keep versions")]
    Tune {
        /// Where it is
        path: String,
        /// An option of the engine, once for each
        #[arg(long = "option", value_name = "KEY=VALUE")]
        options: Vec<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Move a mount to another path, with all that it holds
    #[command(after_help = "Examples:\n  keyturn mount move team platform\n\nPolicies name paths: adapt them.")]
    Move {
        /// Where it is
        from: String,
        /// Where it shall be
        to: String,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let said = match &args.action {
        Action::List { format } => {
            let mounts: Map<String, Value> = client.get("sys/mounts")?.data()?;
            return Ok(print_mounts(mounts, format.format)?);
        }
        Action::Enable { kind, path, version, options, settings } => {
            let path = super::bare(path.as_ref().unwrap_or(kind));
            let mut body = settings.enabling(kind);
            let mut options = pairs("--option", options)?;
            if let Some(version) = version {
                options["version"] = json!(version.to_string());
            }
            body.insert("options".to_owned(), options);
            client.post(&format!("sys/mounts/{path}"), &body)?;
            format!("{kind} mounted at {path}/")
        }
        Action::Disable { path } => {
            client.delete(&format!("sys/mounts/{}", super::bare(path)))?;
            format!("{}/ unmounted, with all that it held", super::bare(path))
        }
        Action::Tune { path, options, settings } => {
            let mut body = settings.tuning();
            if !options.is_empty() {
                body.insert("options".to_owned(), pairs("--option", options)?);
            }
            client.post(&format!("sys/mounts/{}/tune", super::bare(path)), &body)?;
            format!("{}/ tuned", super::bare(path))
        }
        Action::Move { from, to } => {
            client.post("sys/remount", &json!({ "from": super::bare(from), "to": super::bare(to) }))?;
            format!("{}/ moved to {}/", super::bare(from), super::bare(to))
        }
    };
    Ok(output::print_line(&said)?)
}

/// Prints mounts by path, those of secrets and those of auth methods alike.
pub(super) fn print_mounts(mounts: Map<String, Value>, format: Format) -> Result<(), OutputError> {
    if format == Format::Json {
        return output::print_json(&Value::Object(mounts));
    }
    let mut table = Table::new(["path", "type", "version", "accessor", "description"]);
    for (path, mount) in &mounts {
        let version = mount.pointer("/options/version").unwrap_or(&Value::Null);
        table.row([
            path,
            &cell(&mount["type"]),
            &cell(version),
            &cell(&mount["accessor"]),
            &cell(&mount["description"]),
        ]);
    }
    output::print(&table.render())
}
