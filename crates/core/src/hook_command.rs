//! Programs that carry out the steps of rotations: which there are says the server's configuration, and a rotation refers
//! to one by its name.
//!
//! Core says which is to be run and judges how it ended; the implementation, in `keyturn-server`, starts the process and
//! bounds its time and what it says. No caller decides what is executed, nor with which arguments.

use std::time::Duration;

use serde_json::json;

use crate::{secret::SecretBytes, storage::BoxFuture};

/// The largest output that is read, in bytes: room for a message.
pub const MAX_OUTPUT: usize = 64 * 1024;

/// A step of a rotation, as its hook is told of it. It holds no secret.
#[derive(Debug, Clone, Copy)]
pub struct HookEvent<'a> {
    /// `createSecret`, `setSecret`, `testSecret` or `finishSecret`.
    pub step: &'a str,
    /// How the hook knows the secret.
    pub secret_id: &'a str,
    /// The id of the version that comes.
    pub version_id: &'a str,
}

impl HookEvent<'_> {
    /// The object that AWS sends to a rotation function.
    #[must_use]
    pub fn to_json(self) -> SecretBytes {
        let event = json!({
            "Step": self.step,
            "SecretId": self.secret_id,
            "ClientRequestToken": self.version_id,
            "RotationToken": self.version_id,
        });
        SecretBytes::new(event.to_string().into_bytes())
    }
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct CommandReply {
    /// Its exit code; `None`: a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to its standard output, at most [`MAX_OUTPUT`] bytes.
    pub output: SecretBytes,
}

/// A command did not come to its own end. The text holds nothing that it wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No command of that name is configured.
    #[error("no command {0:?} is configured: the server's configuration names them, in [rotation.hook.NAME]")]
    Unknown(String),
    /// It cannot be started as it is configured.
    #[error("the command cannot be started: {0}")]
    NotStarted(String),
    /// It was ended.
    #[error("{0}")]
    Ended(String),
}

/// The commands that are configured.
pub trait HookCommands: Send + Sync {
    /// How long a run of one may take; `None`: there is none of that name.
    fn timeout(&self, name: &str) -> Option<Duration>;

    /// Runs one to its end. It gets the event on its standard input.
    ///
    /// # Errors
    /// When it does not come to its own end.
    fn run<'a>(&'a self, name: &'a str, event: HookEvent<'a>) -> BoxFuture<'a, Result<CommandReply, CommandError>>;
}

/// No command at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCommands;

impl HookCommands for NoCommands {
    fn timeout(&self, _: &str) -> Option<Duration> {
        None
    }

    fn run<'a>(&'a self, name: &'a str, _: HookEvent<'a>) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async move { Err(CommandError::Unknown(name.to_owned())) })
    }
}
