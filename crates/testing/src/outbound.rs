//! The other systems that a test invents: answers by URL, and what was asked.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use keyturn_core::{
    hook_command::{CommandError, CommandReply, HookCommands, HookEvent},
    outbound::{Outbound, OutboundError, Reply, Request, ServiceAccount},
    secret::SecretBytes,
    storage::BoxFuture,
};

/// What a command does that a test invents.
type Invented = Arc<dyn Fn(HookEvent<'_>) -> BoxFuture<'static, Ran> + Send + Sync>;

/// How a command went.
type Ran = Result<CommandReply, CommandError>;

/// Commands by name.
#[derive(Default)]
struct InventedCommands(Mutex<HashMap<String, Invented>>);

impl fmt::Debug for InventedCommands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InventedCommands")
    }
}

impl HookCommands for InventedCommands {
    fn timeout(&self, name: &str) -> Option<Duration> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name);
        known.then_some(Duration::from_secs(60))
    }

    fn run<'a>(&'a self, name: &'a str, event: HookEvent<'a>) -> BoxFuture<'a, Ran> {
        let command = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        Box::pin(async move {
            let command = command.ok_or_else(|| CommandError::Unknown(name.to_owned()))?;
            command(event).await
        })
    }
}

/// Answers to requests as a test has set them, and remembers the requests. A URL that has no answer cannot be reached.
#[derive(Debug, Default)]
pub struct Elsewhere {
    answers: Mutex<HashMap<String, (u16, Vec<u8>)>>,
    asked: Mutex<Vec<Request>>,
    account: Mutex<Option<ServiceAccount>>,
    commands: InventedCommands,
}

impl Elsewhere {
    /// Answers requests to `url` with `status` and `body` from now on.
    pub fn answer(&self, url: &str, status: u16, body: impl Into<Vec<u8>>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(url.to_owned(), (status, body.into()));
    }

    /// Makes `url` unreachable.
    pub fn forget(&self, url: &str) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).remove(url);
    }

    /// Puts the process into a pod.
    pub fn set_service_account(&self, account: Option<ServiceAccount>) {
        *self.account.lock().unwrap_or_else(PoisonError::into_inner) = account;
    }

    /// Configures a command for the steps of rotations.
    pub fn command(&self, name: &str, run: impl Fn(HookEvent<'_>) -> BoxFuture<'static, Ran> + Send + Sync + 'static) {
        self.commands.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Arc::new(run));
    }

    /// Takes a command out of the configuration.
    pub fn forget_command(&self, name: &str) {
        self.commands.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// The requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often `url` was asked.
    #[must_use]
    pub fn times(&self, url: &str) -> usize {
        self.asked().iter().filter(|request| request.url == url).count()
    }
}

impl Outbound for Elsewhere {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Reply, OutboundError>> {
        let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&request.url).cloned();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let unreachable = || OutboundError("the test has nothing there".to_owned());
        let reply = answer.map(|(status, body)| Reply { status, body: SecretBytes::new(body) }).ok_or_else(unreachable);
        Box::pin(async move {
            // Others get their turn, as they would while a real answer is awaited.
            tokio::task::yield_now().await;
            reply
        })
    }

    fn service_account(&self) -> BoxFuture<'_, Option<ServiceAccount>> {
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move { account })
    }

    fn commands(&self) -> &dyn HookCommands {
        &self.commands
    }
}
