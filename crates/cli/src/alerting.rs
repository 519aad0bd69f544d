//! From what the configuration says of alerts to what core is told: keys and certificates are read from where it names.

use std::{
    env, fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use keyturn_core::{
    alert::{AlertConfig, AlertWebhook, MIN_SECRET, end_of, signing_key},
    secret::SecretString,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::config::{AlertWebhookConfig, AlertsConfig, KeySource};

/// No key is longer; a bigger file is something else.
const MAX_FILE: u64 = 8192;

/// A receiver of alerts cannot be used as the configuration says. No variant holds the key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AlertingError {
    /// A file cannot be read.
    #[error("alerts.webhook {webhook:?}: cannot read {}: {source}", path.display())]
    Read {
        /// The receiver.
        webhook: String,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Others can read the key.
    #[error("alerts.webhook {webhook:?}: the secret file {} can be read by other users: run chmod 600 on it", path.display())]
    Exposed {
        /// The receiver.
        webhook: String,
        /// The file.
        path: PathBuf,
    },
    /// The variable is not set.
    #[error("alerts.webhook {webhook:?}: the environment variable {variable} is not set, or is no text")]
    Unset {
        /// The receiver.
        webhook: String,
        /// The variable.
        variable: String,
    },
    /// The key is too short.
    #[error(
        "alerts.webhook {webhook:?}: what messages are signed with must be at least {MIN_SECRET} bytes: any text, or whsec_ \
         and base64, as `openssl rand -base64 32` prints it"
    )]
    Short {
        /// The receiver.
        webhook: String,
    },
    /// A file of certificates holds none.
    #[error("alerts.webhook {webhook:?}: there are no certificates in {}, or not in PEM", path.display())]
    NoCertificates {
        /// The receiver.
        webhook: String,
        /// The file.
        path: PathBuf,
    },
}

/// What core is told.
///
/// # Errors
/// [`AlertingError`], which names the receiver and the file or variable.
pub(crate) fn alert_config(config: &AlertsConfig) -> Result<AlertConfig, AlertingError> {
    let AlertsConfig { rules, interval, metrics_subjects, webhooks } = config;
    Ok(AlertConfig {
        rules: rules.clone(),
        interval: interval.as_secs(),
        metrics_subjects: *metrics_subjects,
        webhooks: webhooks.iter().map(webhook).collect::<Result<_, _>>()?,
        certificates: None,
    })
}

fn webhook(config: &AlertWebhookConfig) -> Result<AlertWebhook, AlertingError> {
    let name = || config.name.clone();
    let secret = match &config.secret {
        KeySource::File(path) => read_private(path, name())?,
        KeySource::Environment(variable) => env::var(variable)
            .map(SecretString::new)
            .map_err(|_| AlertingError::Unset { webhook: name(), variable: variable.clone() })?,
    };
    signing_key(&secret).ok_or_else(|| AlertingError::Short { webhook: name() })?;
    let ca_pem = match &config.ca_file {
        Some(path) => read_certificates(path, name())?,
        None => String::new(),
    };
    let AlertWebhookConfig { url, severity, conditions, resolved, .. } = config;
    Ok(AlertWebhook {
        name: name(),
        url: url.clone(),
        ca_pem,
        secret,
        severity: *severity,
        conditions: conditions.clone(),
        resolved: *resolved,
    })
}

/// What a file holds that only its owner may read, without the line end that an editor may have added.
fn read_private(path: &Path, webhook: String) -> Result<SecretString, AlertingError> {
    let failed = |source| AlertingError::Read { webhook: webhook.clone(), path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    // Asked of the open file, so that what is checked is what is read.
    if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
        return Err(AlertingError::Exposed { webhook, path: path.to_owned() });
    }
    let mut text = String::with_capacity(usize::try_from(MAX_FILE).unwrap_or_default() + 64);
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    let text = SecretString::new(text);
    Ok(text.expose_secret().trim_end_matches(['\r', '\n']).into())
}

fn read_certificates(path: &Path, webhook: String) -> Result<String, AlertingError> {
    let failed = |source| AlertingError::Read { webhook: webhook.clone(), path: path.to_owned(), source };
    let pem = fs::read_to_string(path).map_err(failed)?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let is_good = parsed.is_ok_and(|all| !all.is_empty() && all.iter().all(|der| end_of("", der).is_some()));
    if is_good { Ok(pem) } else { Err(AlertingError::NoCertificates { webhook, path: path.to_owned() }) }
}
