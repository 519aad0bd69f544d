//! `rotate`: begin a rotation now.

use serde::Deserialize;
use serde_json::json;

use super::rotation::progress;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  keyturn rotate secret/prod/db
  keyturn rotate secret/prod/db --wait
  keyturn rotate secret/prod/db --test --wait

With --wait, each step is told until the credential before is revoked; the exit code says whether it came about.";

/// Rotate a secret now
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The secret: MOUNT/NAME
    path: String,
    /// Tell each step, and wait for the end
    #[arg(long)]
    wait: bool,
    /// Only try the present credential; nothing changes
    #[arg(long)]
    test: bool,
}

#[derive(Debug, Deserialize)]
struct Begun {
    id: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let path = super::bare(&args.path);
    let begun: Begun = client.post(&format!("sys/rotation-run/{path}"), &json!({ "test": args.test }))?.data()?;
    match (args.wait, args.test) {
        (false, _) => {
            Ok(output::print_line(&format!("a rotation of {path} has begun; see `keyturn rotation show {path}`"))?)
        }
        (true, false) => progress::follow(&client, path, &begun.id),
        (true, true) => progress::follow_test(&client, path, &begun.id),
    }
}
