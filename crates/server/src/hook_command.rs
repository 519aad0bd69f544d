//! Programs that carry out the steps of rotations, as the configuration names them.
//!
//! ```text
//! argv         as configured, nothing added
//! environment  what is configured, PATH, and KEYTURN_HOOK_STEP, KEYTURN_HOOK_SECRET_ID, KEYTURN_HOOK_VERSION_ID
//! stdin        the event, as AWS sends it; then its end
//! stdout       read up to 64 KiB, for {"errorMessage": …}; kept in memory alone
//! stderr       thrown away: it is where shells trace what they do
//! ```
//!
//! Each run has a process group of its own. However it ends, all that is left in the group is killed; a process that leaves
//! it on purpose (`setsid`) is not. The group's leader is not reaped before, so its number names nobody else meanwhile.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use keyturn_core::{
    hook_command::{CommandError, CommandReply, HookCommands, HookEvent, MAX_OUTPUT},
    secret::SecretBytes,
    storage::BoxFuture,
};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe,
    sync::Semaphore,
};

/// Where programs are found, unless the configuration says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Commands that run at once; more wait. Each takes a thread.
const AT_ONCE: usize = 8;

/// A command, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCommand {
    /// The program, an absolute path, and its arguments.
    pub command: Vec<String>,
    /// How long a run may take.
    pub timeout: Duration,
    /// Where it runs.
    pub directory: PathBuf,
    /// Variables with a value, and those that are passed on as the server has them.
    pub environment: Vec<(String, Option<String>)>,
}

/// The commands that are configured, by name.
#[derive(Debug)]
pub struct Commands {
    by_name: BTreeMap<String, HookCommand>,
    slots: Semaphore,
}

impl Default for Commands {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

impl Commands {
    /// These commands.
    #[must_use]
    pub fn new(by_name: BTreeMap<String, HookCommand>) -> Self {
        Self { by_name, slots: Semaphore::new(AT_ONCE) }
    }
}

impl HookCommands for Commands {
    fn timeout(&self, name: &str) -> Option<Duration> {
        self.by_name.get(name).map(|command| command.timeout)
    }

    fn run<'a>(&'a self, name: &'a str, event: HookEvent<'a>) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async move {
            let configured = self.by_name.get(name).ok_or_else(|| CommandError::Unknown(name.to_owned()))?;
            // The semaphore is never closed.
            let _slot = self.slots.acquire().await.ok();
            let started = Started::new(configured, event).map_err(|error| not_started(&error))?;
            match tokio::time::timeout(configured.timeout, started.converse(event)).await {
                Ok(ended) => ended,
                Err(_) => Err(CommandError::Ended(format!(
                    "the command was still running after {:?}, and was killed with all that it had started",
                    configured.timeout
                ))),
            }
        })
    }
}

fn not_started(error: &io::Error) -> CommandError {
    CommandError::NotStarted(error.to_string())
}

/// A process group that is killed at the latest when it is dropped.
struct Group {
    /// `None`: its leader was reaped, and the number may be somebody else's.
    leader: Mutex<Option<Pid>>,
}

impl Group {
    fn kill(&self) {
        if let Some(leader) = *self.leader.lock().unwrap_or_else(PoisonError::into_inner) {
            // It may be gone already.
            _ = kill_process_group(leader, Signal::KILL);
        }
    }

    /// Waits for the leader's end, kills the rest, and lets its number go.
    fn reap(&self, child: &mut Child) -> io::Result<Option<i32>> {
        let leader = *self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leader) = leader {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(error) = waitid(WaitId::Pid(leader), options) {
                if error != rustix::io::Errno::INTR {
                    return Err(error.into());
                }
            }
        }
        self.kill();
        let mut leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner);
        let status = child.wait()?;
        *leader = None;
        Ok(status.code())
    }
}

/// Kills the group of a run that nobody waits for any more.
struct Guard(Arc<Group>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// A command that runs.
struct Started {
    guard: Guard,
    child: Child,
    input: pipe::Sender,
    output: pipe::Receiver,
}

impl Started {
    fn new(configured: &HookCommand, event: HookEvent<'_>) -> io::Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let (program, arguments) = configured.command.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .envs(environment(configured))
            .env("KEYTURN_HOOK_STEP", event.step)
            .env("KEYTURN_HOOK_SECRET_ID", event.secret_id)
            .env("KEYTURN_HOOK_VERSION_ID", event.version_id)
            .current_dir(&configured.directory)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let leader = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let guard = Guard(Arc::new(Group { leader: Mutex::new(leader) }));
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let input = pipe::Sender::from_owned_fd(input.into())?;
        let output = pipe::Receiver::from_owned_fd(output.into())?;
        Ok(Self { guard, child, input, output })
    }

    /// Tells the event, reads what is answered, and waits for the end.
    async fn converse(self, event: HookEvent<'_>) -> Result<CommandReply, CommandError> {
        let Self { guard, mut child, mut input, output } = self;
        let group = Arc::clone(&guard.0);
        // The thread ends with the leader, which the guard kills when nobody waits any more.
        let ended = tokio::task::spawn_blocking(move || group.reap(&mut child));
        // A pipe holds more than an event; a command that does not read it has closed its end.
        _ = input.write_all(event.to_json().as_ref()).await;
        drop(input);
        let mut text = SecretBytes::new(Vec::with_capacity(MAX_OUTPUT + 1));
        let mut bounded = output.take(MAX_OUTPUT as u64 + 1);
        let read = bounded.read_to_end(text.expose_secret_mut()).await;
        if text.expose_secret().len() > MAX_OUTPUT {
            return Err(CommandError::Ended(format!(
                "the command wrote more than {MAX_OUTPUT} bytes to its standard output, and was killed"
            )));
        }
        read.map_err(|error| CommandError::Ended(format!("the command's output could not be read: {error}")))?;
        let interrupted = |_| CommandError::Ended("the command was interrupted".to_owned());
        let code = ended.await.map_err(interrupted)?;
        let code = code.map_err(|error| CommandError::Ended(format!("the command's end was not seen: {error}")))?;
        Ok(CommandReply { code, output: text })
    }
}

fn environment(configured: &HookCommand) -> impl Iterator<Item = (String, OsString)> {
    configured.environment.iter().filter_map(|(name, value)| {
        let value = value.as_ref().map(OsString::from).or_else(|| std::env::var_os(name))?;
        Some((name.clone(), value))
    })
}

#[cfg(test)]
mod tests;
