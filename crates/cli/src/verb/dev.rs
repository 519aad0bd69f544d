//! `keyturn dev`: a server to try things on, in one command.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use keyturn_core::{
    alert::AlertConfig,
    node::{Node, NodeOptions},
    secret::SecretString,
};
use keyturn_server::{api::ApiSettings, hook_command::Commands, limits::Limits};
use tracing::level_filters::LevelFilter;

use crate::{
    bootstrap::{self, Ready, StartError},
    config::{AuditConfig, KeySource, ListenerConfig, LogConfig, LogFormat, SealConfig, StorageConfig},
    serving,
};

/// The store of `--data DIR`, and the key that opens it.
const STORE_FILE: &str = "keyturn.store";
const KEY_FILE: &str = "unseal.key";

const CACHE_BYTES: usize = 64 << 20;

/// Start a server to try things on
///
/// It is initialised and unsealed, speaks plain HTTP on a loopback address, has versioned secrets at `secret/`, and
/// keeps everything in memory unless `--data` names a directory. Not for production: use `keyturn server` there.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  keyturn dev
  keyturn dev --data ./keyturn-data            keeps secrets; comes back with them
  keyturn dev --listen 127.0.0.1:0             takes a free port and prints it
  KEYTURN_DEV_ROOT_TOKEN=root keyturn dev      a root token that tests know")]
pub(crate) struct Dev {
    /// The address to listen on: a loopback address and a port, 0 for a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8200")]
    listen: SocketAddr,
    /// Keep secrets in this directory, encrypted, with the key that unseals them beside them
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The root token to set, instead of a random one
    #[arg(long, value_name = "TOKEN", env = "KEYTURN_DEV_ROOT_TOKEN", hide_env_values = true, value_parser = token)]
    root_token: Option<SecretString>,
    /// Record every request and answer in this file
    #[arg(long, value_name = "FILE")]
    audit_file: Option<PathBuf>,
    /// How much to log on standard error: off, error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LevelFilter,
}

/// A token is sent in a header: visible ASCII, and short enough for one.
fn token(text: &str) -> Result<SecretString, &'static str> {
    if (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(SecretString::from(text))
    } else {
        Err("a token is 1 to 512 visible ASCII characters")
    }
}

impl Dev {
    /// Serves until a signal.
    ///
    /// # Errors
    /// [`StartError`], when it cannot start.
    pub(crate) fn run(self) -> Result<(), StartError> {
        check_loopback(self.listen)?;
        bootstrap::prepare_process(LogConfig { level: self.log_level, format: LogFormat::Text })?;
        serving::runtime()?.block_on(self.serve())
    }

    async fn serve(self) -> Result<(), StartError> {
        let bound = serving::bind(&[ListenerConfig { address: self.listen, tls: None }]).await?;
        let address = bound.first().map_or(self.listen, |bound| bound.address);
        let (storage, seal, kept) = self.keeping()?;
        let devices = bootstrap::open_audit(&self.audit()).await?;
        let (options, alerts) = (NodeOptions::default(), AlertConfig::default());
        let node = bootstrap::start(&storage, &seal, devices.clone(), Commands::default(), options, alerts).await?;
        let kept = if node.status().initialized { kept.again() } else { kept };
        let token = prepare(&node, self.root_token.clone()).await?;
        let ready = Ready::new(node, devices, bound, Limits::default(), ApiSettings::default())?;
        print(&banner(address, &token, &kept));
        ready.serve().await;
        Ok(())
    }

    /// Where things are kept, and what unseals them.
    fn keeping(&self) -> Result<(StorageConfig, SealConfig, Kept), StartError> {
        match &self.data {
            None => Ok((StorageConfig::Memory, SealConfig::Shamir, Kept::InMemory)),
            Some(directory) => {
                let (store, key) = (directory.join(STORE_FILE), directory.join(KEY_FILE));
                bootstrap::ensure_key_file(&key, &store)?;
                Ok((
                    StorageConfig::Embedded { path: store, cache_bytes: CACHE_BYTES },
                    SealConfig::Static(KeySource::File(key.clone())),
                    Kept::New { directory: directory.clone(), key },
                ))
            }
        }
    }

    fn audit(&self) -> Vec<AuditConfig> {
        // An absolute or dotted path, so that a file called `stdout` is a file.
        let option = |path: &Path| ("file_path".to_owned(), Path::new(".").join(path).display().to_string());
        let device = |path| AuditConfig { name: "file".to_owned(), kind: "file", options: [option(path)].into() };
        self.audit_file.as_deref().map(device).into_iter().collect()
    }
}

fn check_loopback(address: SocketAddr) -> Result<(), StartError> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(StartError::Usage(format!(
        "--listen {address}: `keyturn dev` speaks plain HTTP with a root token on the screen, so it listens on loopback \
         addresses only; use 127.0.0.1, or `keyturn server` with TLS to be reached from other machines"
    )))
}

/// Initialises a store that is new; either way `secret/` is mounted and the token that is returned is a root token.
async fn prepare(node: &Arc<Node>, token: Option<SecretString>) -> Result<SecretString, StartError> {
    if node.status().initialized {
        return Ok(node.prepare_development(token).await?);
    }
    let made = node.initialize(1, 1, token).await?;
    // In memory there is one share, known to nobody but this function; a key file leaves none.
    for share in made.shares {
        node.unseal(share).await?;
    }
    Ok(node.prepare_development(Some(made.root_token)).await?)
}

/// What becomes of the secrets.
#[derive(Debug, Clone)]
enum Kept {
    InMemory,
    New { directory: PathBuf, key: PathBuf },
    Again { directory: PathBuf, key: PathBuf },
}

impl Kept {
    fn again(self) -> Self {
        match self {
            Self::New { directory, key } => Self::Again { directory, key },
            other => other,
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::InMemory => "Secrets are in memory and gone when it stops; --data DIR keeps them.".to_owned(),
            Self::New { directory, key } => format!(
                "Secrets are kept in {}, encrypted; {} (mode 0600) opens them at each start.",
                directory.display(),
                key.display()
            ),
            Self::Again { directory, key } => format!(
                "Back with the secrets in {}, opened by {} (mode 0600); earlier tokens still work.",
                directory.display(),
                key.display()
            ),
        }
    }
}

fn banner(address: SocketAddr, token: &SecretString, kept: &Kept) -> String {
    let token = token.expose_secret();
    let mut text = format!("Keyturn dev server on http://{address}, unsealed, not for production.\n");
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{}

  export VAULT_ADDR=http://{address} VAULT_TOKEN={token}   # the root token

  keyturn put secret/app/db password                  # asks for the value
  keyturn get secret/app/db#password
  curl -H \"X-Vault-Token: $VAULT_TOKEN\" $VAULT_ADDR/v1/secret/data/app/db
  python3 -c 'import hvac; print(hvac.Client().secrets.kv.v2.read_secret_version(\"app/db\", raise_on_deleted_version=True))'

",
        kept.sentence()
    );
    text
}

/// On standard output, so that a script can read the address and the token. One that is closed does not stop a server.
fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        dev: Dev,
    }

    fn parse(args: &[&str]) -> Result<Dev, clap::Error> {
        Line::try_parse_from(std::iter::once(&"dev").chain(args)).map(|line| line.dev)
    }

    #[test]
    fn addresses_beyond_loopback_are_refused_with_the_reason() {
        for address in ["0.0.0.0:8200", "192.0.2.1:8200", "[::]:8200"] {
            let dev = parse(&["--listen", address]).expect("arguments");
            let error = check_loopback(dev.listen).expect_err("refused").to_string();
            assert!(error.contains(address) && error.contains("plain HTTP") && error.contains("127.0.0.1"), "{error}");
        }
        for address in ["127.0.0.1:0", "127.0.0.2:8200", "[::1]:8200"] {
            check_loopback(parse(&["--listen", address]).expect("arguments").listen).expect("loopback");
        }
    }

    #[test]
    fn a_token_that_no_header_could_carry_is_refused() {
        for text in ["", "a b", "a\n", "é"] {
            assert!(parse(&["--root-token", text]).is_err(), "{text:?}");
        }
        let dev = parse(&["--root-token", "canary"]).expect("arguments");
        assert!(!format!("{dev:?}").contains("canary"));
    }

    #[test]
    fn the_banner_has_what_one_needs_in_about_ten_lines() {
        let (directory, key) = (PathBuf::from("/data"), PathBuf::from("/data/unseal.key"));
        let address = "127.0.0.1:18200".parse().expect("address");
        for kept in [Kept::InMemory, Kept::New { directory: directory.clone(), key: key.clone() }] {
            let text = banner(address, &SecretString::from("hvs.token"), &kept);
            assert!(text.lines().count() <= 12, "{text}");
            for part in ["http://127.0.0.1:18200", "hvs.token", "curl ", "hvac", "keyturn put", "keyturn get"] {
                assert!(text.contains(part), "{part} is missing:\n{text}");
            }
        }
        let again = Kept::New { directory, key }.again().sentence();
        assert!(again.contains("/data/unseal.key (mode 0600)") && again.contains("Back with"), "{again}");
    }

    #[test]
    fn an_audit_file_called_stdout_is_a_file() {
        let dev = parse(&["--audit-file", "stdout"]).expect("arguments");
        assert_eq!(dev.audit()[0].options["file_path"], "./stdout");
        let dev = parse(&["--audit-file", "/var/log/audit.log"]).expect("arguments");
        assert_eq!(dev.audit()[0].options["file_path"], "/var/log/audit.log");
    }
}
