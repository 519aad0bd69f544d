//! `operator`: initialise, unseal, seal, and ask how a server is; below it the key ceremonies, snapshots, and moving a
//! store to another seal.

mod generate_root;
mod migrate_seal;
mod rekey;
mod snapshot;

use std::path::PathBuf;

use clap::Subcommand;
use keyturn_core::secret::SecretString;
use keyturn_protocol::vault::{Fields, Initialized, SealStatus, SecretJson};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::kv::Exposed;
use crate::output::{self, Format, FormatArgs, Table, note};

/// Initialise, unseal and seal a server, and ask how it is
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set up an empty server: prints the unseal shares and the root token, once
    #[command(after_help = "\
Examples:
  keyturn operator init
  keyturn operator init --shares 1 --threshold 1 --format json

The shares and the token are shown once and kept nowhere. Give each share to another person.")]
    Init {
        /// How many shares of the unseal key to make
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
        shares: u8,
        /// How many of them it takes to unseal
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
        threshold: u8,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Give one share of the unseal key; run it until the threshold is met
    #[command(after_help = "\
Examples:
  keyturn operator unseal                        asks for a share, does not show it
  keyturn operator unseal --share-file share.1   or - for standard input
  keyturn operator unseal --reset                forget the shares given so far
  keyturn operator unseal --migrate              move the store to the key that the configuration names")]
    Unseal {
        /// The share from a file, or - for standard input, instead of a prompt
        #[arg(long, value_name = "FILE|-", conflicts_with = "reset")]
        share_file: Option<PathBuf>,
        /// Forget the shares given so far
        #[arg(long)]
        reset: bool,
        /// Move the store from its shares to the key that the configuration names, once there are enough of them
        #[arg(long, conflicts_with = "reset")]
        migrate: bool,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Lock the server: it forgets its keys and answers nothing but its status until it is unsealed
    #[command(after_help = "Examples:\n  keyturn operator seal")]
    Seal,
    /// Show whether the server is initialised and sealed
    #[command(after_help = "\
Examples:
  keyturn operator status
  keyturn operator status --format json | jq .sealed

Exits with 0 if the server is unsealed, with 2 if it is sealed.")]
    Status {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Make new unseal shares in the place of the old ones
    #[command(subcommand)]
    Rekey(rekey::Action),
    /// Make a root token from the unseal shares, for those who have none
    #[command(subcommand)]
    GenerateRoot(generate_root::Action),
    /// Begin a new data key: what is written from now on is sealed under it
    #[command(after_help = "Examples:\n  keyturn operator rotate")]
    Rotate,
    /// Show the newest data key's number, age and use
    #[command(after_help = "\
Examples:
  keyturn operator key-status
  keyturn operator key-status --format json | jq .encryptions")]
    KeyStatus {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Copy the whole store to a file, look at such a file, restore it
    #[command(subcommand)]
    Snapshot(snapshot::Action),
    MigrateSeal(migrate_seal::Args),
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    match &args.action {
        Action::Init { shares, threshold, format } => init(*shares, *threshold, format.format, context),
        Action::Unseal { share_file, reset, migrate, format } => {
            let client = context.client_without_token()?;
            let reply = if *reset {
                client.put("sys/unseal", &json!({ "reset": true }))?
            } else {
                let share = input::credential("the unseal share", share_file.as_deref())?;
                let mut body: Fields = [("key".to_owned(), SecretJson::from_text(&share))].into();
                if *migrate {
                    body.insert("migrate".to_owned(), SecretJson::from_text(&"true".into()));
                }
                client.put("sys/unseal", &Exposed(&body))?
            };
            print_status(&reply.json()?, reply.json()?, format.format)?;
            Ok(Exit::Done)
        }
        Action::Seal => {
            context.client()?.put("sys/seal", &json!({}))?;
            output::print_line("sealed: unseal it by `keyturn operator unseal`")?;
            Ok(Exit::Done)
        }
        Action::Status { format } => {
            let client = context.client_without_token()?;
            let reply = client.get("sys/seal-status")?;
            let status: SealStatus = reply.json()?;
            print_status(&status, reply.json()?, format.format)?;
            Ok(if status.sealed { Exit::STATUS_SEALED } else { Exit::Done })
        }
        Action::Rotate => {
            context.client()?.put("sys/rotate", &json!({}))?;
            output::print_line("a new data key is in use")?;
            Ok(Exit::Done)
        }
        Action::KeyStatus { format } => {
            let client = context.client()?;
            output::print_data(&client.get("sys/key-status")?.data()?, format.format)?;
            Ok(Exit::Done)
        }
        Action::Rekey(action) => rekey::run(action, context).map(|()| Exit::Done),
        Action::GenerateRoot(action) => generate_root::run(action, context).map(|()| Exit::Done),
        Action::Snapshot(action) => snapshot::run(action, context).map(|()| Exit::Done),
        Action::MigrateSeal(args) => migrate_seal::run(args).map(|()| Exit::Done),
    }
}

/// The body of a ceremony's step: a share, asked for or from a file, and the nonce of the ceremony that it is meant for.
fn step(what: &str, share_file: Option<&std::path::Path>, nonce: &str) -> Result<Fields, Failure> {
    let share = input::credential(what, share_file)?;
    Ok([("key".to_owned(), SecretJson::from_text(&share)), ("nonce".to_owned(), SecretJson::from_text(&nonce.into()))]
        .into())
}

/// The ceremony that a share is meant for: the one that is named, else the one under way, whose name is shown so that
/// people can compare it.
fn nonce_of(named: Option<&str>, under_way: &str) -> Result<String, Failure> {
    match named {
        Some(nonce) => Ok(nonce.to_owned()),
        None if under_way.is_empty() => {
            Err(Failure::Usage("there is none under way that a share could be for".to_owned()))
        }
        None => {
            note(&format!("the operation's nonce is {under_way}: compare it with the one that whoever started it has"));
            Ok(under_way.to_owned())
        }
    }
}

fn init(shares: u8, threshold: u8, format: Format, context: &Context) -> Result<Exit, Failure> {
    if threshold > shares {
        return Err(Failure::Usage(format!("--threshold {threshold} is more than --shares {shares}")));
    }
    let client = context.client_without_token()?;
    let body = json!({ "secret_shares": shares, "secret_threshold": threshold });
    let reply = client.put("sys/init", &body)?;
    let made: Initialized = reply.json()?;
    match format {
        Format::Json => output::print_json(&reply.json()?)?,
        Format::Table => {
            output::print(shown(&made).expose_secret())?;
            note(&format!(
                "\nThese are shown once and kept nowhere. {threshold} of the {shares} shares unseal the server: `keyturn \
                 operator unseal`. Use the root token to set up policies and logins, then revoke it."
            ));
        }
    }
    Ok(Exit::Done)
}

/// The shares and the token: to show them is what `init` is for.
fn shown(made: &Initialized) -> SecretString {
    let mut table = Table::of_fields();
    let shares = if made.keys_base64.is_empty() { &made.keys } else { &made.keys_base64 };
    for (index, share) in shares.iter().enumerate() {
        table.row([&format!("unseal share {}", index + 1), share.expose_secret()]);
    }
    table.row(["root token", made.root_token.expose_secret()]);
    table.render().into()
}

fn print_status(status: &SealStatus, answer: Value, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return Ok(output::print_json(&answer)?);
    }
    let yes_no = |is| if is { "yes" } else { "no" };
    let mut table = Table::of_fields();
    table.row(["initialized", yes_no(status.initialized)]);
    table.row(["sealed", yes_no(status.sealed)]);
    table.row(["seal", &status.kind]);
    table.row(["shares", &format!("{} of {} unseal", status.t, status.n)]);
    if status.sealed {
        table.row(["given", &format!("{} of {}", status.progress, status.t)]);
    }
    table.row(["storage", &status.storage_type]);
    table.row(["version", &status.version]);
    Ok(output::print(&table.render())?)
}
