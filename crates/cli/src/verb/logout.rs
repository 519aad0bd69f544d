//! `logout`: forget the kept token.

use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  keyturn logout            remove the token file; the token stays valid until it expires
  keyturn logout --revoke   end the token too, and all that it created";

/// Forget the token that `login` kept
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Revoke the token on the server first
    #[arg(long)]
    revoke: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let file = context.token_file()?;
    if args.revoke
        && let Some(token) = file.read()?
    {
        context.client_without_token()?.with_token(token).post("auth/token/revoke-self", &json!({}))?;
    }
    let place = file.path().display();
    let said = if file.remove()? { format!("token removed from {place}") } else { format!("no token in {place}") };
    output::print_line(&said)?;
    if let Some(variable) = context.overriding_variable() {
        output::note(&format!("note: {variable} is set and still holds a token"));
    }
    Ok(())
}
