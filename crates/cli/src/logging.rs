//! What the server says about itself, on standard error.
//!
//! `level` is that of Keyturn's own code. Libraries are never heard below a warning: at `debug` some of them show what
//! passes through them, headers and tokens among it.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Starts logging; once per process.
///
/// # Errors
/// When logging was started before.
pub(crate) fn start(config: LogConfig) -> Result<(), LoggingError> {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter(config.level)))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match config.format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
    .map_err(|error| LoggingError(error.to_string()))
}

/// Logging could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start logging: {0}")]
pub(crate) struct LoggingError(String);

fn filter(level: LevelFilter) -> String {
    let others = level.min(LevelFilter::WARN);
    format!("{others},keyturn={level}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_not_heard_below_a_warning() {
        assert_eq!(filter(LevelFilter::TRACE), "warn,keyturn=trace");
        assert_eq!(filter(LevelFilter::INFO), "warn,keyturn=info");
        assert_eq!(filter(LevelFilter::ERROR), "error,keyturn=error");
        assert_eq!(filter(LevelFilter::OFF), "off,keyturn=off");
    }

    #[test]
    fn every_level_is_a_filter() {
        for level in [LevelFilter::OFF, LevelFilter::ERROR, LevelFilter::DEBUG] {
            EnvFilter::try_new(filter(level)).expect("a filter");
        }
    }
}
