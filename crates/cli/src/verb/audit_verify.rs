//! `audit verify`: reads a log twice, first for what later segments refer to, then entry by entry. The server says
//! whether the hashes are true; all else the links tell by themselves.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use keyturn_core::audit::{Claim, Fault, Link, Walk};
use serde::Deserialize;
use serde_json::json;

use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, Format, FormatArgs, Table};

/// Claims that are sent in one request.
const BATCH: usize = 5_000;
/// The longest line that is read as an entry.
const LONGEST_LINE: u64 = 64 << 20;
/// What each entry begins with.
const ENTRY_START: &[u8] = b"{\"time\":\"";
/// Faults that are told one by one.
const MOST_TOLD: usize = 1_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Name the files from the oldest to the newest. The first entry of all is taken for true, unless the log begins with it.
Needs the server that wrote the log, and sudo on sys/audit-chain/<device>. Exits with 1 if the log is not whole.
What a collector stored is verified the same way: one entry per line. UDP and syslog daemons may lose lines, and that
shows as well.

Examples:
  keyturn audit verify /var/log/keyturn/audit.log
  keyturn audit verify --device trail audit.log.2 audit.log.1 audit.log
  keyturn audit verify --without-end audit.log.2      newer files are elsewhere
  grep ' vault\\[' /var/log/auth.log > entries.log; keyturn audit verify --device syslog --syslog entries.log")]
pub(super) struct Args {
    /// The device's log, oldest file first
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The device's name
    #[arg(long, default_value = "file")]
    device: String,
    /// Do not expect the newest entry: the log goes on in files that are not at hand
    #[arg(long)]
    without_end: bool,
    /// Pass over what a syslog daemon writes before each entry
    #[arg(long)]
    syslog: bool,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Deserialize)]
struct HeadShape {
    segment: String,
    entries: u64,
}

#[derive(Deserialize)]
struct Refuted {
    refuted: Vec<usize>,
}

pub(super) fn run(args: &Args, client: &Client) -> Result<(), Failure> {
    let route = format!("sys/audit-chain/{}", super::bare(&args.device));
    // Asked before the files are read: whatever is recorded from here on may be in them or not.
    let head = if args.without_end { None } else { Some(client.get(&route)?.data::<HeadShape>()?) };
    let mut wanted: Vec<(String, u64)> = head.iter().map(|head| (head.segment.clone(), head.entries)).collect();
    for file in &args.files {
        each_line(file, |_, line| {
            wanted.extend(Link::of_line(args.entry(line)).and_then(|(link, _)| link.after));
            Ok(())
        })?;
    }
    let mut check = Check { client, route, walk: Walk::wanting(wanted), batch: Vec::new(), report: Report::default() };
    for (index, file) in args.files.iter().enumerate() {
        each_line(file, |number, line| check.line(Place { file: index, line: Some(number) }, args.entry(line)))?;
    }
    check.ask()?;
    if let Some(head) = head.filter(|head| !check.walk.has_met(&head.segment, head.entries)) {
        let HeadShape { segment, entries } = head;
        let said = format!("the end is missing: entry {entries} of segment {segment} was recorded and is not there");
        check.report.add(Place { file: args.files.len() - 1, line: None }, said);
    }
    check.report.print(&args.files, args.format.format)
}

impl Args {
    /// The entry in a line: all of it, unless a syslog daemon wrote its time, host and tag before.
    fn entry<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        let starts = |window: &[u8]| window == ENTRY_START;
        let at = if self.syslog { line.windows(ENTRY_START.len()).position(starts) } else { None };
        &line[at.unwrap_or(0)..]
    }
}

/// A line of one of the files, by its position among them; no line: behind its last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    file: usize,
    line: Option<u64>,
}

/// One run over the log.
struct Check<'a> {
    client: &'a Client,
    route: String,
    walk: Walk,
    batch: Vec<(Place, Claim)>,
    report: Report,
}

impl Check<'_> {
    fn line(&mut self, place: Place, line: &[u8]) -> Result<(), Failure> {
        self.report.entries += 1;
        match self.walk.line(line) {
            Err(fault) => self.report.add(place, fault.to_string()),
            Ok(None) => {}
            Ok(Some(claim)) => self.batch.push((place, claim)),
        }
        if self.batch.len() >= BATCH { self.ask() } else { Ok(()) }
    }

    /// Has the server judge the claims gathered so far.
    fn ask(&mut self) -> Result<(), Failure> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let claims: Vec<String> = batch.iter().map(|(_, claim)| claim.to_text()).collect();
        let reply = self.client.post(&self.route, &json!({ "claims": claims.join("\n") }))?;
        for at in reply.data::<Refuted>()?.refuted {
            if let Some((place, _)) = batch.get(at) {
                self.report.add(*place, Fault::Altered.to_string());
            }
        }
        Ok(())
    }
}

/// What was found.
#[derive(Default)]
struct Report {
    entries: u64,
    faults: usize,
    told: Vec<(Place, String)>,
}

impl Report {
    fn add(&mut self, place: Place, what: String) {
        self.faults += 1;
        if self.told.len() < MOST_TOLD {
            self.told.push((place, what));
        }
    }

    fn print(mut self, files: &[PathBuf], format: Format) -> Result<(), Failure> {
        self.told.sort_by_key(|(place, _)| (place.file, place.line.unwrap_or(u64::MAX)));
        let name = |place: &Place| files.get(place.file).map_or_else(String::new, |file| file.display().to_string());
        if format == Format::Json {
            let shape =
                |(place, what): &(Place, String)| json!({ "file": name(place), "line": place.line, "fault": what });
            let told: Vec<_> = self.told.iter().map(shape).collect();
            output::print_json(&json!({ "entries": self.entries, "faults": self.faults, "told": told }))?;
        } else if self.faults > 0 {
            let mut table = Table::new(["file", "line", "fault"]);
            for (place, what) in &self.told {
                let line = place.line.map_or_else(|| "-".to_owned(), |line| line.to_string());
                table.row([&name(place), &line, what]);
            }
            output::print(&table.render())?;
        } else {
            output::print_line(&format!("{} entries, unbroken", self.entries))?;
        }
        match self.faults {
            0 => Ok(()),
            faults => Err(Failure::Tampered { faults, entries: self.entries }),
        }
    }
}

/// Hands each line of a file on, without its line feed, with its number from 1. Empty lines are passed over: the
/// server begins one after a write that failed.
fn each_line(path: &Path, mut take: impl FnMut(u64, &[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Usage(format!("{} cannot be read: {error}", path.display()));
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        let mut bounded = io::Read::take(&mut reader, LONGEST_LINE);
        if bounded.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(());
        }
        number += 1;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if !text.is_empty() {
            take(number, text)?;
        }
    }
}
