//! The one place that prints: tables for people, JSON for programs, notes on standard error.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use serde_json::Value;

/// What stands for a value that is not shown; of one length, so that it tells nothing of the value's.
pub(crate) const MASK: &str = "********";

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// JSON for programs.
    Json,
}

/// The flag of every verb that prints data.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct FormatArgs {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Standard output failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub(crate) struct OutputError(io::Error);

/// Prints `text` as it is. A reader that went away, as `head` does, has had enough: no error.
pub(crate) fn print(text: &str) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(OutputError(error)),
        _ => Ok(()),
    }
}

/// Prints one line.
pub(crate) fn print_line(text: &str) -> Result<(), OutputError> {
    print(&format!("{text}\n"))
}

/// Prints `value` as indented JSON.
pub(crate) fn print_json(value: &Value) -> Result<(), OutputError> {
    print_line(&format!("{value:#}"))
}

/// Tells the user something beside the data. A standard error that is closed loses it; there is nowhere else to say so.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", visible(text, true));
}

/// Shows what is going on in a line that the next one replaces; none: an empty one. Only where a person sees it.
pub(crate) fn live(text: &str) {
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        // A display that is lost is nothing to fail for.
        let _ = write!(stderr, "\r\u{1b}[2K{}", visible(text, false)).and_then(|()| stderr.flush());
    }
}

/// Whether standard output is a terminal, seen by a person.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// `text` with its control characters escaped, so that nothing a server says can steer the terminal. Line ends and tabs
/// are kept where `lines` allows them.
pub(crate) fn visible(text: &str, lines: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !(lines && matches!(c, '\n' | '\t')) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Rows in aligned columns below a heading.
#[derive(Debug)]
pub(crate) struct Table {
    columns: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with the heading `names`.
    pub(crate) fn new<const N: usize>(names: [&str; N]) -> Self {
        let rules = names.map(|name| "-".repeat(name.chars().count()));
        Self { columns: N, rows: vec![names.map(str::to_uppercase).to_vec(), rules.to_vec()] }
    }

    /// The usual table of names and values.
    pub(crate) fn of_fields() -> Self {
        Self::new(["key", "value"])
    }

    /// Adds a row; cells beyond the heading's are dropped.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.iter().take(self.columns).map(|cell| visible(cell, false)).collect());
    }

    /// The table as text, with a line end after each row.
    pub(crate) fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.columns).map(|column| self.width(column)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                // Writing to a String cannot fail.
                let _ = write!(line, "{cell:<width$}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

/// A table of an object's members, as a server gave them.
pub(crate) fn table_of(data: &Value) -> Table {
    let mut table = Table::of_fields();
    match data {
        Value::Object(members) => {
            for (name, value) in members {
                table.row([name, &cell(value)]);
            }
        }
        other => table.row(["value", &cell(other)]),
    }
    table
}

/// A value in one cell: text bare, lists joined, an absent value as a dash.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(cell).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Prints an object in the format asked for.
pub(crate) fn print_data(data: &Value, format: Format) -> Result<(), OutputError> {
    match format {
        Format::Json => print_json(data),
        Format::Table => print(&table_of(data).render()),
    }
}

/// A server's time without its fraction of a second, which nobody reads in a table.
pub(crate) fn short_time(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, fraction)) => format!("{seconds}{}", fraction.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_align_and_no_line_ends_in_blanks() {
        let mut table = Table::new(["version", "state"]);
        table.row(["1", "live"]);
        table.row(["12345678", ""]);
        assert_eq!(table.render(), "VERSION   STATE\n-------   -----\n1         live\n12345678\n");
    }

    #[test]
    fn a_cell_cannot_steer_the_terminal() {
        let mut table = Table::of_fields();
        table.row(["a\u{1b}[2J", "one\ntwo\u{9b}"]);
        let text = table.render();
        assert!(text.contains("a\\u{1b}[2J") && text.contains("one\\ntwo\\u{9b}"), "{text}");
        assert_eq!(visible("one\n\ttwo\r", true), "one\n\ttwo\\r");
    }

    #[test]
    fn values_fit_one_cell() {
        for (value, text) in [
            (json!(null), "-"),
            (json!([]), "-"),
            (json!("text"), "text"),
            (json!(["a", 1, true]), "a, 1, true"),
            (json!({"a": [1]}), r#"{"a":[1]}"#),
            (json!([{"a": 1}]), r#"[{"a":1}]"#),
        ] {
            assert_eq!(cell(&value), text);
        }
    }

    #[test]
    fn times_lose_their_fraction_only() {
        assert_eq!(short_time("2026-08-01T10:20:30.123456789Z"), "2026-08-01T10:20:30Z");
        assert_eq!(short_time("2026-08-01T10:20:30.5+02:00"), "2026-08-01T10:20:30+02:00");
        assert_eq!(short_time("2026-08-01T10:20:30Z"), "2026-08-01T10:20:30Z");
    }
}
