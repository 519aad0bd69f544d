//! `diff`: what differs between two versions of a secret, without their values.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::kv::{KvError, Place};
use crate::output::{self, Format, FormatArgs, Table, note};

const EXAMPLES: &str = "\
Examples:
  keyturn diff secret/app/db
  keyturn diff secret/app/db --from 1 --to 3
  keyturn diff secret/app/db --format json | jq -r '.fields[] | select(.change == \"changed\").name'

Values are not shown. The server compares them by keyed fingerprints, which say whether a field of this secret has the
same value in another version, and nothing else. It needs `read` on MOUNT/diff/NAME.";

/// Show which fields differ between two versions of a secret
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which: MOUNT/NAME
    path: String,
    /// The older version; without it the one before
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// The newer version; without it the current one
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
    /// Show fields that are the same too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    format: FormatArgs,
}

/// As the server tells it.
#[derive(Debug, Deserialize)]
struct Diff {
    from: Compared,
    to: Compared,
    fields: Vec<Field>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Compared {
    version: u64,
    created_time: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct Field {
    name: String,
    change: String,
    from_fingerprint: Option<String>,
    to_fingerprint: Option<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let keeper = Place::find_secret(&client, &args.path)?.versioned("diff")?;
    let query: Vec<_> = [("from", args.from), ("to", args.to)]
        .into_iter()
        .filter_map(|(name, version)| Some((name, version?.to_string())))
        .collect();
    let reply = client.get_any(&keeper.route("diff"), &query)?;
    if !reply.is_success() {
        let refusal = reply.refusal();
        let missing = refusal.is_not_found();
        return Err(if missing { KvError::Missing { path: keeper.path() } } else { refusal.into() }.into());
    }
    let mut diff: Diff = reply.data()?;
    diff.fields.retain(|field| args.all || field.change != "unchanged");
    match args.format.format {
        Format::Json => output::print_json(&json!({
            "path": keeper.path(), "from": diff.from, "to": diff.to, "fields": diff.fields,
        }))?,
        Format::Table if diff.fields.is_empty() => {
            note(&format!("versions {} and {} have the same fields", diff.from.version, diff.to.version));
        }
        Format::Table => output::print(&table(&diff).render())?,
    }
    Ok(())
}

fn table(diff: &Diff) -> Table {
    let (from, to) = (format!("version {}", diff.from.version), format!("version {}", diff.to.version));
    let mut table = Table::new(["field", "change", &from, &to]);
    let short =
        |print: &Option<String>| print.as_deref().map_or("-", |print| print.get(..8).unwrap_or(print)).to_owned();
    for field in &diff.fields {
        table.row([&field.name, &field.change, &short(&field.from_fingerprint), &short(&field.to_fingerprint)]);
    }
    table
}
