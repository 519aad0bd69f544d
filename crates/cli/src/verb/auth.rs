//! `auth`: the methods by which people and machines log in.

use clap::Subcommand;
use serde_json::{Map, Value};

use super::settings::Settings;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, FormatArgs};

/// List, enable, disable and tune auth methods
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the auth methods
    #[command(after_help = "Examples:\n  keyturn auth list\n  keyturn auth list --format json")]
    List {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Enable an auth method
    #[command(after_help = "\
Examples:
  keyturn auth enable approle
  keyturn auth enable userpass --path staff --description 'people'

Then give it users or roles:
  keyturn write auth/staff/users/bob policies=app password=-
  keyturn write auth/approle/role/app policies=app secret_id_ttl=1h")]
    Enable {
        /// What: userpass, approle …
        #[arg(value_name = "TYPE")]
        kind: String,
        /// Where, if not at its own name
        #[arg(long)]
        path: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Disable an auth method; the tokens that it issued end
    #[command(after_help = "Examples:\n  keyturn auth disable staff")]
    Disable {
        /// Where it is
        path: String,
    },
    /// Change an auth method's settings
    #[command(after_help = "Examples:\n  keyturn auth tune approle --max-lease-ttl 12h")]
    Tune {
        /// Where it is
        path: String,
        #[command(flatten)]
        settings: Settings,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let said = match &args.action {
        Action::List { format } => {
            let methods: Map<String, Value> = client.get("sys/auth")?.data()?;
            return Ok(super::mount::print_mounts(methods, format.format)?);
        }
        Action::Enable { kind, path, settings } => {
            let path = super::bare(path.as_ref().unwrap_or(kind));
            client.post(&format!("sys/auth/{path}"), &settings.enabling(kind))?;
            format!("auth method {kind} enabled at auth/{path}/")
        }
        Action::Disable { path } => {
            client.delete(&format!("sys/auth/{}", super::bare(path)))?;
            format!("auth method at auth/{}/ disabled", super::bare(path))
        }
        Action::Tune { path, settings } => {
            client.post(&format!("sys/auth/{}/tune", super::bare(path)), &settings.tuning())?;
            format!("auth method at auth/{}/ tuned", super::bare(path))
        }
    };
    Ok(output::print_line(&said)?)
}
