//! `keyturn.toml`: what a server is told at its start. docs/configuration.md describes each key; a test holds the two
//! together.
//!
//! Nothing is guessed and nothing is ignored: an unknown key, a value out of bounds or keys that contradict each other
//! are refused, all of them at once.

mod alerts;
mod audit;
mod aws;
mod doppler;
mod reader;
mod rotation;
mod sections;
mod units;

use std::{collections::BTreeMap, fs, io, net::SocketAddr, path::PathBuf, time::Duration};

use keyturn_core::alert::{Condition, Rule, Severity};
use keyturn_server::{api::ApiSettings, hook_command::HookCommand, limits::Limits};
use toml::de::DeTable;

use self::reader::{Problems, Section};

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It could not be read.
    #[error("cannot read the configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("the configuration cannot be used:\n{}", problems.join("\n"))]
    Invalid {
        /// One line each: file, line, column, what is wrong and what is allowed.
        problems: Vec<String>,
    },
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) storage: StorageConfig,
    /// At least one.
    pub(crate) listeners: Vec<ListenerConfig>,
    pub(crate) seal: SealConfig,
    /// Whether the old paths of key ceremonies answer without a token.
    pub(crate) open_ceremonies: bool,
    pub(crate) audit: Vec<AuditConfig>,
    pub(crate) limits: Limits,
    pub(crate) log: LogConfig,
    /// What the protocols are told.
    pub(crate) api: ApiSettings,
    pub(crate) alerts: AlertsConfig,
    /// The programs that rotations may run, by name.
    pub(crate) hooks: BTreeMap<String, HookCommand>,
}

/// What is told of, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AlertsConfig {
    pub(crate) rules: Vec<Rule>,
    /// How often they are looked at.
    pub(crate) interval: Duration,
    /// Alerts that metrics name one by one.
    pub(crate) metrics_subjects: usize,
    pub(crate) webhooks: Vec<AlertWebhookConfig>,
}

/// A receiver of alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AlertWebhookConfig {
    pub(crate) name: String,
    pub(crate) url: String,
    /// Where the key is that messages are signed with.
    pub(crate) secret: KeySource,
    /// The certificates that the receiver's must lead back to; the system's without.
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) severity: Severity,
    /// What it is told of; empty: everything.
    pub(crate) conditions: Vec<Condition>,
    /// Whether it is told when something is over.
    pub(crate) resolved: bool,
}

/// Where sealed records are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StorageConfig {
    /// In one file.
    Embedded {
        /// The file.
        path: PathBuf,
        /// How many bytes of pages are cached.
        cache_bytes: usize,
    },
    /// In memory, gone at the end.
    Memory,
}

/// One address that is listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenerConfig {
    pub(crate) address: SocketAddr,
    /// Plain HTTP without.
    pub(crate) tls: Option<TlsFiles>,
}

/// A certificate chain and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Do not ask clients for a certificate.
    pub(crate) ignore_clients: bool,
}

/// What guards the root key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SealConfig {
    /// Shares, brought by people.
    Shamir,
    /// A key encryption key that the server finds by itself.
    Static(KeySource),
}

/// Where the key encryption key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// In a file.
    File(PathBuf),
    /// In the environment variable of this name.
    Environment(String),
}

/// An audit device that is there from the start and that no API call removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditConfig {
    /// The device's path in the API, without the slash at its end.
    pub(crate) name: String,
    /// `file`, `stdout`, `socket` or `syslog`.
    pub(crate) kind: &'static str,
    /// As `sys/audit` takes them.
    pub(crate) options: BTreeMap<String, String>,
}

/// What is logged to standard error, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogConfig {
    pub(crate) level: tracing::level_filters::LevelFilter,
    pub(crate) format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError`], with everything that is wrong.
    pub(crate) fn load(path: &std::path::Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    fn parse(path: &std::path::Path, text: &str) -> Result<Self, ConfigError> {
        let (table, syntax) = DeTable::parse_recoverable(text);
        let mut problems = Problems::new(path, text);
        let broken = !syntax.is_empty();
        for error in syntax {
            problems.note(error.span().unwrap_or_default(), format!("not valid TOML: {}", error.message()));
        }
        // What was recovered from a broken file would give problems that are none.
        if broken {
            return Err(ConfigError::Invalid { problems: problems.finish() });
        }
        let top = Section::new(&sections::TOP, table.get_ref(), 0..0, &mut problems);
        let config = sections::read(top);
        match (config, problems.finish()) {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (_, problems) => Err(ConfigError::Invalid { problems }),
        }
    }
}

#[cfg(test)]
mod tests;
