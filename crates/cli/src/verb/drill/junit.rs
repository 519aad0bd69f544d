//! The report for continuous integration, in the XML that JUnit began and every such system reads:
//!
//! ```text
//! testsuites > testsuite > properties, testcase (skipped | error | failure)?, system-out
//! ```

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::checks::{Check, Verdict};
use super::record::Record;
use super::timeline::Timeline;

/// The file of a report; it is there whole or not at all.
#[derive(Debug)]
pub(super) struct Report {
    path: PathBuf,
    draft: PathBuf,
}

impl Report {
    /// Shows that the file can be written, before anything is rotated for it.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        if path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mut draft = path.to_owned().into_os_string();
        draft.push(format!(".{}.tmp", std::process::id()));
        let report = Self { path: path.to_owned(), draft: draft.into() };
        File::create(&report.draft)?;
        fs::remove_file(&report.draft)?;
        Ok(report)
    }

    /// Where it will be.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes it, in the place of one that was there.
    pub(super) fn write(&self, text: &str) -> io::Result<()> {
        let write = || {
            let mut file = File::create(&self.draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&self.draft, &self.path)
        };
        write().inspect_err(|_| {
            // The first error is the one to tell.
            let _ = fs::remove_file(&self.draft);
        })
    }
}

/// The report's text; `began` is the time at which the drill did, without a zone, as the format has it.
pub(super) fn render(record: &Record, checks: &[Check], timeline: &Timeline, began: &str) -> String {
    let count = |word: &str| checks.iter().filter(|check| check.verdict.word() == word).count();
    let counts = format!("tests=\"{}\" failures=\"{}\" errors=\"{}\"", checks.len(), count("failed"), count("error"));
    let name = escaped(&format!("keyturn drill {}", record.path));
    let time = decimal(record.took);
    let skipped = count("skipped");
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<testsuites name=\"keyturn\" {counts} time=\"{time}\">");
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{name}\" {counts} skipped=\"{skipped}\" time=\"{time}\" timestamp=\"{began}\">"
    );
    let strategy = record.first.as_ref().map_or("", |first| first.progress.strategy.as_str());
    let (attempts, failures) = record.totals();
    xml.push_str("    <properties>\n");
    for (property, value) in [
        ("secret", record.path.as_str()),
        ("strategy", strategy),
        ("rotation", record.id.as_deref().unwrap_or_default()),
        ("probes", &attempts.to_string()),
        ("failed probes", &failures.to_string()),
    ] {
        let _ = writeln!(xml, "      <property name=\"{property}\" value=\"{}\"/>", escaped(value));
    }
    xml.push_str("    </properties>\n");
    for check in checks {
        testcase(&mut xml, check, &record.path);
    }
    let _ = writeln!(xml, "    <system-out>{}</system-out>", escaped(&timeline.text()));
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn testcase(xml: &mut String, check: &Check, path: &str) {
    let class = escaped(&format!("keyturn.drill.{}", path.replace('.', "_").replace('/', ".")));
    let detail = escaped(check.verdict.detail());
    let _ = write!(
        xml,
        "    <testcase name=\"{}\" classname=\"{class}\" time=\"{}\">",
        escaped(check.name),
        decimal(check.took)
    );
    let inner = match &check.verdict {
        Verdict::Passed(_) => format!("<system-out>{detail}</system-out>"),
        Verdict::Skipped(_) => format!("<skipped message=\"{detail}\"/>"),
        Verdict::Failed(_) => format!("<failure message=\"{detail}\" type=\"assertion\">{detail}</failure>"),
        Verdict::Errored(_) => format!("<error message=\"{detail}\" type=\"unfinished\">{detail}</error>"),
    };
    xml.push_str(&inner);
    xml.push_str("</testcase>\n");
}

fn decimal(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// Text for an element or an attribute in double quotes. What XML 1.0 has no way to write is replaced.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\n' => xml.push_str("&#10;"),
            '\r' => xml.push_str("&#13;"),
            '\t' => xml.push_str("&#9;"),
            c if c < ' ' || matches!(c, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}') => xml.push('\u{fffd}'),
            c => xml.push(c),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[test]
    fn nothing_breaks_out_of_the_report() {
        assert_eq!(escaped("a<b>&\"\u{1b}[2J\n]]>\u{fffe}é"), "a&lt;b&gt;&amp;&quot;\u{fffd}[2J&#10;]]&gt;\u{fffd}é");
    }

    #[test]
    fn verdicts_are_counted() {
        let record = Record::new("secret/a\"b", ["probe".to_owned()].into_iter(), 5);
        let check = |verdict| Check { name: "revoked", took: Duration::from_millis(1500), verdict };
        let checks = [
            check(Verdict::Passed("fine".to_owned())),
            check(Verdict::Failed("<no>".to_owned())),
            check(Verdict::Errored("broken".to_owned())),
            check(Verdict::Skipped("later".to_owned())),
        ];
        let xml = render(&record, &checks, &Timeline::new(Format::Json), "2026-01-02T03:04:05");
        assert!(xml.contains("tests=\"4\" failures=\"1\" errors=\"1\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("<failure message=\"&lt;no&gt;\" type=\"assertion\">&lt;no&gt;</failure>"), "{xml}");
        assert!(xml.contains("name=\"keyturn drill secret/a&quot;b\"") && xml.contains("time=\"1.500\""), "{xml}");
    }

    #[test]
    fn the_file_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.xml");
        let report = Report::at(&path).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "trying leaves nothing behind");
        report.write("first").unwrap();
        report.write("second").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(Report::at(dir.path()).is_err() && Report::at(&dir.path().join("no/report.xml")).is_err());
    }
}
