//! `operator rekey`: new shares in the place of the old ones.

use std::path::PathBuf;

use clap::Subcommand;
use keyturn_core::secret::SecretString;
use keyturn_protocol::vault::Rekey;
use serde_json::{Value, json};

use super::{nonce_of, step};
use crate::client::{Client, Reply};
use crate::context::Context;
use crate::failure::Failure;
use crate::kv::Exposed;
use crate::output::{self, Format, FormatArgs, Table, note};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Start it: says how many shares there will be
    #[command(after_help = "\
Examples:
  keyturn operator rekey start --shares 5 --threshold 3
  keyturn operator rekey start --shares 1 --threshold 1 --no-verification

Then the holders of the old shares run `keyturn operator rekey give`, and those of the new ones `... rekey verify`. Until
the last of them has, the old shares stay in force. With --no-verification the new shares are in force once they are
shown: if they are lost on the way to you, the store is lost with its next sealing.")]
    Start {
        /// How many shares of the unseal key to make
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
        shares: u8,
        /// How many of them it takes to unseal
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
        threshold: u8,
        /// Put the new shares in force without having them given back
        #[arg(long)]
        no_verification: bool,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Give one of the old shares; the last one needed shows the new shares
    #[command(after_help = "\
Examples:
  keyturn operator rekey give                        asks for a share, does not show it
  keyturn operator rekey give --share-file share.1   or - for standard input")]
    Give(ShareArgs),
    /// Give one of the new shares back; the last one needed puts them in force
    #[command(after_help = "\
Examples:
  keyturn operator rekey verify                        asks for a share, does not show it
  keyturn operator rekey verify --share-file new.1     or - for standard input")]
    Verify(ShareArgs),
    /// Show how far it is
    #[command(after_help = "Examples:\n  keyturn operator rekey status")]
    Status {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Forget it, the shares given and the shares made; the old shares stay in force
    #[command(after_help = "Examples:\n  keyturn operator rekey cancel")]
    Cancel,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShareArgs {
    /// The share from a file, or - for standard input, instead of a prompt
    #[arg(long, value_name = "FILE|-")]
    share_file: Option<PathBuf>,
    /// The operation that the share is meant for, as whoever started it was told
    #[arg(long)]
    nonce: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
}

pub(super) fn run(action: &Action, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match action {
        Action::Start { shares, threshold, no_verification, format } => {
            let body = json!({
                "secret_shares": shares,
                "secret_threshold": threshold,
                "require_verification": !no_verification,
            });
            print(&client.put("sys/rekey/init", &body)?, format.format)
        }
        Action::Give(args) => give(args, &client),
        Action::Verify(args) => verify(args, &client),
        Action::Status { format } => print(&client.get("sys/rekey/init")?, format.format),
        Action::Cancel => {
            client.delete("sys/rekey/init")?;
            Ok(output::print_line("cancelled: the shares are as they were")?)
        }
    }
}

fn give(args: &ShareArgs, client: &Client) -> Result<(), Failure> {
    let under_way = client.get("sys/rekey/init")?.json::<Rekey>()?.nonce;
    let nonce = nonce_of(args.nonce.as_deref(), &under_way)?;
    let body = step("the unseal share", args.share_file.as_deref(), &nonce)?;
    let reply = client.put("sys/rekey/update", &Exposed(&body))?;
    let made: Rekey = reply.json()?;
    if args.format.format == Format::Json || !made.complete {
        return print(&reply, args.format.format);
    }
    output::print(shown(&made).expose_secret())?;
    if made.verification_required {
        note(&format!(
            "\nThese are shown once and are not in force yet. Give each to another person; then let enough of them run \
             `keyturn operator rekey verify --nonce {}`.",
            made.verification_nonce
        ));
    } else {
        note("\nThese are shown once and are in force: the old shares open nothing any more.");
    }
    Ok(())
}

fn verify(args: &ShareArgs, client: &Client) -> Result<(), Failure> {
    let under_way = client.get("sys/rekey/verify")?.json::<Rekey>()?.nonce;
    let nonce = nonce_of(args.nonce.as_deref(), &under_way)?;
    let body = step("the new share", args.share_file.as_deref(), &nonce)?;
    let reply = client.put("sys/rekey/verify", &Exposed(&body))?;
    if args.format.format == Format::Table && reply.json::<Rekey>()?.complete {
        return Ok(output::print_line("the new shares are in force: the old ones open nothing any more")?);
    }
    print(&reply, args.format.format)
}

/// The new shares: to show them is what the ceremony is for.
fn shown(made: &Rekey) -> SecretString {
    let mut table = Table::of_fields();
    for (index, share) in made.keys_base64.iter().enumerate() {
        table.row([&format!("unseal share {}", index + 1), share.expose_secret()]);
    }
    table.render().into()
}

fn print(reply: &Reply<'_>, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return Ok(output::print_json(&reply.json::<Value>()?)?);
    }
    let status: Rekey = reply.json()?;
    let mut table = Table::of_fields();
    table.row(["started", if status.started { "yes" } else { "no" }]);
    if status.started {
        table.row(["nonce", &status.nonce]);
        table.row(["new shares", &format!("{} of {} will unseal", status.t, status.n)]);
        // A verification needs as many of the new shares as will unseal.
        let required = if status.required == 0 { status.t } else { status.required };
        table.row(["given", &format!("{} of {required}", status.progress)]);
    }
    if !status.verification_nonce.is_empty() {
        table.row(["verification", &status.verification_nonce]);
    }
    Ok(output::print(&table.render())?)
}
