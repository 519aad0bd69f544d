//! The Vault API: a thin translation between its HTTP requests and core.
//!
//! ```text
//! request -> parse -> [state: init, seal, health] or admit -> route -> handler(permit) -> conclude -> answer
//! ```
//!
//! `routes.rs` shows the whole URL map; a URL's handler lies in the file of the same name. What clients rely on is
//! described at <https://developer.hashicorp.com/vault/api-docs>.

mod auth;
mod call;
mod cors;
mod cubbyhole;
mod database;
mod error;
mod fields;
mod help;
mod identity;
mod in_flight;
pub(crate) mod json_check;
mod kv;
mod metrics;
mod rate_limit;
mod reply;
mod request;
mod routes;
mod share;
mod state;
mod sys;

use std::{
    borrow::Cow,
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex, OnceLock},
    task::{Context, Poll},
};

use axum::body::Body;
use hyper::{Request, Response, StatusCode};
use keyturn_core::{
    core::Core,
    door::{Answer, Ask, Credential},
    mount::Engine,
    node::{Node, NotReady},
    policy::Operation,
};
use tower_service::Service;

use self::{
    call::Call,
    cors::Crossing,
    error::Failure,
    in_flight::InFlights,
    metrics::Requests,
    reply::Reply,
    request::Parsed,
    routes::{Found, Routes},
};
use crate::{api::Answering, limits::Limits, tally::Tally};

/// What every request needs.
struct Vault {
    node: Arc<Node>,
    limits: Limits,
    routes: Routes,
    moves: Mutex<VecDeque<[String; 3]>>,
    requests: Requests,
    /// Those of the other protocols, which `sys/metrics` tells as well.
    others: OnceLock<Arc<Tally>>,
    in_flight: InFlights,
    /// What `sys/config/state/sanitized` tells.
    configuration: serde_json::Value,
}

/// The Vault API below `/v1/`, as a service for the listener. Cloning it is cheap.
///
/// It is no router of axum's: `routes` knows all paths, and a second look-up would cost every request.
#[derive(Clone)]
pub struct Api(Arc<Vault>);

impl Api {
    /// The API of one node.
    ///
    /// # Errors
    /// When the table of routes contradicts itself.
    pub fn new(node: Arc<Node>, limits: Limits) -> Result<Self, matchit::InsertError> {
        Self::with_configuration(node, limits, serde_json::Value::Null)
    }

    /// The same, with what `sys/config/state/sanitized` is to tell: a JSON object that holds no secret.
    ///
    /// # Errors
    /// When the table of routes contradicts itself.
    pub fn with_configuration(
        node: Arc<Node>,
        limits: Limits,
        configuration: serde_json::Value,
    ) -> Result<Self, matchit::InsertError> {
        Ok(Self(Arc::new(Vault {
            node,
            limits,
            routes: Routes::build()?,
            moves: Mutex::default(),
            requests: Requests::new(),
            others: OnceLock::new(),
            in_flight: InFlights::default(),
            configuration,
        })))
    }

    /// Lets `sys/metrics` tell of requests that came through another protocol; the first time that it is said.
    pub(crate) fn tell_of(&self, others: Arc<Tally>) {
        _ = self.0.others.set(others);
    }
}

impl Service<Request<Body>> for Api {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let vault = Arc::clone(&self.0);
        Box::pin(async move { Ok(serve(vault, request).await) })
    }
}

async fn serve(vault: Arc<Vault>, request: Request<Body>) -> Response<Body> {
    let origin = match cors::check(&vault.node, &request) {
        Crossing::None => None,
        Crossing::Answered(answer) => return *answer,
        Crossing::Allowed(origin) => Some(origin),
    };
    let mut answer = serve_same_origin(vault, request).await;
    if let Some(origin) = origin {
        cors::allow(answer.headers_mut(), origin);
    }
    answer
}

async fn serve_same_origin(vault: Arc<Vault>, request: Request<Body>) -> Response<Body> {
    let at_work = vault.requests.begin();
    let parsed = match Parsed::read(request, &vault.limits).await {
        Ok(parsed) => parsed,
        Err(failure) => {
            let answer = failure.into_response();
            at_work.answered(None, None, answer.status());
            return answer;
        }
    };
    let operation = parsed.operation;
    let (engine, answered) = if parsed.changes_something() {
        // A client that goes away must not stop a change half-way, nor keep its answer out of the audit log.
        let (request_id, vault) = (parsed.request_id.clone(), Arc::clone(&vault));
        let change = async move {
            let _noted = vault.in_flight.note(&parsed, vault.node.clock().now());
            let answered = vault.answer(&parsed).await;
            (parsed.engine(), answered)
        };
        tokio::spawn(change).await.unwrap_or_else(|error| (None, Err(Failure::internal(&error, &request_id))))
    } else {
        let answered = vault.answer(&parsed).await;
        (parsed.engine(), answered)
    };
    let answer = answered.unwrap_or_else(Failure::into_response);
    at_work.answered(Some(operation), engine, answer.status());
    answer
}

impl Vault {
    async fn answer(&self, parsed: &Parsed) -> Result<Response<Body>, Failure> {
        if parsed.wrap_ttl.is_some() && parsed.operation != Operation::Read && state::knows(&parsed.path) {
            return Err(Failure::bad_request("this answer cannot be wrapped: it does not need an open store"));
        }
        if let Some(answer) = state::answer(&self.node, parsed).await {
            parsed.note_engine(Engine::System);
            return answer;
        }
        let core = self.node.core().map_err(|not_ready| match not_ready {
            NotReady::Sealed | NotReady::Uninitialized => {
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed")
            }
        })?;
        self.exchange(&core, parsed).await
    }

    /// Admits a request, has it handled, and lets the answer out once it is recorded.
    async fn exchange(&self, core: &Arc<Core>, parsed: &Parsed) -> Result<Response<Body>, Failure> {
        let path = identity::stored_spelling(core, &parsed.path).unwrap_or_else(|| fold_names(core, &parsed.path));
        let standing = core.rate_limit(&path, parsed.remote.map(|remote| remote.ip()), &parsed.data).await?;
        let headers = core.settings().record_headers(|name| parsed.header(name));
        let ask = Ask {
            request_id: &parsed.request_id,
            operation: parsed.operation,
            path: &path,
            credential: parsed.token.as_ref().map(Credential::Token),
            remote: parsed.remote,
            data: &parsed.data,
            headers: &headers,
            wrap_ttl: parsed.wrap_ttl,
        };
        if let Some(standing) = standing.filter(|standing| !standing.allowed) {
            return Box::pin(rate_limit::refuse(core, ask, standing)).await;
        }
        let (exchange, admitted) = core.admit(ask).await;
        let engine = exchange.mount().map(|mount| mount.engine);
        engine.into_iter().for_each(|engine| parsed.note_engine(engine));
        let outcome = match admitted {
            Err(refusal) => Err(Failure::from(refusal)),
            Ok(permit) if permit.operation() == Operation::Help => {
                let help = help::on(&self.routes, permit.mount(), permit.rest());
                permit.spend();
                Ok(help)
            }
            Ok(permit) => {
                let permit = permit.presenting(parsed.certificates.clone());
                let engine = permit.mount().engine;
                match self.routes.find(engine, permit.rest(), parsed.operation) {
                    Found::Handler(handler, parameters) => {
                        let (vault, node, moves) = (self, &self.node, &self.moves);
                        handler(Call { vault, node, core, parsed, permit, parameters, moves }).await
                    }
                    Found::OtherOperations => Err(Failure::unsupported_operation()),
                    Found::Nothing => Err(Failure::unsupported_path(engine)),
                }
            }
        };
        let outcome = match outcome {
            Ok(reply) if parsed.wrap_ttl.is_some() && reply.is_plain() => Err(Failure::bad_request(
                "this answer has no envelope and cannot be wrapped: ask for it without X-Vault-Wrap-TTL",
            )),
            Ok(reply) if parsed.wrap_ttl.is_some() && reply.can_be_wrapped() => {
                let (answer, accessor) = reply.into_wrapped(&parsed.request_id, engine);
                // Boxed, so that it takes no room in the future of a request that is not wrapped.
                Box::pin(exchange.wrap(&answer, accessor)).await.map(Reply::wrapped).map_err(Failure::from)
            }
            outcome => outcome,
        };
        let (mut answer, concluded) = match outcome {
            Ok(reply) => {
                let concluded = exchange.conclude(reply.audited()).await;
                (reply.into_response(&parsed.request_id, engine), concluded)
            }
            Err(failure) => {
                let text = failure.text();
                let concluded = exchange.conclude(Answer { error: Some(&text), ..Answer::default() }).await;
                (failure.into_response(), concluded)
            }
        };
        if let Some(standing) = standing {
            rate_limit::tell(answer.headers_mut(), standing);
        }
        match concluded {
            Ok(()) => Ok(answer),
            Err(failure) => Err(Failure::internal(&failure, &parsed.request_id)),
        }
    }
}

/// The path with the names that auth methods fold to lower case folded: the policy is asked about what will be
/// acted on, not about another spelling of it.
fn fold_names<'p>(core: &Core, path: &'p str) -> Cow<'p, str> {
    if !path.starts_with("auth/") || !path.contains(char::is_uppercase) {
        return Cow::Borrowed(path);
    }
    match core.mounts().route(path) {
        Some(routed) if routed.mount.engine.is_auth() && routed.mount.engine != Engine::Token => {
            Cow::Owned(format!("{}{}", routed.mount.path, routed.rest(path).to_lowercase()))
        }
        _ => Cow::Borrowed(path),
    }
}

/// What a handler brings forth.
type Outcome = Result<Reply, Failure>;
