//! `put`: write a secret.

use crate::context::Context;
use crate::failure::Failure;
use crate::fields::Request;
use crate::kv::Place;
use crate::output::{self, note};

const EXAMPLES: &str = "\
Examples:
  keyturn put secret/app/db user password           asks for both, shows neither
  keyturn put secret/app/tls key=@server.key        from a file
  pass show db | keyturn put secret/app/db password=- --trim
  keyturn put secret/app/db --json @db.json         all fields from a JSON object
  keyturn put secret/app/db password=- --patch      change one field, keep the others
  keyturn put secret/app/db --cas 3 password        only if version 3 is the current one

A value is kept byte for byte; --trim drops one line end from its end. It is UTF-8 text of at most 1 MiB.";

/// Write a secret: a new version with the given fields
///
/// Values come from a prompt, from standard input or from files, never from the command line, where every user of the
/// machine can see them. Without --patch the fields given are all that the new version has.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where: MOUNT/NAME
    path: String,
    /// FIELD (asked for), FIELD=@FILE or FIELD=- (standard input)
    #[arg(value_name = "FIELD[=SOURCE]", required_unless_present_any = ["json", "values"])]
    fields: Vec<String>,
    /// All fields from a JSON object: @FILE, or - for standard input
    #[arg(long, value_name = "@FILE|-", conflicts_with_all = ["fields", "values", "trim"])]
    json: Option<String>,
    /// A field on the command line, visible in the process list and the shell's history
    #[arg(long = "value", value_name = "FIELD=VALUE")]
    values: Vec<String>,
    /// Write only if this is the current version; 0: only if there is none
    #[arg(long, value_name = "VERSION")]
    cas: Option<u64>,
    /// Keep the fields that are not given; null in --json removes one
    #[arg(long)]
    patch: bool,
    /// Drop one line end from the end of each value
    #[arg(long)]
    trim: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let request = match &args.json {
        Some(origin) => Request::whole(origin)?,
        None => Request::fields(&args.fields, &args.values)?,
    };
    if !args.values.is_empty() {
        note(
            "warning: --value is visible in the process list and the shell's history: prefer a prompt, FIELD=- or FIELD=@FILE",
        );
    }
    let client = context.client()?;
    // Asked before the values are: a path that cannot be written should not cost typing a password.
    let said = match Place::find_secret(&client, &args.path)? {
        Place::Plain(plain) if args.cas.is_none() && !args.patch => {
            plain.write(&client, &request.read(args.trim)?)?;
            format!("{} written", plain.path)
        }
        place => {
            let keeper = place.versioned(if args.patch { "--patch" } else { "--cas" })?;
            let fields = request.read(args.trim)?;
            let version = if args.patch {
                keeper.merge(&client, &fields, args.cas)?
            } else {
                keeper.write(&client, &fields, args.cas)?
            };
            format!("{} is now at version {version}", keeper.path())
        }
    };
    Ok(output::print_line(&said)?)
}
