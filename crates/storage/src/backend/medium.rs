//! Where an embedded store's bytes are: one file, or memory.

use std::{
    fs::{File, OpenOptions},
    io,
    ops::Bound,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{BackendError, DatabaseError, StorageBackend, backends::FileBackend, backends::InMemoryBackend};

use crate::files::{create_directory, parent_of, sync_directory};

/// Whether a store that does not exist may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Make it: the server starts.
    Create,
    /// Refuse: the store was there a moment ago, and an empty one in its place would pass for it.
    Refuse,
}

/// The bytes below the engine; can be opened again after the engine has failed.
#[derive(Debug)]
pub(super) enum Medium {
    /// A file that only its owner may read.
    File(PathBuf),
    /// Anything that outlives one opening of it: memory, or a test's double.
    Shared(Arc<dyn StorageBackend>),
}

impl Medium {
    /// Memory, empty.
    pub(super) fn memory() -> Self {
        Self::Shared(Arc::new(InMemoryBackend::new()))
    }

    /// Opens the engine's database on it.
    pub(super) fn open(&self, cache_bytes: usize, missing: Missing) -> Result<redb::Database, DatabaseError> {
        let mut builder = redb::Builder::new();
        builder.set_cache_size(cache_bytes);
        match self {
            Self::File(path) => builder.create_with_backend(FileBackend::new(open_file(path, missing)?)?),
            Self::Shared(bytes) => builder.create_with_backend(Shared(Arc::clone(bytes))),
        }
    }

    /// The name that `sys/seal-status` shows.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "embedded",
            Self::Shared(_) => "memory",
        }
    }

    /// The place, for messages.
    pub(super) fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Shared(_) => "memory".to_owned(),
        }
    }
}

fn open_file(path: &Path, missing: Missing) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match (options.open(path), missing) {
        (Err(error), Missing::Create) if error.kind() == io::ErrorKind::NotFound => {}
        (opened, _) => return opened,
    }
    let parent = parent_of(path);
    create_directory(parent)?;
    // A second process that creates the file at the same time opens the same one; the engine's lock decides.
    let file = options.create(true).mode(0o600).open(path)?;
    sync_directory(parent)?;
    Ok(file)
}

/// A backend that several openings share, one after the other.
#[derive(Debug)]
struct Shared(Arc<dyn StorageBackend>);

impl StorageBackend for Shared {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn try_lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        Err(BackendError::Unsupported)
    }
}
