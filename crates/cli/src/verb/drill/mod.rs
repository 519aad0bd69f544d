//! `drill`: rotate a secret on purpose, and see that its application does not notice.
//!
//! ```text
//! course    what is done, in order          events    the threads that probe and look
//! probe     a request, a command            beat      what the threads share
//! status    the rotation, as it is seen     record    all that was seen
//! checks    the assertions                  timeline, report, junit: what is told of it
//! ```

mod beat;
mod checks;
mod course;
mod events;
mod junit;
mod probe;
mod record;
mod report;
mod status;
mod timeline;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keyturn_core::clock::{Clock as _, SystemClock};
use keyturn_core::duration::parse_seconds;

use crate::client::{Client, Trust};
use crate::connection;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Format, FormatArgs};
use course::{Course, Plan};
use junit::Report;
use probe::Probe;
use record::{Record, Stop};
use status::Status;
use timeline::Timeline;

const EXAMPLES: &str = "\
Examples:
  keyturn drill secret/staging/db --probe http://127.0.0.1:8080/health
  keyturn drill secret/staging/db --probe https://app.example/ready --junit drill.xml
  keyturn drill secret/staging/db --probe-cmd ./smoke.sh --after 30s --timeout 10m
  keyturn drill secret/staging/db --probe http://127.0.0.1:8080/orders --format json

Let the probe do something that needs the credential: a query over the application's
own pool, not a page that is always there. Each of these is asserted, and is a test
case of the report:
  - no probe fails: before, during, while both credentials are good, and after
  - the rotation comes about
  - the application reconnects with the new credential: the target shows its sessions
    as the new principal, and none as the one before. Where a target cannot tell
    (dual-credential, in-place, hook, generated), who has read the new version counts
    instead, and the report says so
  - the credential before is revoked

If a probe fails before the rotation, nothing is rotated. If the drill fails, ends by
--timeout or is interrupted, the rotation goes on by itself: an application that holds
on to the credential before keeps it, and is named.

Exit codes:
  0  all holds
  1  an assertion does not, or the rotation cannot begin
  2  the command line is wrong
  3  there is no such rotation
  4  denied: it takes read on sys/rotation/NAME and update on sys/rotation-run/NAME
  5  no Keyturn server answers
  6  it is sealed
  130  interrupted";

/// Rotate a secret on purpose, and see that its application does not notice
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("probes").required(true).multiple(true).args(["urls", "commands"]))]
pub(crate) struct Args {
    /// The secret: MOUNT/NAME
    path: String,
    /// A URL of the application: a 2xx answer is a success, a redirect is none. May be given several times
    #[arg(long = "probe", value_name = "URL")]
    urls: Vec<String>,
    /// A command for the shell: exit code 0 is a success. May be given several times
    #[arg(long = "probe-cmd", value_name = "COMMAND")]
    commands: Vec<String>,
    /// From one try of a probe to the next
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = pause)]
    interval: Duration,
    /// How long one try may take
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = pause)]
    probe_timeout: Duration,
    /// Successes of each probe that are wanted before anything is rotated
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    before: u64,
    /// How often, or how long, each probe is to succeed after the rotation
    #[arg(long, value_name = "COUNT|DURATION", default_value = "5", value_parser = after)]
    after: After,
    /// How long all of it may take [default: the rotation's least overlap, and five minutes]
    #[arg(long, value_name = "DURATION", value_parser = pause)]
    timeout: Option<Duration>,
    /// Write a report in JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Show what a command that fails wrote to standard error, its first 2 KiB; reports keep it
    #[arg(long)]
    show_probe_output: bool,
    /// PEM file of the certificates to trust for --probe instead of the system's
    #[arg(long, value_name = "FILE")]
    probe_ca_cert: Option<PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
}

/// What is wanted after the rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Count(u64),
    For(Duration),
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let plan = plan(args)?;
    let report = args.junit.as_deref().map(|path| Report::at(path).map_err(|source| unwritable(path.into(), source)));
    let report = report.transpose()?;
    let client = Arc::new(context.client()?);
    let began = format!("{:.19}", SystemClock.now().to_string());
    let wanted = if let After::Count(count) = plan.after { count } else { 1 };
    let labels = plan.probes.iter().map(|probe| probe.label.clone());
    let mut record = Record::new(super::bare(&args.path), labels, wanted);
    let mut timeline = Timeline::new(args.format.format);
    let outcome = carry_out(&plan, &client, &mut record, &mut timeline);
    record.took = timeline.now();
    if let Err(failure) = &outcome {
        output::live("");
        record.stop = Stop::Broken(failure.to_string());
    }
    let checks = checks::judge(&record);
    if let Some(report) = report {
        let text = junit::render(&record, &checks, &timeline, &began);
        report.write(&text).map_err(|source| unwritable(report.path().into(), source))?;
    }
    if outcome.is_ok() || record.asked {
        match args.format.format {
            Format::Table => output::print(&report::table(&checks))?,
            Format::Json => output::print_json(&report::data(&record, &checks, &timeline))?,
        }
    }
    if record.asked && record.ended.is_none() {
        let what = if record.id.is_some() { "goes on by itself" } else { "was asked for, and may have begun" };
        output::note(&format!("the rotation {what}: see `keyturn rotation show {}`", record.path));
    }
    outcome?;
    conclude(&record, &checks)
}

fn carry_out(plan: &Plan, client: &Arc<Client>, record: &mut Record, timeline: &mut Timeline) -> Result<(), Failure> {
    let first = Status::ask(client, &record.path)?;
    let path = &record.path;
    if first.paused {
        return Err(Failure::Rotation(format!(
            "the rotation of {path} is paused: `keyturn rotation resume {path}` first"
        )));
    }
    if !matches!(first.progress.state.as_str(), "idle" | "failed") {
        let line = first.progress.line();
        return Err(Failure::Rotation(format!("a rotation of {path} is under way, wait for its end: {line}")));
    }
    Course::new(plan, Arc::clone(client), record, timeline).run(first)
}

/// The exit code, and the reason for it in a line.
fn conclude(record: &Record, checks: &[checks::Check]) -> Result<Exit, Failure> {
    if record.stop == Stop::Interrupted {
        let what = if record.asked { "" } else { "; nothing was rotated" };
        output::note(&format!("keyturn: the drill of {} was interrupted{what}", record.path));
        return Ok(Exit::Interrupted);
    }
    let bad: Vec<String> = checks
        .iter()
        .filter(|check| check.verdict.is_bad())
        .map(|check| format!("\n  {}: {}", check.name, check.verdict.detail()))
        .collect();
    if bad.is_empty() {
        return Ok(Exit::Done);
    }
    let rotated = if record.asked { "" } else { "; nothing was rotated" };
    Err(Failure::Rotation(format!("the drill of {} failed{rotated}:{}", record.path, bad.concat())))
}

fn plan(args: &Args) -> Result<Plan, Failure> {
    let trust = match &args.probe_ca_cert {
        Some(file) => Trust::File(file.clone()),
        None => Trust::System { preferred: connection::environment("SSL_CERT_FILE").map(PathBuf::from) },
    };
    let url =
        |text: &String| Probe::url(text, &trust, args.probe_timeout).map_err(|error| Failure::Usage(error.to_string()));
    let mut probes = args.urls.iter().map(url).collect::<Result<Vec<_>, _>>()?;
    let commands = args.commands.iter().enumerate();
    probes.extend(
        commands.map(|(index, line)| Probe::command(index + 1, line, args.probe_timeout, args.show_probe_output)),
    );
    let (interval, before, after, timeout) = (args.interval, args.before, args.after, args.timeout);
    Ok(Plan { probes: probes.into(), interval, before, after, timeout })
}

fn unwritable(path: PathBuf, source: std::io::Error) -> Failure {
    Failure::File { doing: "write", path, source }
}

/// A duration from ten milliseconds to a week.
fn pause(text: &str) -> Result<Duration, String> {
    let parsed = match text.strip_suffix("ms") {
        Some(number) => number.parse().map(Duration::from_millis).map_err(|_| format!("{text:?} is not a duration")),
        None => parse_seconds(text).map(Duration::from_secs).map_err(|error| error.to_string()),
    };
    let bounds = Duration::from_millis(10)..=Duration::from_secs(7 * 24 * 3600);
    parsed.and_then(|time| {
        if bounds.contains(&time) { Ok(time) } else { Err("it takes 10ms at the least and 7d at the most".to_owned()) }
    })
}

fn after(text: &str) -> Result<After, String> {
    match text.parse::<u64>() {
        Ok(count @ 1..=100_000) => Ok(After::Count(count)),
        Ok(_) => Err("it takes 1 to 100000 probes, or a duration like 30s".to_owned()),
        Err(_) => pause(text).map(After::For),
    }
}

/// A duration as people write it.
fn seconds(time: Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (0, milliseconds) => format!("{milliseconds}ms"),
        (seconds, _) if seconds >= 60 => format!("{}m{:02}s", seconds / 60, seconds % 60).replace("m00s", "m"),
        (seconds, 0) => format!("{seconds}s"),
        (_, _) => format!("{:.1}s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, milliseconds, shown) in
            [("250ms", 250, "250ms"), ("5s", 5000, "5s"), ("90", 90_000, "1m30s"), ("2h", 7_200_000, "120m")]
        {
            let time = pause(text).unwrap();
            assert_eq!((time, seconds(time).as_str()), (Duration::from_millis(milliseconds), shown), "{text}");
        }
        for bad in ["", "0", "9ms", "ms", "-1s", "8d", "soon"] {
            assert!(pause(bad).is_err(), "{bad}");
        }
        assert_eq!((after("7"), after("30s")), (Ok(After::Count(7)), Ok(After::For(Duration::from_secs(30)))));
        assert!(after("0").is_err() && after("100001").is_err());
    }
}
