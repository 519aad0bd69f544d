//! The KEK from a key file or an environment variable, so that the server unseals itself.

use std::{
    fs::{File, OpenOptions},
    future::ready,
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use keyturn_core::{
    barrier::Barrier,
    clock::Clock,
    random::Random,
    seal::{Initialized, Reseal, Seal, SealConfig, SealError, SealKind},
    secret::{Key256, SecretBytes, SecretString},
    snapshot::{SnapshotError, SnapshotFile, SnapshotInfo},
    storage::{BoxFuture, Storage},
};

use super::{
    SealedStore, Stored, no_randomness,
    reseal::{self, Target},
    shamir,
};
use crate::{
    barrier::BarrierOptions,
    files::{create_directory, parent_of, sync_directory},
    hardening::Locked,
};

const KEY_LEN: usize = 32;

/// No form of a key is longer; whatever is, was named by mistake and is not read.
const MAX_KEY_FILE_LEN: u64 = 256;

/// Where the KEK comes from. It is 32 bytes: as they are (in a file), in hex, or in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KekSource {
    /// A file that only its owner may read (mode 0600 or 0400).
    File(PathBuf),
    /// The environment variable of this name.
    Environment(String),
}

/// A seal that opens by itself, with a KEK that is kept beside the server.
pub struct StaticSeal {
    store: SealedStore,
    source: KekSource,
}

impl StaticSeal {
    /// The static seal of `storage`. The KEK is read when the store is initialised or opened, not before.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, source: KekSource, options: BarrierOptions, clock: Arc<dyn Clock>) -> Self {
        Self { store: SealedStore::new(SealKind::Static, storage, options, clock), source }
    }

    async fn initialize(&self, shares: u8, threshold: u8) -> Result<Initialized, SealError> {
        if (shares, threshold) != (1, 1) {
            return Err(SealError::InvalidShares("a static seal has no shares; ask for 1 share and a threshold of 1"));
        }
        let (config, barrier) = self.store.initialize(&self.source.read()?, 1, 1).await?;
        Ok(Initialized { shares: Vec::new(), config, barrier })
    }

    async fn open(&self, shares: &[SecretBytes]) -> Result<Arc<dyn Barrier>, SealError> {
        let stored = self.store.load_initialized().await?;
        if stored.record.kind == SealKind::Shamir {
            return self.take_over(&stored, shares).await;
        }
        if !shares.is_empty() {
            return Err(SealError::WrongKey("a static seal takes no shares; it opens with its own key"));
        }
        let record = stored.record;
        let hint = match self.source {
            KekSource::File(_) => "the key file is of another store; put back the one it was initialized with",
            KekSource::Environment(_) => {
                "the environment holds the key of another store; set the one it was \
                                          initialized with"
            }
        };
        self.store.open(&record, &self.source.read()?, hint).await
    }

    /// Moves a store from its shares to this seal's key: one record changes, in one commit, and the store opens.
    async fn take_over(&self, stored: &Stored, shares: &[SecretBytes]) -> Result<Arc<dyn Barrier>, SealError> {
        let root = Locked::new(shamir::unwrap(&stored.record, shares)?);
        let kek = self.source.read()?;
        let reseal = reseal::prepare(stored, &Target::STATIC, &kek, &root, &self.store.random)?;
        self.store.replace(&reseal).await?;
        tracing::info!("the store was moved from shares to the server's own key");
        self.store.open_barrier(&root).await
    }
}

impl Seal for StaticSeal {
    fn config(&self) -> BoxFuture<'_, Result<Option<SealConfig>, SealError>> {
        Box::pin(self.store.config())
    }

    fn kind(&self) -> SealKind {
        SealKind::Static
    }

    fn initialize(&self, shares: u8, threshold: u8) -> BoxFuture<'_, Result<Initialized, SealError>> {
        Box::pin(self.initialize(shares, threshold))
    }

    fn open<'a>(&'a self, shares: &'a [SecretBytes]) -> BoxFuture<'a, Result<Arc<dyn Barrier>, SealError>> {
        Box::pin(self.open(shares))
    }

    fn check_numbers(&self, _shares: u8, _threshold: u8) -> Result<(), SealError> {
        Err(SealError::NoShares)
    }

    fn check<'a>(&'a self, _shares: &'a [SecretBytes]) -> BoxFuture<'a, Result<(), SealError>> {
        Box::pin(ready(Err(SealError::NoShares)))
    }

    fn reseal<'a>(
        &'a self,
        _shares: &'a [SecretBytes],
        _new_shares: u8,
        _new_threshold: u8,
    ) -> BoxFuture<'a, Result<(Reseal, Vec<SecretBytes>), SealError>> {
        Box::pin(ready(Err(SealError::NoShares)))
    }

    fn check_reseal(&self, _reseal: &Reseal, _shares: &[SecretBytes]) -> Result<(), SealError> {
        Err(SealError::NoShares)
    }

    fn replace<'a>(&'a self, reseal: &'a Reseal) -> BoxFuture<'a, Result<(), SealError>> {
        Box::pin(self.store.replace(reseal))
    }

    fn examine(
        &self,
        snapshot: SnapshotFile,
        origin: Option<Arc<dyn Barrier>>,
    ) -> BoxFuture<'_, Result<(SnapshotInfo, SnapshotFile), SnapshotError>> {
        Box::pin(self.store.examine(snapshot, origin))
    }

    fn restore(&self, snapshot: SnapshotFile) -> BoxFuture<'_, Result<SealConfig, SnapshotError>> {
        Box::pin(self.store.restore(snapshot))
    }

    fn storage_kind(&self) -> &'static str {
        self.store.storage_kind()
    }
}

/// Makes a key file with a new random key, in base64: mode 0600, missing directories 0700, durable when it returns.
///
/// # Errors
/// [`SealError::Unusable`] when the file exists already or cannot be written, and when there is no randomness.
pub fn create_key_file(path: &Path) -> Result<(), SealError> {
    let key = Random::default().key().map_err(|_| no_randomness())?;
    let text = SecretString::new(LENIENT_BASE64.encode(key.expose_secret()));
    let write = || {
        create_directory(parent_of(path))?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.expose_secret().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        sync_directory(parent_of(path))
    };
    write().map_err(|error: io::Error| {
        SealError::Unusable(format!("the key file {} could not be created: {error}", path.display()))
    })
}

impl KekSource {
    pub(super) fn read(&self) -> Result<Key256, SealError> {
        let (place, bytes) = match self {
            Self::File(path) => (format!("the key file {}", path.display()), read_key_file(path)?),
            Self::Environment(name) => (format!("the environment variable {name}"), read_variable(name)?),
        };
        parse(&bytes).ok_or_else(|| {
            SealError::Unusable(format!(
                "{place} does not hold a key: 32 bytes are needed, in base64, in hex or as they are"
            ))
        })
    }
}

fn read_key_file(path: &Path) -> Result<SecretBytes, SealError> {
    let refused = |why: String| SealError::Unusable(format!("the key file {} {why}", path.display()));
    let read = || {
        // The mode is asked of the open file: the name may lead to another one a moment later.
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut bytes = SecretBytes::new(Vec::with_capacity(MAX_KEY_FILE_LEN as usize));
        file.take(MAX_KEY_FILE_LEN).read_to_end(bytes.expose_secret_mut())?;
        Ok((mode, bytes))
    };
    let (mode, bytes) = read().map_err(|error: io::Error| refused(format!("could not be read: {error}")))?;
    if mode & 0o077 != 0 {
        return Err(refused(format!("has mode {:04o}: others may read it; run chmod 600 on it", mode & 0o7777)));
    }
    Ok(bytes)
}

fn read_variable(name: &str) -> Result<SecretBytes, SealError> {
    std::env::var(name).map(|text| SecretBytes::new(text.into_bytes())).map_err(|_| {
        SealError::Unusable(format!("the environment variable {name}, which is to hold the seal's key, is not set"))
    })
}

/// Either alphabet's padding may be there or not.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const LENIENT_BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

fn parse(bytes: &SecretBytes) -> Option<Key256> {
    let bytes = bytes.expose_secret();
    if bytes.len() == KEY_LEN {
        return Key256::from_slice(bytes);
    }
    let text = bytes.trim_ascii();
    let decoded = if text.len() == 2 * KEY_LEN {
        hex::decode(text).ok()
    } else {
        LENIENT_BASE64.decode(text).or_else(|_| LENIENT_BASE64_URL.decode(text)).ok()
    };
    decoded.map(SecretBytes::new).and_then(|key| Key256::from_slice(key.expose_secret()))
}
