//! What happened when: told as it happens, and kept for the reports.

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::output::{self, Format};

/// The drill's clock and its lines.
#[derive(Debug)]
pub(super) struct Timeline {
    began: Instant,
    format: Format,
    /// How far along it was, and what happened.
    pub(super) entries: Vec<(Duration, String)>,
}

impl Timeline {
    /// Begins now. The lines go to standard output, or, if that is for data, to standard error.
    pub(super) fn new(format: Format) -> Self {
        Self { began: Instant::now(), format, entries: Vec::new() }
    }

    /// Since it began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Tells and keeps a line.
    pub(super) fn say(&mut self, text: String) -> Result<(), Failure> {
        let at = self.now();
        output::live("");
        let shown = line(at, &output::visible(&text, false));
        self.entries.push((at, text));
        match self.format {
            Format::Json => output::note(&shown),
            Format::Table => output::print_line(&shown)?,
        }
        Ok(())
    }

    /// All lines, as they were told.
    pub(super) fn text(&self) -> String {
        self.entries.iter().map(|(at, text)| format!("{}\n", line(*at, text))).collect()
    }
}

fn line(at: Duration, text: &str) -> String {
    format!("{:>7.1}s  {text}", at.as_secs_f64())
}
