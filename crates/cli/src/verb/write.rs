//! `write`: any route of the API.

use crate::context::Context;
use crate::failure::Failure;
use crate::fields::Request;
use crate::kv::Exposed;
use crate::output::FormatArgs;
use crate::wrap::WrapArgs;

const EXAMPLES: &str = "\
Examples:
  keyturn write auth/userpass/users/bob policies=app password=-   the password by standard input
  keyturn write auth/userpass/users/bob password                  or asked for
  keyturn write auth/approle/role/app policies=app token_ttl=1h
  keyturn write auth/approle/role/app/secret-id --field secret_id
  keyturn write auth/approle/role/app/secret-id --wrap-ttl 5m     a token for it, see `keyturn unwrap`
  keyturn write sys/config/cors --json @cors.json

A parameter given as KEY=VALUE is visible in the process list: give secrets as KEY, KEY=@FILE or KEY=-. Values are sent
as text; --json sends numbers, lists and objects.";

/// Write to any path of the API
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The API path, without /v1/
    path: String,
    /// KEY=VALUE, KEY (asked for), KEY=@FILE or KEY=- (standard input)
    #[arg(value_name = "KEY[=VALUE]")]
    parameters: Vec<String>,
    /// All parameters from a JSON object: @FILE, or - for standard input
    #[arg(long, value_name = "@FILE|-", conflicts_with = "parameters")]
    json: Option<String>,
    /// Drop one line end from the end of each value that is read
    #[arg(long)]
    trim: bool,
    /// Print this member of the answer's data alone, without a line end
    #[arg(long, conflicts_with = "format")]
    field: Option<String>,
    #[command(flatten)]
    wrap: WrapArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let request = match &args.json {
        Some(origin) => Request::whole(origin)?,
        None => Request::parameters(&args.parameters)?,
    };
    let client = args.wrap.apply(context.client()?);
    let reply = client.post(args.path.trim_start_matches('/'), &Exposed(&request.read(args.trim)?))?;
    args.wrap.check(&reply)?;
    super::answer::print(&reply, &args.path, args.field.as_deref(), args.format.format)
}
