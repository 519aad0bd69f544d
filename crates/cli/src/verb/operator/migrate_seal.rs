//! `operator migrate-seal`: a stopped store gets another seal.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use keyturn_core::seal::{Reseal, SealError, SealKind};
use keyturn_core::secret::{SecretBytes, SecretString};
use keyturn_core::storage::Storage;
use keyturn_storage::seal::{Authority, KekSource, Migration, create_key_file};

use crate::bootstrap::{self, StartError};
use crate::config::{Config, SealConfig, StorageConfig};
use crate::failure::Failure;
use crate::input::{self, Source};
use crate::output::{self, Table, note};
use crate::serving;

/// Move the store of a stopped server to shares, to a key, or to another key
///
/// Nothing but the wrapping of one key changes, in one step: whenever it is cut short, either the old seal opens the store
/// or the new one does.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  keyturn operator migrate-seal --config keyturn.toml --to shamir --shares 5 --threshold 3
  keyturn operator migrate-seal --config keyturn.toml --to static --key-file new.key
  keyturn operator migrate-seal --config keyturn.toml --to static --key-env KEYTURN_UNSEAL_KEY

The configuration's [seal] must still name the old key, if the store has one; shares are asked for, or read from standard
input, one a line. Afterwards make [seal] name the new one. A key file that is not there is made.")]
pub(crate) struct Args {
    /// The server's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What is to guard the store from now on
    #[arg(long, value_enum)]
    to: Kind,
    /// How many shares to make
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    shares: u8,
    /// How many of them it takes to unseal
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    threshold: u8,
    /// The file that holds the new key
    #[arg(long, value_name = "FILE", conflicts_with = "key_env")]
    key_file: Option<PathBuf>,
    /// The environment variable that holds the new key
    #[arg(long, value_name = "NAME")]
    key_env: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Shares, brought by people
    Shamir,
    /// A key that the server finds by itself
    Static,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = Config::load(&args.config).map_err(StartError::from)?;
    if matches!(config.storage, StorageConfig::Memory) {
        return Err(Failure::Usage("storage.type is \"memory\": there is no store to move".to_owned()));
    }
    let target = target(args)?;
    bootstrap::prepare_process(config.log)?;
    let (storage, _) = bootstrap::open_storage(&config.storage).map_err(StartError::from)?;
    serving::runtime().map_err(StartError::from)?.block_on(migrate(args, target, &config.seal, storage))
}

/// The new key's place; none for shares.
fn target(args: &Args) -> Result<Option<KekSource>, Failure> {
    match (args.to, &args.key_file, &args.key_env) {
        (Kind::Shamir, None, None) => Ok(None),
        (Kind::Shamir, ..) => Err(Failure::Usage("--key-file and --key-env belong to --to static".to_owned())),
        (Kind::Static, Some(path), _) => Ok(Some(KekSource::File(path.clone()))),
        (Kind::Static, None, Some(name)) => Ok(Some(KekSource::Environment(name.clone()))),
        (Kind::Static, None, None) => {
            Err(Failure::Usage("--to static needs the new key: give --key-file or --key-env".to_owned()))
        }
    }
}

async fn migrate(
    args: &Args,
    target: Option<KekSource>,
    seal: &SealConfig,
    storage: Arc<dyn Storage>,
) -> Result<(), Failure> {
    let now = Migration::inspect(&*storage).await.map_err(StartError::from)?;
    let now = now.ok_or(SealError::NotInitialized).map_err(StartError::from)?;
    let migration = match (now.kind, seal) {
        (SealKind::Shamir, _) => {
            let shares = shares(now.threshold)?;
            Migration::begin(storage, Authority::Shares(&shares)).await
        }
        (SealKind::Static, SealConfig::Static(source)) => {
            Migration::begin(storage, Authority::Key(&bootstrap::kek_source(source))).await
        }
        (SealKind::Static, SealConfig::Shamir) => {
            return Err(Failure::Usage(
                "the store is guarded by a key, and the configuration's [seal] does not name it: set type = \"static\" and \
                 the old key until the store is moved"
                    .to_owned(),
            ));
        }
    };
    let migration = migration.map_err(StartError::from)?;
    let reseal = match target {
        None => make_shares(args, &migration)?,
        Some(source) => use_key(&source, &migration)?,
    };
    migration.put_in_force(&reseal).await.map_err(StartError::from)?;
    note(match args.to {
        Kind::Shamir => {
            "done: the shares are in force. Set type = \"shamir\" in [seal], remove the key, start the server."
        }
        Kind::Static => "done: the new key is in force. Make [seal] name it, then start the server.",
    });
    Ok(())
}

/// Shows the new shares before they are in force: whatever happens then, somebody has what opens the store.
fn make_shares(args: &Args, migration: &Migration) -> Result<Reseal, Failure> {
    let (reseal, shares) = migration.to_shares(args.shares, args.threshold).map_err(StartError::from)?;
    let mut table = Table::of_fields();
    for (index, share) in shares.iter().enumerate() {
        table.row([&format!("unseal share {}", index + 1), &STANDARD.encode(share.expose_secret())]);
    }
    output::print(SecretString::from(table.render()).expose_secret())?;
    note("\nThese are shown once. They are in force when this ends with `done`, and worthless otherwise.");
    Ok(reseal)
}

fn use_key(source: &KekSource, migration: &Migration) -> Result<Reseal, Failure> {
    if let KekSource::File(path) = source
        && !path.exists()
    {
        create_key_file(path).map_err(StartError::from)?;
        note(&format!("made the key file {}", path.display()));
    }
    Ok(migration.to_key(source).map_err(StartError::from)?)
}

/// The old shares: asked for one by one on a terminal, else one a line from standard input.
fn shares(threshold: u8) -> Result<Vec<SecretBytes>, Failure> {
    let texts: Vec<SecretString> = if io::stdin().is_terminal() {
        let ask = |number| Source::Prompt.read(&format!("unseal share {number} of {threshold}"));
        (1..=threshold).map(ask).collect::<Result<_, _>>()?
    } else {
        let text = input::credential("the unseal shares", None)?;
        text.expose_secret().lines().filter(|line| !line.trim().is_empty()).map(SecretString::from).collect()
    };
    let decode = |text: &SecretString| {
        STANDARD.decode(text.expose_secret().trim()).map(SecretBytes::new).map_err(|_| {
            Failure::Usage("a share is not base64: give each as `keyturn operator init` printed it".to_owned())
        })
    };
    texts.iter().map(decode).collect()
}
