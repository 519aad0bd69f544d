//! Why a verb did not do what it was asked, and the exit code that says so.

use std::io;
use std::path::PathBuf;

use keyturn_core::snapshot::SnapshotError;

use crate::bootstrap::StartError;
use crate::client::ClientError;
use crate::connection::ConnectionError;
use crate::exit::Exit;
use crate::input::InputError;
use crate::kv::KvError;
use crate::output::OutputError;
use crate::token_file::TokenFileError;
use crate::verb::ServiceError;

/// Any failure of a client verb. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The exchange with the server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A login; a server says 400 to a wrong password, and a script wants to know that from a fault.
    #[error(transparent)]
    Login(ClientError),
    /// The address, the certificates or the token to use.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// Values from files, stdin and prompts.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The key-value engine.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The kept token.
    #[error(transparent)]
    TokenFile(#[from] TokenFileError),
    /// Standard output.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Starting or running a server.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An audit log that is not whole; what is wrong with it has been printed.
    #[error("the log is not whole: {faults} faults in {entries} entries")]
    Tampered {
        /// Lines at fault.
        faults: usize,
        /// Lines read.
        entries: u64,
    },
    /// Secrets that were not copied; which and why has been printed.
    #[error("not all was copied: {failed} secrets failed, {conflicts} have conflicts")]
    Import {
        /// Secrets that could not be copied.
        failed: usize,
        /// Secrets that are left as they are.
        conflicts: usize,
    },
    /// Something that `status` was to fail on; what has been printed.
    #[error("what --fail-on lists holds for {count}")]
    Alerts {
        /// How many.
        count: usize,
    },
    /// A rotation that did not come about; why.
    #[error("{0}")]
    Rotation(String),
    /// The service that is copied from, or the one that is copied to.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A snapshot that cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A file of the user's.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// What was asked for contradicts itself or lacks something.
    #[error("{0}")]
    Usage(String),
}

impl Failure {
    /// The exit code for it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Login(error) if error.is_refusal() => Exit::Denied,
            Self::Client(error) | Self::Login(error) => error.exit(),
            Self::Kv(error) => error.exit(),
            Self::Input(error) => error.exit(),
            Self::Connection(_) | Self::Usage(_) => Exit::Usage,
            Self::Start(error) if error.is_usage() => Exit::Usage,
            Self::Start(_) | Self::TokenFile(_) | Self::Output(_) => Exit::Failed,
            Self::Service(error) => error.exit(),
            Self::Alerts { .. } => Exit::Alerts,
            Self::Tampered { .. } | Self::Import { .. } | Self::Rotation(_) | Self::Snapshot(_) | Self::File { .. } => {
                Exit::Failed
            }
        }
    }
}
