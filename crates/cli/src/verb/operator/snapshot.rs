//! `operator snapshot`: the whole store in one file, sealed as it is stored.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use keyturn_core::snapshot::{SnapshotError, SnapshotFile, SnapshotInfo};
use keyturn_core::storage::Storage;
use keyturn_storage::snapshot;
use serde_json::json;

use crate::bootstrap::{self, StartError};
use crate::config::{Config, StorageConfig};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Format, FormatArgs, Table};
use crate::serving;

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Copy the whole store to a file while the server runs
    #[command(after_help = "\
Examples:
  keyturn operator snapshot save backup.snap

The file has mode 0600 and holds nothing that opens without the unseal shares or the key. Keep it apart from those.")]
    Save {
        /// The file to make; it must not be there yet
        file: PathBuf,
    },
    /// Check a snapshot's checksum and show what it is
    #[command(after_help = "\
Examples:
  keyturn operator snapshot inspect backup.snap
  keyturn operator snapshot inspect backup.snap --format json")]
    Inspect {
        /// The snapshot
        file: PathBuf,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Put a snapshot in the place of the whole store
    #[command(after_help = "\
Examples:
  keyturn operator snapshot restore backup.snap --config keyturn.toml   into the empty store of a stopped server
  keyturn operator snapshot restore backup.snap                         into a running server, of the same store
  keyturn operator snapshot restore backup.snap --force                 ... of any store

What the server held is gone afterwards, tokens included, and it is sealed. Unseal it with the shares of the time when the
snapshot was taken.")]
    Restore {
        /// The snapshot
        file: PathBuf,
        /// The configuration of a stopped server whose store does not exist yet or is empty
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Restore what another store took; its own shares unseal it then
        #[arg(long, conflicts_with = "config")]
        force: bool,
    },
}

pub(super) fn run(action: &Action, context: &Context) -> Result<(), Failure> {
    match action {
        Action::Save { file } => save(file, context),
        Action::Inspect { file, format } => print(&examine(file)?.0, format.format),
        Action::Restore { file, config: Some(config), .. } => restore_stopped(file, config),
        Action::Restore { file, config: None, force } => {
            // What the server would refuse anyway need not travel there.
            examine(file)?;
            let route = if *force { "sys/storage/snapshot-force" } else { "sys/storage/snapshot" };
            context.client()?.upload(route, &open(file)?)?;
            Ok(output::print_line("restored: unseal it by `keyturn operator unseal`, unless it unseals itself")?)
        }
    }
}

/// Under another name until it has proved to be whole: a file of the right name is a snapshot.
fn save(path: &Path, context: &Context) -> Result<(), Failure> {
    if path.exists() {
        return Err(Failure::Usage(format!("{} is there already; name another file", path.display())));
    }
    let partial = beside(path, ".partial");
    let mut snapshot = context.client()?.download("sys/storage/snapshot")?;
    remove(&partial)?;
    let mut write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        io::copy(&mut snapshot, &mut file)?;
        file.sync_all()
    };
    let written = write().map_err(|source| Failure::File { doing: "write", path: partial.clone(), source });
    let saved = written.and_then(|()| {
        let info = examine(&partial)?.0;
        give_name(&partial, path)?;
        Ok(info)
    });
    if saved.is_err() {
        // It is of no use; if it cannot be removed, its name says so.
        let _ = fs::remove_file(&partial);
    }
    let info = saved?;
    Ok(output::print_line(&format!("{}: {} records, {} bytes", path.display(), info.records, info.bytes))?)
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|source| Failure::File { doing: "read", path: path.to_owned(), source })
}

fn examine(path: &Path) -> Result<(SnapshotInfo, SnapshotFile), Failure> {
    Ok(snapshot::examine(Box::new(open(path)?), None)?)
}

/// All or nothing, whenever it is cut short: the store is made under another name, and gets its own once it is whole.
fn restore_stopped(path: &Path, config: &Path) -> Result<(), Failure> {
    let config = Config::load(config).map_err(StartError::from)?;
    let StorageConfig::Embedded { path: store, cache_bytes } = &config.storage else {
        return Err(Failure::Usage("storage.type is \"memory\": there is nothing to restore into".to_owned()));
    };
    let (info, file) = examine(path)?;
    let runtime = serving::runtime().map_err(StartError::from)?;
    // An empty store is held open until the new one has its name, so that no server begins to use it.
    let empty = if store.exists() { Some(runtime.block_on(open_empty(&config.storage))?) } else { None };
    let draft = beside(store, ".restoring");
    remove(&draft)?;
    let drafted = StorageConfig::Embedded { path: draft.clone(), cache_bytes: *cache_bytes };
    let filled = bootstrap::open_storage(&drafted)
        .map_err(StartError::from)
        .map_err(Failure::from)
        .and_then(|(storage, _)| Ok(runtime.block_on(snapshot::restore(&*storage, file))?));
    // Without a store there, a server that makes one in the meantime keeps it.
    let named = filled.and_then(|()| if empty.is_some() { rename(&draft, store) } else { give_name(&draft, store) });
    if named.is_err() {
        // It is of no use; if it cannot be removed, its name says so.
        let _ = fs::remove_file(&draft);
    }
    named?;
    Ok(output::print_line(&format!(
        "{}: {} records; start the server and unseal it ({} seal)",
        store.display(),
        info.records,
        info.seal.kind.name()
    ))?)
}

async fn open_empty(config: &StorageConfig) -> Result<Arc<dyn Storage>, Failure> {
    let (storage, _) = bootstrap::open_storage(config).map_err(StartError::from)?;
    if storage.keys(b"", None, 1).await.map_err(SnapshotError::from)?.is_empty() {
        return Ok(storage);
    }
    Err(Failure::Usage(
        "the store is not empty, and nothing was changed: move it away, or restore into the running server".to_owned(),
    ))
}

/// `path` with something after its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes what an attempt that was cut short left behind.
fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Failure::File { doing: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Gives a finished file its name, durably, unless something has that name already.
fn give_name(draft: &Path, path: &Path) -> Result<(), Failure> {
    let given = fs::hard_link(draft, path).and_then(|()| fs::remove_file(draft)).and_then(|()| sync_parent(path));
    given.map_err(|source| Failure::File { doing: "make", path: path.to_owned(), source })
}

/// Puts a finished file in another's place, durably.
fn rename(draft: &Path, path: &Path) -> Result<(), Failure> {
    let renamed = fs::rename(draft, path).and_then(|()| sync_parent(path));
    renamed.map_err(|source| Failure::File { doing: "replace", path: path.to_owned(), source })
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn print(info: &SnapshotInfo, format: Format) -> Result<(), Failure> {
    let taken = info.taken.to_string();
    if format == Format::Json {
        return Ok(output::print_json(&json!({
            "format": info.format,
            "taken": taken,
            "store_id": info.seal.store_id,
            "seal": info.seal.kind.name(),
            "shares": info.seal.shares,
            "threshold": info.seal.threshold,
            "records": info.records,
            "bytes": info.bytes,
        }))?);
    }
    let mut table = Table::of_fields();
    table.row(["taken", &taken]);
    table.row(["store", &info.seal.store_id]);
    table.row(["seal", info.seal.kind.name()]);
    table.row(["shares", &format!("{} of {} unseal", info.seal.threshold, info.seal.shares)]);
    table.row(["records", &info.records.to_string()]);
    table.row(["bytes", &info.bytes.to_string()]);
    table.row(["format", &info.format.to_string()]);
    Ok(output::print(&table.render())?)
}
