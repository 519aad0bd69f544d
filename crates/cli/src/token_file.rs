//! The file in which `login` keeps the token: mode 0600 from its first byte, replaced in one step.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use keyturn_core::secret::SecretString;

use crate::connection::Environment;

/// No token is longer; a bigger file is something else.
const MAX_FILE: u64 = 8192;

/// The place of the kept token; whether there is a file is another question.
#[derive(Debug, Clone)]
pub(crate) struct TokenFile(PathBuf);

/// Why the file could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenFileError {
    /// No place is known.
    #[error("there is no place to keep the token: set KEYTURN_TOKEN_FILE or HOME")]
    NoPlace,
    /// It exists and cannot be read.
    #[error("cannot read the token file {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Others can read it.
    #[error(
        "the token file {0} can be read by other users: take that away by `chmod 600 {0}`, and consider the token leaked: \
         `keyturn token revoke --self`",
        path.display()
    )]
    Exposed { path: PathBuf },
    /// It could not be written.
    #[error("cannot write the token file {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// It could not be removed.
    #[error("cannot remove the token file {}: {source}", path.display())]
    Remove { path: PathBuf, source: io::Error },
}

impl TokenFile {
    /// `KEYTURN_TOKEN_FILE`, else `.keyturn-token` in the home directory.
    pub(crate) fn locate(env: Environment<'_>) -> Option<Self> {
        env("KEYTURN_TOKEN_FILE")
            .map(PathBuf::from)
            .or_else(|| env("HOME").map(|home| Path::new(&home).join(".keyturn-token")))
            .map(Self)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The token, without the line end that an editor may have added; nothing if there is no file.
    pub(crate) fn read(&self) -> Result<Option<SecretString>, TokenFileError> {
        let failed = |source| TokenFileError::Read { path: self.0.clone(), source };
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        // Asked of the open file, so that what is checked is what is read.
        if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
            return Err(TokenFileError::Exposed { path: self.0.clone() });
        }
        let mut text = String::with_capacity(usize::try_from(MAX_FILE).unwrap_or_default() + 64);
        file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
        let text = SecretString::new(text);
        Ok(Some(text.expose_secret().trim_end_matches(['\r', '\n']).into()))
    }

    /// Keeps `token`. A crash leaves the old file or the new one, never a part.
    pub(crate) fn write(&self, token: &SecretString) -> Result<(), TokenFileError> {
        let mut draft = self.0.clone().into_os_string();
        draft.push(format!(".{}.tmp", std::process::id()));
        let draft = PathBuf::from(draft);
        write_private(&draft, token).and_then(|()| fs::rename(&draft, &self.0)).map_err(|source| {
            // The draft holds the token; if it cannot be removed either, the first error is the one to tell.
            let _ = fs::remove_file(&draft);
            TokenFileError::Write { path: self.0.clone(), source }
        })
    }

    /// Forgets the token; says whether there was one.
    pub(crate) fn remove(&self) -> Result<bool, TokenFileError> {
        match fs::remove_file(&self.0) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(TokenFileError::Remove { path: self.0.clone(), source }),
        }
    }
}

fn write_private(path: &Path, token: &SecretString) -> io::Result<()> {
    // A draft of a process that died under the same id is in the way, and its mode is not to be trusted.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(token.expose_secret().as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file_in(dir: &Path) -> TokenFile {
        TokenFile(dir.join("token"))
    }

    #[test]
    fn a_token_is_kept_privately_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let file = file_in(dir.path());
        assert!(file.read().unwrap().is_none());
        file.write(&"hvs.first".into()).unwrap();
        file.write(&"hvs.second".into()).unwrap();
        assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(file.read().unwrap().unwrap().expose_secret(), "hvs.second");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft stays behind");
        assert!(file.remove().unwrap());
        assert!(!file.remove().unwrap());
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = file_in(dir.path());
        file.write(&"hvs.canary".into()).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        let error = file.read().unwrap_err().to_string();
        assert!(error.contains("chmod 600") && !error.contains("canary"), "{error}");
    }

    #[test]
    fn a_failed_write_leaves_no_draft() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("token")).unwrap();
        assert!(file_in(dir.path()).write(&"hvs.canary".into()).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_place_can_be_named() {
        let named = |name: &str| (name == "KEYTURN_TOKEN_FILE").then(|| "/run/token".to_owned());
        let home = |name: &str| (name == "HOME").then(|| "/h/x".to_owned());
        assert_eq!(TokenFile::locate(&named).unwrap().path(), Path::new("/run/token"));
        assert_eq!(TokenFile::locate(&home).unwrap().path(), Path::new("/h/x/.keyturn-token"));
        assert!(TokenFile::locate(&|_| None).is_none());
    }
}
