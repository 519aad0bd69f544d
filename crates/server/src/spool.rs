//! Bodies that are too large for memory: read into a file without a name, for its owner alone. What comes this way is
//! sealed; no plaintext is written.

use std::{
    fs::{File, OpenOptions, remove_file},
    io::{self, Seek},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{StatusCode, body::Body};
use keyturn_core::random::Random;
use tokio::io::AsyncWriteExt;

/// The largest body that is read this way.
pub const MAX_BYTES: u64 = 64 << 30;

/// The longest that a sender may pause.
const PAUSE: Duration = Duration::from_secs(30);

/// A body that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// It is larger than [`MAX_BYTES`].
    #[error("the body is larger than the {MAX_BYTES} bytes that this server accepts")]
    TooLarge,
    /// Nothing came for a while.
    #[error("the body stopped arriving")]
    TooSlow,
    /// The client went away, or its framing is broken.
    #[error("the body ended before it was complete: {0}")]
    Broken(String),
    /// The file.
    #[error("the body could not be kept on disk ({0}); make room where TMPDIR points, or in /var/tmp")]
    Disk(#[from] io::Error),
}

impl SpoolError {
    /// The status that says it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
            Self::Disk(_) => StatusCode::INSUFFICIENT_STORAGE,
        }
    }
}

/// Reads `body` whole; the file is at its beginning and vanishes when it is closed.
///
/// # Errors
/// [`SpoolError`]; its `status()` is what the client should be told.
pub async fn receive<B>(mut body: B) -> Result<File, SpoolError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut file = tokio::fs::File::from_std(nameless(&directory())?);
    let mut length = 0_u64;
    while let Some(frame) = tokio::time::timeout(PAUSE, body.frame()).await.map_err(|_| SpoolError::TooSlow)? {
        let frame = frame.map_err(|error| SpoolError::Broken(error.to_string()))?;
        let Ok(chunk) = frame.into_data() else { continue };
        length += chunk.len() as u64;
        if length > MAX_BYTES {
            return Err(SpoolError::TooLarge);
        }
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    let mut file = file.into_std().await;
    file.rewind()?;
    Ok(file)
}

/// `/tmp` is memory on many machines, so `/var/tmp` comes first where nobody said otherwise.
fn directory() -> PathBuf {
    let usual = Path::new("/var/tmp");
    if std::env::var_os("TMPDIR").is_none() && usual.is_dir() { usual.to_owned() } else { std::env::temp_dir() }
}

fn nameless(directory: &Path) -> io::Result<File> {
    let name = Random::default().uuid().map_err(io::Error::other)?;
    let path = directory.join(format!("keyturn-{name}"));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_comes_back_from_a_file_without_a_name() {
        let mut file = receive(Full::new(Bytes::from_static(b"sealed"))).await.expect("receive");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("read");
        assert_eq!(text, "sealed");
        let metadata = file.metadata().expect("metadata");
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&metadata), 0);
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&metadata) & 0o777, 0o600);
    }
}
