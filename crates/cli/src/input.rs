//! Values from files, standard input and prompts: bounded, UTF-8, and never from the command line.

use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use keyturn_core::secret::SecretString;

use crate::exit::Exit;

/// The longest value, in bytes: Vault's own bound on a stored entry is the same.
pub(crate) const MAX_VALUE: usize = 1 << 20;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Standard input, to its end.
    Stdin,
    /// A file, whole.
    File(PathBuf),
    /// The terminal, one line, not echoed.
    Prompt,
}

/// Why a value could not be had. `what` names it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// The file.
    #[error("cannot read {what} from {}: {source}", path.display())]
    File { what: String, path: PathBuf, source: io::Error },
    /// Standard input.
    #[error("cannot read {what} from standard input: {source}")]
    Stdin { what: String, source: io::Error },
    /// The prompt.
    #[error("there is no terminal to ask for {what} ({source}): give it from a file or by standard input, see --help")]
    Prompt { what: String, source: io::Error },
    /// Beyond [`MAX_VALUE`].
    #[error("{what} is longer than 1 MiB, the most that a value may have: store a reference or split it")]
    TooLong { what: String },
    /// Not text.
    #[error("{what} is not UTF-8 text: encode it first, for example with `base64 -w0`")]
    NotText { what: String },
    /// Nothing there.
    #[error("{what} is empty")]
    Empty { what: String },
    /// Text that should be JSON. The position only: the parser's message may quote the secret.
    #[error("{what} is no JSON object with the fields of a secret: see line {line}, column {column}")]
    NotJson { what: String, line: usize, column: usize },
}

impl InputError {
    /// Input that is missing or wrong is the caller's to mend.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Stdin { .. } | Self::File { .. } => Exit::Failed,
            _ => Exit::Usage,
        }
    }
}

impl Source {
    /// `-` is standard input, everything else a file.
    pub(crate) fn file(path: &Path) -> Self {
        if path.as_os_str() == "-" { Self::Stdin } else { Self::File(path.to_owned()) }
    }

    /// The value, byte for byte; `what` names it in prompts and errors.
    pub(crate) fn read(&self, what: &str) -> Result<SecretString, InputError> {
        match self {
            Self::Stdin => bounded(io::stdin().lock(), what, |source| InputError::Stdin { what: what.into(), source }),
            Self::File(path) => {
                let failed = |source| InputError::File { what: what.into(), path: path.clone(), source };
                bounded(std::fs::File::open(path).map_err(failed)?, what, failed)
            }
            Self::Prompt => rpassword::prompt_password(format!("{what} (not shown): "))
                .map(SecretString::new)
                .map_err(|source| InputError::Prompt { what: what.into(), source }),
        }
    }
}

/// A token, password, share or secret id: from `file` if given, else asked for on a terminal, else standard input.
/// A line end after it is not part of it.
pub(crate) fn credential(what: &str, file: Option<&Path>) -> Result<SecretString, InputError> {
    let source = match file {
        Some(path) => Source::file(path),
        None if io::stdin().is_terminal() => Source::Prompt,
        None => Source::Stdin,
    };
    let text = source.read(what)?;
    let line = text.expose_secret().trim_end_matches(['\r', '\n']);
    if line.is_empty() { Err(InputError::Empty { what: what.into() }) } else { Ok(line.into()) }
}

fn bounded(
    reader: impl Read,
    what: &str,
    failed: impl FnOnce(io::Error) -> InputError,
) -> Result<SecretString, InputError> {
    // Room for the longest value at once: a buffer that grows leaves copies behind, unwiped.
    let mut bytes = Vec::with_capacity(MAX_VALUE + 64);
    reader.take(MAX_VALUE as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MAX_VALUE {
        return Err(InputError::TooLong { what: what.into() });
    }
    String::from_utf8(bytes).map(SecretString::new).map_err(|_| InputError::NotText { what: what.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<SecretString, InputError> {
        bounded(bytes, "the value", |source| InputError::Stdin { what: "the value".into(), source })
    }

    #[test]
    fn the_longest_value_fits_and_one_byte_more_does_not() {
        assert_eq!(read(&vec![b'x'; MAX_VALUE]).unwrap().len(), MAX_VALUE);
        assert!(matches!(read(&vec![b'x'; MAX_VALUE + 1]), Err(InputError::TooLong { .. })));
    }

    #[test]
    fn bytes_that_are_no_text_are_sent_to_base64() {
        let error = read(b"\xff\xfe").unwrap_err().to_string();
        assert!(error.contains("base64"), "{error}");
    }

    #[test]
    fn a_value_is_kept_byte_for_byte_and_a_credential_loses_its_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "hvs.x\r\n").unwrap();
        assert_eq!(Source::file(&path).read("v").unwrap().expose_secret(), "hvs.x\r\n");
        assert_eq!(credential("the token", Some(&path)).unwrap().expose_secret(), "hvs.x");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(credential("the token", Some(&path)), Err(InputError::Empty { .. })));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Source::File("/nonexistent/f".into()).read("the password").unwrap_err().to_string();
        assert!(error.contains("/nonexistent/f") && error.contains("the password"), "{error}");
    }
}
