//! `unwrap`: the answer behind a wrapping token.

use std::path::PathBuf;

use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::input;
use crate::output::{self, FormatArgs};

const ROUTE: &str = "sys/wrapping/unwrap";

const EXAMPLES: &str = "\
Examples:
  keyturn unwrap                                    asks for the token
  keyturn unwrap --token-file wrapped.token --field secret_id
  some-command | keyturn unwrap --format json       the token by standard input

The token works once. If it does not work for you, somebody may have used it before: treat what it stood for as known to
them. No other token is needed. The answer is printed as it is, secrets included.";

/// Get the answer that a wrapping token stands for; it works once
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The wrapping token in this file, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    token_file: Option<PathBuf>,
    /// Print this member of the answer's data alone, without a line end
    #[arg(long, conflicts_with = "format")]
    field: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let token = input::credential("the wrapping token", args.token_file.as_deref())?;
    let client = context.client_without_token()?.with_token(token);
    if client.exposes_token() {
        output::note("warning: the token and every secret travel in clear text: use an https:// address");
    }
    let reply = client.post(ROUTE, &json!({}))?;
    super::answer::print(&reply, ROUTE, args.field.as_deref(), args.format.format)
}
