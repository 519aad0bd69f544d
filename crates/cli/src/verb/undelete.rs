//! `undelete`: bring deleted versions back.

use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::kv::Place;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  keyturn history secret/app/db                which versions are deleted
  keyturn undelete secret/app/db --versions 3
  keyturn undelete secret/app/db --versions 1,2

A destroyed version does not come back.";

/// Bring deleted versions of a secret back
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which: MOUNT/NAME
    path: String,
    /// The versions
    #[arg(long, value_delimiter = ',', required = true, value_name = "N,…")]
    versions: Vec<u64>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let keeper = Place::find_secret(&client, &args.path)?.versioned("undelete")?;
    client.post(&keeper.route("undelete"), &json!({ "versions": args.versions }))?;
    Ok(output::print_line(&format!("{}: restored versions {}", keeper.path(), super::joined(&args.versions)))?)
}
