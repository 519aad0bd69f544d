//! `lease`: look up, list, renew and revoke leases.

use clap::Subcommand;
use keyturn_protocol::vault::Keys;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, FormatArgs};

/// Look up, list, renew and revoke leases
///
/// A token that ends has a lease, and so has each credential that an engine made. A lease is named after the path that
/// issued it; its id is no secret.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show how long a lease is still good, and whether it can be renewed
    #[command(after_help = "\
Examples:
  keyturn lease lookup auth/userpass/login/bob/h5a2d…
  keyturn lease lookup auth/userpass/login/bob/h5a2d… --format json")]
    Lookup {
        /// The lease's id
        id: String,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// List the lease ids below a path; it needs sudo
    #[command(after_help = "\
Examples:
  keyturn lease list
  keyturn lease list auth/userpass/login/bob")]
    List {
        /// Below this path; a name that ends in / is a folder
        #[arg(default_value = "")]
        prefix: String,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Extend a lease; a token's own is renewed by `keyturn token renew`
    #[command(after_help = "\
Examples:
  keyturn lease renew database/creds/app/kF3… --increment 1h")]
    Renew {
        /// The lease's id
        id: String,
        /// How long it should be good from now; the server may grant less
        #[arg(long, value_name = "DURATION")]
        increment: Option<String>,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// End a lease, or all below a path; a token's children end with it
    #[command(after_help = "\
Examples:
  keyturn lease revoke auth/userpass/login/bob/h5a2d…
  keyturn lease revoke --prefix auth/userpass/login/bob
  keyturn lease revoke --prefix database/creds/app --force

--prefix needs sudo. With --force, a lease whose credential cannot be revoked is forgotten, and a warning says so.")]
    Revoke {
        /// The lease's id, or the path with --prefix
        id: String,
        /// All leases below the path
        #[arg(long)]
        prefix: bool,
        /// Go on where a revocation fails
        #[arg(long, requires = "prefix")]
        force: bool,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match &args.action {
        Action::Lookup { id, format } => {
            let lease: Map<String, Value> =
                client.put("sys/leases/lookup", &json!({ "lease_id": super::bare(id) }))?.data()?;
            Ok(output::print_data(&Value::Object(lease), format.format)?)
        }
        Action::List { prefix, format } => {
            let keys: Keys = client.list(&route("lookup", prefix))?.data()?;
            super::list::print_keys(keys, format.format)
        }
        Action::Renew { id, increment, format } => {
            let body = json!({ "lease_id": super::bare(id), "increment": increment });
            let reply = client.put("sys/leases/renew", &body)?;
            super::answer::print(&reply, "sys/leases/renew", None, format.format)
        }
        Action::Revoke { id, prefix, force } => revoke(&client, id, *prefix, *force),
    }
}

fn revoke(client: &Client, id: &str, prefix: bool, force: bool) -> Result<(), Failure> {
    let reply = match (prefix, force) {
        (false, _) => client.put("sys/leases/revoke", &json!({ "lease_id": super::bare(id), "sync": true }))?,
        (true, false) => client.put(&route("revoke-prefix", id), &json!({ "sync": true }))?,
        (true, true) => client.put(&route("revoke-force", id), &json!({}))?,
    };
    if !reply.is_empty() {
        // What was dropped by force.
        let answer: Map<String, Value> = reply.json()?;
        for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
            output::note(&format!("warning: {}", output::cell(warning)));
        }
    }
    Ok(output::print_line("revoked")?)
}

fn route(action: &str, prefix: &str) -> String {
    format!("sys/leases/{action}/{}", super::bare(prefix))
}
