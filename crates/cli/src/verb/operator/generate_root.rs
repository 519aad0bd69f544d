//! `operator generate-root`: a root token from the shares.

use std::path::PathBuf;

use clap::Subcommand;
use keyturn_core::ceremony::decode_token;
use keyturn_protocol::vault::RootGeneration;
use serde_json::{Value, json};

use super::{nonce_of, step};
use crate::client::Reply;
use crate::context::Context;
use crate::failure::Failure;
use crate::input;
use crate::kv::Exposed;
use crate::output::{self, Format, FormatArgs, Table, note};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Start it: shows the one-time password that the token will be combined with
    #[command(after_help = "\
Examples:
  keyturn operator generate-root start
  keyturn operator generate-root start --format json

Keep the password to yourself: with what the last share brings forth, it gives the token.")]
    Start {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Give one share; the last one needed shows the encoded token
    #[command(after_help = "\
Examples:
  keyturn operator generate-root give                        asks for a share, does not show it
  keyturn operator generate-root give --share-file share.1   or - for standard input")]
    Give {
        /// The share from a file, or - for standard input, instead of a prompt
        #[arg(long, value_name = "FILE|-")]
        share_file: Option<PathBuf>,
        /// The operation that the share is meant for, as whoever started it was told
        #[arg(long)]
        nonce: Option<String>,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Turn the encoded token into the token, with the one-time password
    #[command(after_help = "\
Examples:
  keyturn operator generate-root decode ENCODED                    asks for the password, does not show it
  keyturn operator generate-root decode ENCODED --otp-file otp     or - for standard input")]
    Decode {
        /// What the last share brought forth
        encoded: String,
        /// The one-time password from a file, or - for standard input, instead of a prompt
        #[arg(long, value_name = "FILE|-")]
        otp_file: Option<PathBuf>,
    },
    /// Show how far it is
    #[command(after_help = "Examples:\n  keyturn operator generate-root status")]
    Status {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Forget it and the shares given
    #[command(after_help = "Examples:\n  keyturn operator generate-root cancel")]
    Cancel,
}

const ATTEMPT: &str = "sys/generate-root/attempt";

pub(super) fn run(action: &Action, context: &Context) -> Result<(), Failure> {
    match action {
        Action::Start { format } => print(&context.client()?.put(ATTEMPT, &json!({}))?, format.format),
        Action::Status { format } => print(&context.client()?.get(ATTEMPT)?, format.format),
        Action::Cancel => {
            context.client()?.delete(ATTEMPT)?;
            Ok(output::print_line("cancelled: no token was made")?)
        }
        Action::Give { share_file, nonce, format } => {
            let client = context.client()?;
            let under_way = client.get(ATTEMPT)?.json::<RootGeneration>()?.nonce;
            let nonce = nonce_of(nonce.as_deref(), &under_way)?;
            let body = step("the unseal share", share_file.as_deref(), &nonce)?;
            print(&client.put("sys/generate-root/update", &Exposed(&body))?, format.format)
        }
        Action::Decode { encoded, otp_file } => {
            let otp = input::credential("the one-time password", otp_file.as_deref())?;
            let token = decode_token(encoded, &otp).ok_or_else(|| {
                Failure::Usage("the encoded token is not base64, or not as long as the password".to_owned())
            })?;
            Ok(output::print(&format!("{}\n", token.expose_secret()))?)
        }
    }
}

fn print(reply: &Reply<'_>, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return Ok(output::print_json(&reply.json::<Value>()?)?);
    }
    let status: RootGeneration = reply.json()?;
    let mut table = Table::of_fields();
    table.row(["started", if status.started { "yes" } else { "no" }]);
    if status.started {
        table.row(["nonce", &status.nonce]);
    }
    table.row(["given", &format!("{} of {}", status.progress, status.required)]);
    if !status.otp.is_empty() {
        table.row(["one-time password", status.otp.expose_secret()]);
    }
    if status.complete {
        table.row(["encoded token", &status.encoded_token]);
    }
    output::print(&table.render())?;
    if status.complete {
        note(
            "\nWhoever has the one-time password: `keyturn operator generate-root decode`. Revoke the token after use.",
        );
    }
    Ok(())
}
