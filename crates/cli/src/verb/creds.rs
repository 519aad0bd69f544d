//! `creds`: a credential of a database, made for whoever asks, or a static role's.

use serde::Deserialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{FormatArgs, note};
use crate::wrap::WrapArgs;

const EXAMPLES: &str = "\
Examples:
  keyturn creds app                              of the role app of the mount database/
  keyturn creds team-db/app --format json
  keyturn creds app --field password
  keyturn creds --static app                     the password of a static role
  keyturn creds app --wrap-ttl 5m --field token  a token for it, see `keyturn unwrap`

It is printed as it is, password included. A credential lives as long as its lease: see `keyturn lease`.";

/// Get a database credential: a new user that ends with its lease, or a static role's
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The role: ROLE of the mount database/, MOUNT/ROLE, or MOUNT/creds/ROLE
    role: String,
    /// A static role: its password, not a user of one's own
    #[arg(long = "static")]
    fixed: bool,
    /// Print this member of the answer's data alone, without a line end
    #[arg(long, conflicts_with = "format")]
    field: Option<String>,
    #[command(flatten)]
    wrap: WrapArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// How long the credential lives.
#[derive(Debug, Deserialize)]
struct Leased {
    #[serde(default)]
    lease_id: String,
    #[serde(default)]
    lease_duration: u64,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = args.wrap.apply(context.client()?);
    let path = path_of(&args.role, args.fixed);
    let reply = client.get(&path)?;
    args.wrap.check(&reply)?;
    let leased: Leased = reply.json()?;
    super::answer::print(&reply, &path, args.field.as_deref(), args.format.format)?;
    if !leased.lease_id.is_empty() {
        note(&format!("lease {}, good for {} seconds", leased.lease_id, leased.lease_duration));
    }
    Ok(())
}

/// A role's name has no slash, so that the last part is it.
fn path_of(role: &str, fixed: bool) -> String {
    let area = if fixed { "static-creds" } else { "creds" };
    match super::bare(role).rsplit_once('/') {
        None => format!("database/{area}/{}", super::bare(role)),
        Some((mount, name)) => {
            let named = ["creds", "static-creds"].iter().any(|area| mount.ends_with(&format!("/{area}")));
            if named { format!("{mount}/{name}") } else { format!("{mount}/{area}/{name}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_named_with_or_without_its_mount() {
        for (role, fixed, path) in [
            ("app", false, "database/creds/app"),
            ("app", true, "database/static-creds/app"),
            ("team/db/app", false, "team/db/creds/app"),
            ("/db/creds/app/", false, "db/creds/app"),
            ("db/static-creds/app", false, "db/static-creds/app"),
            ("db/app", true, "db/static-creds/app"),
        ] {
            assert_eq!(path_of(role, fixed), path, "{role}");
        }
    }
}
