//! `list`: the names below a path.

use keyturn_protocol::vault::Keys;
use serde_json::Value;

use crate::context::Context;
use crate::failure::Failure;
use crate::kv::Place;
use crate::output::{self, Format, FormatArgs, visible};

const EXAMPLES: &str = "\
Examples:
  keyturn list secret/               the names below the mount; one that ends in / is a folder
  keyturn list secret/app --format json
  keyturn list auth/userpass/users   any other route that lists

With nothing there it prints nothing and exits with 3.";

/// List the names below a path, one a line
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where: MOUNT/ or MOUNT/FOLDER
    path: String,
    #[command(flatten)]
    format: FormatArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let route = match Place::find(&client, &args.path)? {
        Place::Plain(plain) => plain.path,
        Place::Versioned(keeper) => keeper.route("metadata"),
    };
    print_keys(client.list(&route)?.data()?, args.format.format)
}

/// Prints names, one a line or as a JSON array.
pub(super) fn print_keys(keys: Keys, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => output::print_json(&Value::from(keys.keys))?,
        Format::Table => {
            output::print(&keys.keys.iter().map(|key| format!("{}\n", visible(key, false))).collect::<String>())?;
        }
    }
    Ok(())
}
