//! `destroy`: remove payloads for good.

use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::kv::Place;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  keyturn destroy secret/app/db --versions 1,2   their payloads; the history still names them
  keyturn destroy secret/app/db --all            every version and the history

There is no way back. `keyturn delete` is the one that can be undone.";

/// Remove versions of a secret for good
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which: MOUNT/NAME
    path: String,
    /// The versions
    #[arg(long, value_delimiter = ',', required_unless_present = "all", value_name = "N,…")]
    versions: Vec<u64>,
    /// Everything: all versions and the metadata
    #[arg(long, conflicts_with = "versions")]
    all: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let keeper = Place::find_secret(&client, &args.path)?.versioned("destroy")?;
    let said = if args.all {
        client.delete(&keeper.route("metadata"))?;
        format!("{} is gone", keeper.path())
    } else {
        client.put(&keeper.route("destroy"), &json!({ "versions": args.versions }))?;
        format!("{}: destroyed versions {}", keeper.path(), super::joined(&args.versions))
    };
    Ok(output::print_line(&said)?)
}
