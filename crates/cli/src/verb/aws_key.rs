//! `aws-key`: access keys for boto3, the AWS CLI and the AWS SDKs.

use clap::Subcommand;
use keyturn_core::secret::SecretString;
use keyturn_protocol::vault::{Envelope, Keys};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Format, FormatArgs, Table, cell, note, short_time};

/// Create, list and revoke access keys for clients of the AWS APIs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create an access key and print it; its secret is never shown again
    #[command(after_help = "\
Examples:
  keyturn aws-key create --policy app --name ci --ttl 12h
  keyturn aws-key create --policy app --format json > key.json
  keyturn aws-key create --policy app --bound-cidr 10.0.0.0/8

It lives 32 days unless --ttl or the tuning of sys/ says otherwise, and does not end with your token.")]
    Create(CreateArgs),
    /// List the access keys, without their secrets
    #[command(after_help = "Examples:\n  keyturn aws-key list\n  keyturn aws-key list --format json")]
    List {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// End an access key at once
    #[command(after_help = "Examples:\n  keyturn aws-key revoke AKIAIOSFODNN7EXAMPLE")]
    Revoke {
        /// The key's id
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// A policy that says what it may do, once for each
    #[arg(long = "policy", value_name = "NAME", required = true)]
    policies: Vec<String>,
    /// How long it lives
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// A name for it, for listings and the audit log
    #[arg(long)]
    name: Option<String>,
    /// A network that it may be used from, once for each; without any, all
    #[arg(long = "bound-cidr", value_name = "CIDR")]
    bound_cidrs: Vec<String>,
    /// Leave out the policy `default`
    #[arg(long)]
    no_default_policy: bool,
    /// The account that it belongs to, of those in [[aws.account]] of the server's configuration
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
}

/// A new key, as the server shows it once.
#[derive(Debug, Deserialize)]
struct Issued {
    access_key_id: String,
    secret_access_key: SecretString,
    name: String,
    policies: Vec<String>,
    expire_time: Option<String>,
}

/// A listing, with what is known of each key.
#[derive(Debug, Deserialize)]
struct Listed {
    #[serde(flatten)]
    names: Keys,
    key_info: Map<String, Value>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match &args.action {
        Action::Create(args) => create(args, &client),
        Action::List { format } => list(client.list("sys/aws-keys")?.data()?, format.format),
        Action::Revoke { id } => {
            client.delete(&format!("sys/aws-keys/{id}"))?;
            Ok(output::print_line(&format!("access key {id} revoked"))?)
        }
    }
}

fn create(args: &CreateArgs, client: &Client) -> Result<(), Failure> {
    let body = json!({
        "policies": args.policies,
        "ttl": args.ttl,
        "name": args.name,
        "bound_cidrs": args.bound_cidrs,
        "no_default_policy": args.no_default_policy,
        "account": args.account,
    });
    let reply = client.post("sys/aws-keys", &body)?;
    let envelope: Envelope<Issued> = reply.json()?;
    for warning in envelope.warnings.iter().flatten() {
        note(&format!("warning: {warning}"));
    }
    let none = || Failure::Usage("the server gave no key: is the address a Keyturn server's?".to_owned());
    print(&envelope.data.ok_or_else(none)?, args.format.format)
}

fn print(issued: &Issued, format: Format) -> Result<(), Failure> {
    let secret = issued.secret_access_key.expose_secret();
    if format == Format::Json {
        return Ok(output::print_json(&json!({
            "access_key_id": issued.access_key_id,
            "secret_access_key": secret,
            "name": issued.name,
            "policies": issued.policies,
            "expire_time": issued.expire_time,
        }))?);
    }
    let mut table = Table::of_fields();
    table.row(["access_key_id", &issued.access_key_id]);
    table.row(["secret_access_key", secret]);
    table.row(["name", &issued.name]);
    table.row(["policies", &issued.policies.join(", ")]);
    table.row(["expires", &issued.expire_time.as_deref().map_or_else(|| "never".to_owned(), short_time)]);
    Ok(output::print(&table.render())?)
}

fn list(listed: Listed, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return Ok(output::print_json(&Value::Object(listed.key_info))?);
    }
    let mut table = Table::new(["access key", "name", "policies", "expires", "last used"]);
    for id in &listed.names.keys {
        let info = &listed.key_info[id];
        let [expires, used] = ["expire_time", "last_used_time"].map(|name| short_time(&cell(&info[name])));
        table.row([id, &cell(&info["name"]), &cell(&info["policies"]), &expires, &used]);
    }
    Ok(output::print(&table.render())?)
}
