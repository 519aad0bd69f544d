//! `target`: the databases where credentials are valid. A target is a connection of the database engine.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use keyturn_protocol::vault::Keys;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::input::credential;
use crate::output::{self, Format, FormatArgs, Table, cell, note};

/// Add, test, list and remove targets: the databases where credentials are valid
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a target, or change what is known of it; it is tried before it is kept
    #[command(after_help = "\
Examples:
  keyturn target add pg --engine postgresql --url postgresql://127.0.0.1:5432/postgres --username admin --password-stdin
  keyturn target add shop --engine mysql --url 'tcp(127.0.0.1:3306)/' --username admin --allowed-role 'shop-*'
  keyturn target add cache --engine redis --url redis://127.0.0.1:6379 --username default --password-file pw

The mount database/ is made if it is missing. The password is asked for unless a file or standard input gives it;
`keyturn write database/rotate-root/NAME` changes it to one that nobody knows.")]
    Add(AddArgs),
    /// Try a target: whether it answers and lets the administrator in
    #[command(after_help = "Examples:\n  keyturn target test pg")]
    Test {
        /// The target's name
        name: String,
        #[command(flatten)]
        mount: MountArg,
    },
    /// List the targets, without their passwords
    #[command(after_help = "Examples:\n  keyturn target list\n  keyturn target list --format json")]
    List {
        #[command(flatten)]
        mount: MountArg,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Remove a target; leases of its credentials wait until it is there again
    #[command(after_help = "Examples:\n  keyturn target remove pg")]
    Remove {
        /// The target's name
        name: String,
        #[command(flatten)]
        mount: MountArg,
    },
}

#[derive(Debug, clap::Args)]
struct MountArg {
    /// The mount of the database engine
    #[arg(long, default_value = "database", value_name = "PATH")]
    mount: String,
}

impl MountArg {
    fn path(&self, area: &str, name: &str) -> String {
        format!("{}/{area}/{name}", super::bare(&self.mount))
    }
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    /// The target's name
    name: String,
    /// What it is
    #[arg(long, value_enum)]
    engine: Engine,
    /// Where it is, without a password: its name and password are filled in
    #[arg(long)]
    url: String,
    /// Who administers it there
    #[arg(long, value_name = "NAME")]
    username: String,
    /// Read the password from standard input
    #[arg(long, conflicts_with = "password_file")]
    password_stdin: bool,
    /// Read the password from a file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A role or a rotation's user that may use it, or a pattern such as app-*, once for each; a new target without
    /// any is for all
    #[arg(long = "allowed-role", value_name = "ROLE")]
    allowed_roles: Vec<String>,
    /// Keep it without trying it
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    mount: MountArg,
}

/// The engines that targets may be.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Engine {
    /// PostgreSQL
    Postgresql,
    /// MySQL and MariaDB
    #[value(alias = "mariadb")]
    Mysql,
    /// Redis
    Redis,
}

impl Engine {
    fn plugin(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql-database-plugin",
            Self::Mysql => "mysql-database-plugin",
            Self::Redis => "redis-database-plugin",
        }
    }
}

/// A connection as it is written.
#[derive(Serialize)]
struct Connection<'a> {
    plugin_name: &'a str,
    connection_url: &'a str,
    username: &'a str,
    password: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_roles: Option<&'a [String]>,
    verify_connection: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match &args.action {
        Action::Add(args) => add(args, &client),
        Action::Test { name, mount } => {
            client.post(&mount.path("reset", name), &json!({}))?;
            Ok(output::print_line(&format!("{name} answers and lets its administrator in"))?)
        }
        Action::List { mount, format } => list(&client, mount, format.format),
        Action::Remove { name, mount } => {
            client.delete(&mount.path("config", name))?;
            Ok(output::print_line(&format!("target {name} removed"))?)
        }
    }
}

fn add(args: &AddArgs, client: &Client) -> Result<(), Failure> {
    let stdin = PathBuf::from("-");
    let file = if args.password_stdin { Some(&stdin) } else { args.password_file.as_ref() };
    let password = credential("the administrator's password", file.map(PathBuf::as_path))?;
    let path = args.mount.path("config", &args.name);
    let roles = (!args.allowed_roles.is_empty()).then_some(args.allowed_roles.as_slice());
    let for_all = roles.is_none() && is_new(client, &path)?;
    let all = ["*".to_owned()];
    let connection = Connection {
        plugin_name: args.engine.plugin(),
        connection_url: &args.url,
        username: &args.username,
        password: password.expose_secret(),
        allowed_roles: roles.or(for_all.then_some(&all)),
        verify_connection: !args.no_verify,
    };
    let reply = match client.post(&path, &connection) {
        Err(error) if error.is_not_found() => {
            let mount = super::bare(&args.mount.mount);
            client.post(&format!("sys/mounts/{mount}"), &json!({ "type": "database" }))?;
            note(&format!("mounted the database engine at {mount}/"));
            client.post(&path, &connection)?
        }
        outcome => outcome?,
    };
    if !reply.is_empty() {
        let answer: Map<String, Value> = reply.json()?;
        for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
            note(&format!("warning: {}", cell(warning)));
        }
    }
    if for_all {
        note(&format!(
            "every role and rotation may use {} (allowed_roles = *): --allowed-role with a name or a pattern bounds that",
            args.name
        ));
    }
    Ok(output::print_line(&format!("target {} added", args.name))?)
}

/// Whether nobody has set up the target yet, or its mount.
fn is_new(client: &Client, path: &str) -> Result<bool, Failure> {
    match client.get(path) {
        Ok(_) => Ok(false),
        Err(error) if error.is_not_found() => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn list(client: &Client, mount: &MountArg, format: Format) -> Result<(), Failure> {
    let names: Keys = client.list(&mount.path("config", ""))?.data()?;
    let mut all = Map::new();
    for name in names.keys {
        let read: Map<String, Value> = client.get(&mount.path("config", &name))?.data()?;
        all.insert(name, Value::Object(read));
    }
    if format == Format::Json {
        return Ok(output::print_json(&Value::Object(all))?);
    }
    let mut table = Table::new(["target", "engine", "url", "administrator", "allowed roles"]);
    for (name, read) in &all {
        let details = &read["connection_details"];
        let engine = cell(&read["plugin_name"]);
        let engine = engine.strip_suffix("-database-plugin").unwrap_or(&engine);
        let url = match &details["connection_url"] {
            Value::Null => format!("{}:{}", cell(&details["host"]), cell(&details["port"])),
            url => cell(url),
        };
        table.row([name, engine, &url, &cell(&details["username"]), &cell(&read["allowed_roles"])]);
    }
    Ok(output::print(&table.render())?)
}
