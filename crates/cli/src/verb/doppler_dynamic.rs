//! `doppler-dynamic`: names of a config that stand for credentials of a database role.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Format, FormatArgs, Table, cell, short_time};

/// Create, list and delete dynamic secrets of a config: each of its readers gets database credentials of their own
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Let a name stand for the credentials of a role; readers of the config see NAME_USERNAME and NAME_PASSWORD
    #[command(after_help = "\
Examples:
  keyturn doppler-dynamic create --project backend --config prd DB --path database/creds/app

You must be able to read those credentials: whoever may read the config will be able to from then on.")]
    Create {
        #[command(flatten)]
        config: ConfigArgs,
        /// What it is called
        name: String,
        /// Where the credentials are read
        #[arg(long)]
        path: String,
    },
    /// List the dynamic secrets of a config
    #[command(after_help = "Examples:\n  keyturn doppler-dynamic list --project backend --config prd")]
    List {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Take a name away again; leases that are out end as they would have
    #[command(after_help = "Examples:\n  keyturn doppler-dynamic delete --project backend --config prd DB")]
    Delete {
        #[command(flatten)]
        config: ConfigArgs,
        /// What it is called
        name: String,
    },
}

#[derive(Debug, clap::Args)]
struct ConfigArgs {
    /// The project
    #[arg(long, short)]
    project: String,
    /// The config
    #[arg(long, short)]
    config: String,
}

impl ConfigArgs {
    fn query<'q>(&self, more: &[(&'q str, &str)]) -> Vec<(&'q str, String)> {
        let own = [("project", self.project.clone()), ("config", self.config.clone())];
        own.into_iter().chain(more.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect()
    }
}

#[derive(Debug, Deserialize)]
struct Listed {
    dynamic_secrets: Vec<Value>,
}

const DYNAMIC: &str = "/v3/configs/config/dynamic_secrets";

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match &args.action {
        Action::Create { config, name, path } => create(config, name, path, &client),
        Action::List { config, format } => list(client.get_with(DYNAMIC, &config.query(&[]))?.json()?, format.format),
        Action::Delete { config, name } => {
            client.delete_with(&format!("{DYNAMIC}/dynamic_secret"), &config.query(&[("dynamic_secret", name)]))?;
            Ok(output::print_line(&format!("dynamic secret {name} deleted"))?)
        }
    }
}

fn create(config: &ConfigArgs, name: &str, path: &str, client: &Client) -> Result<(), Failure> {
    let body = json!({ "project": config.project, "config": config.config, "name": name, "path": path });
    client.post(DYNAMIC, &body)?;
    Ok(output::print_line(&format!("{name}_USERNAME and {name}_PASSWORD are leased from {path} for each reader"))?)
}

fn list(listed: Listed, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return Ok(output::print_json(&Value::Array(listed.dynamic_secrets))?);
    }
    let mut table = Table::new(["name", "path", "created"]);
    for secret in &listed.dynamic_secrets {
        table.row([&cell(&secret["name"]), &cell(&secret["path"]), &short_time(&cell(&secret["created_at"]))]);
    }
    Ok(output::print(&table.render())?)
}
