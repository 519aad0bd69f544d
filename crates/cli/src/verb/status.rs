//! `status`: what fires, and what a pipeline does not want to go on with.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Format, FormatArgs, Table};

const EXAMPLES: &str = "\
Examples:
  keyturn status
  keyturn status --fail-on expiring=7d,overdue,failed,stragglers
  keyturn status --fail-on certificate-expiring=30d,firing=critical --format json

Without --fail-on it shows what the server's own rules tell of. With it, the server also
looks for what is listed, at this moment, and the exit code is 7 if there is any:
  expiring=TIME     secrets, leases, tokens and certificates that end within TIME; what was
                    made for less than twice that is passed over, certificates are not.
                    Also secret-expiring=TIME, lease-expiring=TIME, token-expiring=TIME,
                    certificate-expiring=TIME
  overdue[=DELAY]   rotations and revocations that are late by DELAY (5m).
                    Also rotation-overdue, lease-overdue
  failed            rotations that failed
  stragglers        rotations whose overlap lasts longer than it should since somebody holds on
  irrevocable       leases whose credential could not be revoked
  firing[=SEVERITY] what the server's rules tell of, if it is info, warning or critical at least

It needs `read` on sys/alerts.";

/// Show what fires, and fail on what must not be
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Exit with 7 if any of these hold, separated by commas
    #[arg(long, value_name = "CONDITIONS")]
    fail_on: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Deserialize)]
struct Answer {
    firing: Vec<Alert>,
    matched: Vec<Alert>,
    incomplete: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Alert {
    condition: String,
    severity: String,
    subject: String,
    since_time: String,
    message: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let conditions = args.fail_on.as_deref().unwrap_or_default();
    if args.fail_on.is_some() && conditions.trim_matches([',', ' ']).is_empty() {
        return Err(Failure::Usage("--fail-on is empty: see `keyturn status --help` for what it takes".to_owned()));
    }
    let client = context.client()?;
    let data: Value = client.get_with("sys/alerts", &[("conditions", conditions.to_owned())])?.data()?;
    let answer: Answer = serde_json::from_value(data.clone())
        .map_err(|_| Failure::Usage("the server's answer is none of sys/alerts".to_owned()))?;
    match args.format.format {
        Format::Json => {
            let mut data = data;
            data["failed"] = json!(!answer.matched.is_empty());
            output::print_json(&data)?;
        }
        Format::Table => print_table(&answer)?,
    }
    for condition in &answer.incomplete {
        output::note(&format!("warning: there is more to look at for {condition} than one question may read"));
    }
    if answer.matched.is_empty() { Ok(()) } else { Err(Failure::Alerts { count: answer.matched.len() }) }
}

fn print_table(answer: &Answer) -> Result<(), Failure> {
    if answer.firing.is_empty() && answer.matched.is_empty() {
        return Ok(output::print_line("nothing fires")?);
    }
    let mut table = Table::new(["fails", "severity", "condition", "subject", "since", "message"]);
    let same = |a: &Alert, b: &Alert| a.condition == b.condition && a.subject == b.subject;
    let others = answer.firing.iter().filter(|firing| !answer.matched.iter().any(|matched| same(firing, matched)));
    let rows = answer.matched.iter().map(|alert| ("yes", alert)).chain(others.map(|alert| ("no", alert)));
    for (fails, alert) in rows {
        let since = output::short_time(&alert.since_time);
        table.row([fails, &alert.severity, &alert.condition, &alert.subject, &since, &alert.message]);
    }
    Ok(output::print(&table.render())?)
}
