//! `--state`: a file that remembers which values were compared already, so that they are not read again. It holds digests
//! of what was known of each secret, and names; no values.
//!
//! ```text
//! line = digest of the secret's facts on both sides | name
//! ```

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use keyturn_protocol::aws::sigv4;

use crate::failure::Failure;

/// What is known, and where more is written.
#[derive(Default)]
pub(super) struct State {
    /// From where to where: the proofs of another import are not of this one.
    scope: String,
    known: HashSet<String>,
    file: Option<(PathBuf, File)>,
}

impl State {
    /// Reads the file, and makes it if it is not there.
    pub(super) fn open(path: Option<&PathBuf>, scope: &str) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::default()) };
        let failed = |doing| move |source: io::Error| Failure::File { doing, path: path.clone(), source };
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(path).map_err(failed("write"))?;
        let text = std::fs::read_to_string(path).map_err(failed("read"))?;
        let known = text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
        Ok(Self { scope: scope.to_owned(), known, file: Some((path.clone(), file)) })
    }

    /// Whether this was added before.
    pub(super) fn has(&self, proof: &str) -> bool {
        self.known.contains(&self.digest(proof))
    }

    /// Adds it, at once.
    pub(super) fn add(&mut self, proof: String, name: &str) -> Result<(), Failure> {
        let digest = self.digest(&proof);
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        if self.known.contains(&digest) {
            return Ok(());
        }
        let written = file.write_all(format!("{digest} {name}\n").as_bytes());
        written.map_err(|source| Failure::File { doing: "write", path: path.clone(), source })?;
        self.known.insert(digest);
        Ok(())
    }

    fn digest(&self, proof: &str) -> String {
        sigv4::hash([self.scope.as_str(), proof].join("\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_proven_is_known_in_its_scope() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let mut state = State::open(Some(&path), "a").unwrap();
        assert!(!state.has("p"));
        state.add("p".into(), "name").unwrap();
        assert!(state.has("p"));
        assert!(State::open(Some(&path), "a").unwrap().has("p"));
        assert!(!State::open(Some(&path), "b").unwrap().has("p"));
        let mut none = State::open(None, "a").unwrap();
        none.add("p".into(), "name").unwrap();
        assert!(!none.has("p"));
    }
}
