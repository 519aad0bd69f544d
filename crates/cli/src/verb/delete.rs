//! `delete`: delete a secret, recoverably where the mount keeps versions.

use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::kv::Place;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  keyturn delete secret/app/db                 the current version; undelete brings it back
  keyturn delete secret/app/db --versions 1,2
  keyturn destroy secret/app/db --versions 1   for good, see there

On a mount without versions (KV version 1) the secret is gone at once.";

/// Delete a secret's current version, or those named
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which: MOUNT/NAME
    path: String,
    /// These versions instead of the current one
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    versions: Vec<u64>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let said = match Place::find_secret(&client, &args.path)? {
        Place::Plain(plain) if args.versions.is_empty() => {
            client.delete(&plain.path)?;
            format!("{} deleted for good: its mount keeps no versions", plain.path)
        }
        place => {
            let keeper = place.versioned("--versions")?;
            if args.versions.is_empty() {
                client.delete(&keeper.route("data"))?;
                format!("{path}: current version deleted; `keyturn history {path}` shows it", path = keeper.path())
            } else {
                client.post(&keeper.route("delete"), &json!({ "versions": args.versions }))?;
                format!("{}: deleted versions {}", keeper.path(), super::joined(&args.versions))
            }
        }
    };
    Ok(output::print_line(&said)?)
}
