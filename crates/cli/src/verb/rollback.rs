//! `rollback`: make an old version the current one again.

use crate::context::Context;
use crate::failure::Failure;
use crate::kv::Place;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  keyturn history secret/app/db
  keyturn rollback secret/app/db --to 3

The old version's fields are written as a new version; nothing is lost. If somebody else writes in between, nothing
is written and you are told.";

/// Write an old version of a secret as the new current one
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which: MOUNT/NAME
    path: String,
    /// The version to return to
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    to: u64,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let keeper = Place::find_secret(&client, &args.path)?.versioned("rollback")?;
    // Read before the old version is, so that a write in between makes the check fail.
    let current = keeper.metadata(&client)?.current_version;
    let old = keeper.read(&client, Some(args.to))?;
    let version = keeper.write(&client, &old.fields, Some(current))?;
    Ok(output::print_line(&format!(
        "{} is now at version {version}, with the fields of version {}",
        keeper.path(),
        args.to
    ))?)
}
