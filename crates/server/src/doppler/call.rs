//! One request under way: who asks, about which project and config, and how it gets through the door.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hyper::{HeaderMap, Method};
use keyturn_core::{
    audit::HeaderRecord,
    core::Core,
    door::{Answer, Ask, Credential, Exchange, Known, Permit},
    policy::Operation,
    project::ConfigScope,
    secret::SecretBytes,
};

use super::{Doppler, Outcome, error::Failure, reply::Reply, request::Parameters};

/// One request, whole, and the open store.
pub(crate) struct Call {
    pub(super) doppler: Arc<Doppler>,
    pub(crate) core: Arc<Core>,
    pub(crate) request_id: String,
    pub(crate) method: Method,
    /// What follows `/v3/`.
    pub(crate) path: String,
    pub(crate) parameters: Parameters,
    pub(crate) headers: HeaderMap,
    pub(crate) remote: Option<SocketAddr>,
    /// Whether the connection is TLS.
    pub(super) secure: bool,
    /// The host that the request is for, where it is not among the headers.
    pub(super) authority: Option<String>,
    /// Those of its headers that the audit log records.
    pub(crate) recorded: Vec<HeaderRecord>,
    /// Whose token it carries. Only paths that need no token are served without.
    pub(super) known: Option<Known>,
    /// Whether the door was asked: what did not come so far is recorded otherwise.
    pub(super) asked: AtomicBool,
}

/// The config that a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) project: String,
    pub(crate) config: String,
}

impl Call {
    /// Who asks.
    pub(crate) fn known(&self) -> Result<&Known, Failure> {
        self.known.as_ref().ok_or_else(Failure::unauthenticated)
    }

    /// The one config that the caller's token is for, if it is for one.
    pub(crate) fn scope(&self) -> Option<ConfigScope> {
        self.known.as_ref().and_then(Known::scope)
    }

    /// The mount that is served.
    pub(crate) fn mount(&self) -> &str {
        &self.doppler.settings.mount
    }

    /// What clients are told of the place that they talk to.
    pub(crate) fn workplace(&self) -> &str {
        &self.doppler.settings.workplace
    }

    /// Where people reach this server, if the operator says so.
    pub(super) fn public_url(&self) -> Option<&str> {
        self.doppler.settings.public_url.as_deref()
    }

    /// The path of a project in the area that structure is asked about.
    pub(crate) fn project_path(&self, project: &str) -> String {
        format!("{}metadata/{project}/", self.mount())
    }

    /// The path of a config in an area of the mount: `data` for what it holds, `metadata` for what is said about it.
    pub(crate) fn config_path(&self, area: &str, target: &Target) -> String {
        format!("{}{area}/{}/{}", self.mount(), target.project, target.config)
    }

    /// The project that the request names, or that of the caller's token.
    pub(crate) fn project(&self) -> Result<String, Failure> {
        let named = self.parameters.text("project")?;
        let Some(scope) = self.scope() else {
            return checked("project", named.ok_or_else(|| Failure::bad_request("You must specify a project"))?);
        };
        match named {
            Some(project) if project != scope.project => Err(no_access("project", &project)),
            _ if scope.mount != self.mount() => Err(no_access("project", &scope.project)),
            _ => Ok(scope.project),
        }
    }

    /// The config that the request names, or that of the caller's token. Another than the token's is an error, never
    /// silently its own.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        let project = self.project()?;
        let named = self.parameters.text("config")?;
        let config = match (self.scope(), named) {
            (Some(scope), Some(config)) if config != scope.config => return Err(no_access("config", &config)),
            (Some(scope), _) => scope.config,
            (None, Some(config)) => checked("config", config)?,
            (None, None) => return Err(Failure::bad_request("You must specify a config")),
        };
        Ok(Target { project, config })
    }

    /// Passes the door, does the work, and lets its answer out once it is recorded.
    pub(crate) async fn through<W: Future<Output = Outcome>>(
        &self,
        operation: Operation,
        path: &str,
        work: impl FnOnce(Permit) -> W,
    ) -> Outcome {
        self.through_with(operation, path, self.parameters.told(), work).await
    }

    /// The same, with something else told to policies and the audit log than what the client sent.
    pub(crate) async fn through_with<W: Future<Output = Outcome>>(
        &self,
        operation: Operation,
        path: &str,
        told: &SecretBytes,
        work: impl FnOnce(Permit) -> W,
    ) -> Outcome {
        let (exchange, permit) = self.admit(operation, path, told).await?;
        let outcome = work(permit).await;
        self.conclude(exchange, outcome).await
    }

    /// Through the door. Who is refused finds it in the audit log, as does everybody else: see [`Call::conclude`].
    pub(crate) async fn admit<'e>(
        &'e self,
        operation: Operation,
        path: &'e str,
        told: &'e SecretBytes,
    ) -> Result<(Exchange<'e>, Permit), Failure> {
        self.asked.store(true, Ordering::Relaxed);
        let ask = self.ask(operation, path, told);
        let (exchange, admitted) = self.core.admit(ask).await;
        match admitted {
            Ok(permit) => Ok((exchange, permit)),
            Err(refusal) => Err(self.failed(exchange, Failure::from(refusal)).await),
        }
    }

    pub(super) fn ask<'e>(&'e self, operation: Operation, path: &'e str, told: &'e SecretBytes) -> Ask<'e> {
        Ask {
            request_id: &self.request_id,
            operation,
            path,
            credential: self.known.as_ref().map(Credential::Known),
            remote: self.remote,
            data: told,
            headers: &self.recorded,
            wrap_ttl: None,
        }
    }

    /// Through the door with a token that came in the body.
    pub(super) async fn admit_as<'e>(
        &'e self,
        known: &'e Known,
        operation: Operation,
        path: &'e str,
        told: &'e SecretBytes,
    ) -> Result<(Exchange<'e>, Permit), Failure> {
        let ask = Ask { credential: Some(Credential::Known(known)), ..self.ask(operation, path, told) };
        let (exchange, admitted) = self.core.admit(ask).await;
        match admitted {
            Ok(permit) => Ok((exchange, permit)),
            Err(refusal) => Err(self.failed(exchange, Failure::from(refusal)).await),
        }
    }

    /// Whether the caller may do something besides; recorded as a request of its own.
    pub(crate) async fn permitted(&self, operation: Operation, path: &str) -> Result<(), Failure> {
        let done = |permit: Permit| async {
            permit.spend();
            Ok(Reply::nothing())
        };
        self.through(operation, path, done).await.map(|_| ())
    }

    /// Looks something up that the request needs besides; recorded as a request of its own.
    pub(crate) async fn besides<T, W: Future<Output = Result<T, Failure>>>(
        &self,
        operation: Operation,
        path: &str,
        work: impl FnOnce(Permit) -> W,
    ) -> Result<T, Failure> {
        let (exchange, permit) = self.admit(operation, path, self.parameters.told()).await?;
        match work(permit).await {
            Ok(found) => self.conclude(exchange, Ok(Reply::nothing())).await.map(|_| found),
            Err(failure) => Err(self.failed(exchange, failure).await),
        }
    }

    /// A permit for something that the request needs besides, recorded as a request of its own.
    pub(crate) async fn also(&self, operation: Operation, path: &str) -> Result<Permit, Failure> {
        let told = SecretBytes::new(b"{}".to_vec());
        let (exchange, permit) = self.admit(operation, path, &told).await?;
        self.conclude(exchange, Ok(Reply::nothing())).await?;
        Ok(permit)
    }

    /// Records what came of it, before it leaves.
    pub(crate) async fn conclude(&self, exchange: Exchange<'_>, outcome: Outcome) -> Outcome {
        match outcome {
            Ok(reply) => {
                let answer = Answer { data: Some(reply.audited()), ..Answer::default() };
                self.record(exchange, answer).await.map(|()| reply)
            }
            Err(failure) => Err(self.failed(exchange, failure).await),
        }
    }

    /// Records that it failed. Gives why, or why that could not be recorded.
    async fn failed(&self, exchange: Exchange<'_>, failure: Failure) -> Failure {
        let answer = Answer { error: Some(&failure.text()), ..Answer::default() };
        self.record(exchange, answer).await.err().unwrap_or(failure)
    }

    async fn record(&self, exchange: Exchange<'_>, answer: Answer<'_>) -> Result<(), Failure> {
        exchange.conclude(answer).await.map_err(|error| Failure::internal(&error, &self.request_id))
    }
}

fn no_access(what: &str, name: &str) -> Failure {
    let name: String = name.chars().take(80).collect();
    Failure::forbidden(format!("This token does not have access to requested {what} '{name}'"))
}

/// A name that becomes one part of a path.
pub(super) fn checked(what: &str, name: String) -> Result<String, Failure> {
    let unfit = name.len() > 80 || matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\\']);
    if unfit || name.chars().any(char::is_control) {
        let shown: String = name.chars().take(80).collect();
        return Err(Failure::not_found(format!("Could not find requested {what} '{}'", shown.escape_debug())));
    }
    Ok(name)
}
