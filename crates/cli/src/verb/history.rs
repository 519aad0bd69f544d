//! `history`: a secret's versions.

use keyturn_protocol::vault::{Metadata, VersionMetadata};
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;
use crate::kv::{self, Place};
use crate::output::{self, Format, FormatArgs, Table, short_time};

const EXAMPLES: &str = "\
Examples:
  keyturn history secret/app/db
  keyturn history secret/app/db --format json | jq '.versions[] | select(.state == \"deleted\").version'

A version is live, deleted (`undelete` brings it back) or destroyed (gone).";

/// Show the versions of a secret, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which: MOUNT/NAME
    path: String,
    #[command(flatten)]
    format: FormatArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let keeper = Place::find_secret(&client, &args.path)?.versioned("history")?;
    let metadata = keeper.metadata(&client)?;
    match args.format.format {
        Format::Json => output::print_json(&document(&keeper.path(), &metadata))?,
        Format::Table => output::print(&table(&metadata).render())?,
    }
    Ok(())
}

fn table(metadata: &Metadata) -> Table {
    let mut table = Table::new(["version", "state", "written", "deletion"]);
    for (number, version) in metadata.versions.iter().rev() {
        let current = if *number == metadata.current_version { ", current" } else { "" };
        let deletion =
            if version.deletion_time.is_empty() { "-".to_owned() } else { short_time(&version.deletion_time) };
        table.row([
            &number.to_string(),
            &format!("{}{current}", kv::state_now(version).as_str()),
            &short_time(&version.created_time),
            &deletion,
        ]);
    }
    table
}

fn document(path: &str, metadata: &Metadata) -> Value {
    let version = |(number, version): (&u64, &VersionMetadata)| {
        json!({
            "version": number,
            "state": kv::state_now(version).as_str(),
            "created_time": version.created_time,
            "deletion_time": version.deletion_time,
        })
    };
    let versions: Vec<Value> = metadata.versions.iter().rev().map(version).collect();
    json!({ "path": path, "current_version": metadata.current_version, "versions": versions })
}
