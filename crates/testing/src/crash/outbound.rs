//! The requests and commands of a process that may die.

use std::{sync::Arc, time::Duration};

use keyturn_core::{
    hook_command::{CommandError, CommandReply, HookCommands, HookEvent},
    outbound::{Outbound, OutboundError, Reply, Request, ServiceAccount},
    storage::BoxFuture,
};

use super::{Faults, Place};

/// Each request and each command is a step.
pub struct MortalOutbound {
    beyond: Arc<dyn Outbound>,
    faults: Faults,
}

impl MortalOutbound {
    /// The way to `beyond`, which outlives the process.
    #[must_use]
    pub fn new(beyond: Arc<dyn Outbound>, faults: Faults) -> Self {
        Self { beyond, faults }
    }
}

impl Outbound for MortalOutbound {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Reply, OutboundError>> {
        Box::pin(async move {
            let lost = || OutboundError("the connection was lost".to_owned());
            // Asked within the step: what is not done was never asked for.
            self.faults.take(Place::Call, async { self.beyond.send(request).await }).await.ok_or_else(lost)?
        })
    }

    fn service_account(&self) -> BoxFuture<'_, Option<ServiceAccount>> {
        self.beyond.service_account()
    }

    fn commands(&self) -> &dyn HookCommands {
        self
    }
}

impl HookCommands for MortalOutbound {
    fn timeout(&self, name: &str) -> Option<Duration> {
        self.beyond.commands().timeout(name)
    }

    fn run<'a>(&'a self, name: &'a str, event: HookEvent<'a>) -> BoxFuture<'a, Result<CommandReply, CommandError>> {
        Box::pin(async move {
            let lost = || CommandError::Ended("the outcome was lost".to_owned());
            let run = async { self.beyond.commands().run(name, event).await };
            self.faults.take(Place::Call, run).await.ok_or_else(lost)?
        })
    }
}
