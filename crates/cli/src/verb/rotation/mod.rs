//! `rotation`: how secrets are rotated, and how far that is.

mod create;
pub(super) mod progress;
mod show;

use clap::Subcommand;
use keyturn_protocol::vault::Keys;
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, FormatArgs};

/// Set up, show, pause and undo the rotation of secrets
///
/// A rotation replaces a secret's credential on a schedule and revokes the one before once nobody needs it any more.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set up the rotation of a secret, or change it
    #[command(after_help = create::EXAMPLES)]
    Create(Box<create::Args>),
    /// Show a rotation: how far it is, who has read the secret, who holds on to the credential before
    #[command(after_help = "\
Examples:
  keyturn rotation show secret/prod/db
  keyturn rotation show secret/prod/db --format json | jq '.stragglers[].identity'")]
    Show {
        /// The secret: MOUNT/NAME
        path: String,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// List the secrets that have a rotation
    #[command(after_help = "Examples:\n  keyturn rotation list\n  keyturn rotation list --format json")]
    List {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Begin no new rotation and revoke nothing, until it is resumed
    #[command(after_help = "Examples:\n  keyturn rotation pause secret/prod/db")]
    Pause {
        /// The secret: MOUNT/NAME
        path: String,
    },
    /// Go on after a pause; what was missed is done once
    #[command(after_help = "Examples:\n  keyturn rotation resume secret/prod/db")]
    Resume {
        /// The secret: MOUNT/NAME
        path: String,
    },
    /// Make the credential before current again, while it is still good
    #[command(after_help = "\
Examples:
  keyturn rotation rollback secret/prod/db

The one that was current is then revoked in its place, once nobody needs it.")]
    Rollback {
        /// The secret: MOUNT/NAME
        path: String,
    },
    /// Remove a rotation; the secret and what is at the target stay
    #[command(after_help = "Examples:\n  keyturn rotation delete secret/prod/db")]
    Delete {
        /// The secret: MOUNT/NAME
        path: String,
        /// Even while one is under way: what it has begun at the target stays, too
        #[arg(long)]
        force: bool,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let act = |verb: &str, path: &str, done: &str| -> Result<(), Failure> {
        client.post(&format!("sys/rotation-{verb}/{}", super::bare(path)), &json!({}))?;
        Ok(output::print_line(&format!("the rotation of {} is {done}", super::bare(path)))?)
    };
    match &args.action {
        Action::Create(args) => create::run(args, &client),
        Action::Show { path, format } => show::run(&client, path, format.format),
        Action::List { format } => {
            let keys: Keys = client.list("sys/rotation")?.data()?;
            super::list::print_keys(keys, format.format)
        }
        Action::Pause { path } => act("pause", path, "paused"),
        Action::Resume { path } => act("resume", path, "resumed"),
        Action::Rollback { path } => act("rollback", path, "rolled back: the credential before is current again"),
        Action::Delete { path, force } => {
            let path = super::bare(path);
            client.delete_with(&format!("sys/rotation/{path}"), &[("force", force.to_string())])?;
            Ok(output::print_line(&format!("the rotation of {path} is deleted; the secret stays"))?)
        }
    }
}
