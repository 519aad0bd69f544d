//! `read`: any route of the API, as it answers.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::FormatArgs;
use crate::wrap::WrapArgs;

const EXAMPLES: &str = "\
Examples:
  keyturn read auth/approle/role/app/role-id
  keyturn read sys/mounts/secret/tune --format json
  keyturn read auth/approle/role/app/role-id --field role_id
  keyturn read secret/data/app/db --wrap-ttl 5m --field token     a token for the answer, see `keyturn unwrap`

The answer is printed as it is, secrets included: to read a secret, `keyturn get` masks it.";

/// Read any path of the API
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The API path, without /v1/
    path: String,
    /// Print this member of the answer's data alone, without a line end
    #[arg(long, conflicts_with = "format")]
    field: Option<String>,
    #[command(flatten)]
    wrap: WrapArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = args.wrap.apply(context.client()?);
    let reply = client.get(args.path.trim_start_matches('/'))?;
    args.wrap.check(&reply)?;
    super::answer::print(&reply, &args.path, args.field.as_deref(), args.format.format)
}
