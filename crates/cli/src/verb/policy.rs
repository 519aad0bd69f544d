//! `policy`: what tokens may do.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::input::Source;
use crate::output::{self, Format, FormatArgs};

/// List, read, write and delete policies
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the names of the policies
    #[command(after_help = "Examples:\n  keyturn policy list")]
    List {
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Print a policy's text as it was written
    #[command(after_help = "Examples:\n  keyturn policy read app > app.hcl")]
    Read {
        /// The policy
        name: String,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Write a policy from a file; tokens that carry it obey at once
    #[command(after_help = r#"Examples:
  keyturn policy write app app.hcl
  keyturn policy write app - <<'END'
  path "secret/data/app/*" { capabilities = ["read"] }
  path "secret/metadata/app/*" { capabilities = ["list"] }
  END"#)]
    Write {
        /// The policy
        name: String,
        /// HCL or JSON, or - for standard input
        file: std::path::PathBuf,
    },
    /// Delete a policy; tokens that carry it lose what it allowed
    #[command(after_help = "Examples:\n  keyturn policy delete app")]
    Delete {
        /// The policy
        name: String,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match &args.action {
        Action::List { format } => super::list::print_keys(client.list("sys/policies/acl")?.data()?, format.format),
        Action::Read { name, format } => {
            #[derive(Deserialize)]
            struct Policy {
                policy: String,
            }
            let Policy { policy } = client.get(&format!("sys/policies/acl/{name}"))?.data()?;
            match format.format {
                Format::Json => output::print_json(&json!({ "name": name, "policy": policy }))?,
                Format::Table if output::is_terminal() => {
                    output::print_line(output::visible(&policy, true).trim_end())?
                }
                Format::Table => output::print(&policy)?,
            }
            Ok(())
        }
        Action::Write { name, file } => {
            let policy = Source::file(file).read("the policy")?;
            client.put(&format!("sys/policies/acl/{name}"), &json!({ "policy": policy.expose_secret() }))?;
            Ok(output::print_line(&format!("policy {name} written"))?)
        }
        Action::Delete { name } => {
            client.delete(&format!("sys/policies/acl/{name}"))?;
            Ok(output::print_line(&format!("policy {name} deleted"))?)
        }
    }
}
