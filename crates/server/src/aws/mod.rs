//! The AWS APIs: Secrets Manager (JSON 1.1) and as much of STS (the query protocol) as their clients ask for first.
//!
//! ```text
//! request -> body, bounded -> service -> identity: the signature -> operation, through the door -> answer
//!                                                 refused: recorded ->                            error
//! ```

mod counted;
mod failure;
mod identity;
mod secrets_manager;
mod settings;
mod sts;

use std::{net::SocketAddr, sync::Arc};

use axum::body::Body;
use hyper::{Request, Response, StatusCode, header::HeaderValue, http::request::Parts};
use keyturn_core::{
    audit::HeaderRecord,
    core::Core,
    node::Node,
    secret::{SecretBytes, SecretString},
};
use keyturn_protocol::aws::{secretsmanager::Operation, sigv4::TARGET_HEADER};

pub use self::settings::AwsSettings;
use self::{failure::Failure, secrets_manager::PolicyCache};
use crate::{
    api::Answering,
    limits::{BodyError, Limits, read_body},
    listener::Peer,
    request_id,
    tally::Tally,
};

/// The largest body, in bytes. It is hashed before it is known who sent it. The largest secret, 64 KiB, takes 384 KiB
/// where each byte is escaped.
const MAX_BODY: usize = 1024 * 1024;

/// The services that requests are signed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AwsService {
    /// Secrets, in the JSON protocol.
    SecretsManager,
    /// Identities, in the query protocol.
    Sts,
}

impl AwsService {
    /// As a scope has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager",
            Self::Sts => "sts",
        }
    }

    /// The path at which a request is recorded and counted that is yet nobody's.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::SecretsManager => "sys/aws/secretsmanager",
            Self::Sts => "sys/aws/sts",
        }
    }
}

/// What every request needs.
struct Aws {
    node: Arc<Node>,
    limits: Limits,
    settings: Arc<AwsSettings>,
    policies: Arc<PolicyCache>,
    requests: Arc<Tally>,
}

/// The AWS APIs, as a service. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Api(Arc<Aws>);

impl Api {
    pub(crate) fn new(node: Arc<Node>, limits: Limits, settings: AwsSettings) -> Self {
        let max_body_bytes = limits.max_body_bytes.min(MAX_BODY);
        let limits = Limits { max_body_bytes, ..limits };
        Self(Arc::new(Aws {
            node,
            limits,
            settings: Arc::new(settings),
            policies: Arc::default(),
            requests: Arc::new(counted::tally()),
        }))
    }

    /// The requests that were answered, for whoever tells of them.
    pub(crate) fn requests(&self) -> Arc<Tally> {
        Arc::clone(&self.0.requests)
    }

    /// Answers one request.
    pub(crate) fn call(&self, request: Request<Body>) -> Answering {
        let aws = Arc::clone(&self.0);
        Box::pin(async move { Ok(serve(&aws, request).await) })
    }
}

/// One request, whole, and the open store.
pub(crate) struct Call {
    pub(crate) core: Arc<Core>,
    pub(crate) request_id: String,
    pub(crate) parts: Parts,
    /// What Secrets Manager is asked for, if it is known.
    pub(crate) operation: Option<Operation>,
    pub(crate) body: SecretBytes,
    pub(crate) remote: Option<SocketAddr>,
    /// Those of its headers that the audit log records.
    pub(crate) headers: Vec<HeaderRecord>,
    pub(crate) settings: Arc<AwsSettings>,
    /// Resource policies that were read lately.
    pub(crate) policies: Arc<PolicyCache>,
}

async fn serve(aws: &Aws, request: Request<Body>) -> Response<Body> {
    let at_work = aws.requests.begin();
    let (parts, body) = request.into_parts();
    let service = service_of(&parts);
    let operation = secrets_manager::operation_of(&parts.headers);
    let body = read_body(body, &aws.limits).await;
    let action = || sts::action(&parts, body.as_ref().ok()?.expose_secret());
    let place = counted::place(service, operation, if service == AwsService::Sts { action() } else { None });
    let answer = answer(aws, service, (parts, operation), body).await;
    at_work.answered(place, answer.status());
    answer
}

async fn answer(
    aws: &Aws,
    service: AwsService,
    (parts, operation): (Parts, Option<Operation>),
    body: Result<SecretBytes, BodyError>,
) -> Response<Body> {
    let request_id = match request_id::next() {
        Ok(id) => id,
        Err(error) => return Failure::internal(&error, "").into_response(service, ""),
    };
    let body = match body {
        Ok(body) => body,
        Err(error) => return Failure::unread(&error).into_response(service, &request_id),
    };
    let Ok(core) = aws.node.core() else {
        let sealed = Failure::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "the store is sealed");
        return sealed.into_response(service, &request_id);
    };
    let remote = parts.extensions.get::<Peer>().map(|peer| peer.0);
    let text = |value: &HeaderValue| value.to_str().ok().map(SecretString::from);
    let headers = core.settings().record_headers(|name| parts.headers.get_all(name).iter().filter_map(text).collect());
    let (settings, policies) = (Arc::clone(&aws.settings), Arc::clone(&aws.policies));
    let call =
        Call { core, request_id: request_id.clone(), parts, operation, body, remote, headers, settings, policies };
    if let Err(failure) = identity::rate_limit(&call, service).await {
        return failure.into_response(service, &request_id);
    }
    let answered = match service {
        AwsService::SecretsManager if secrets_manager::only_reads(call.operation) => {
            secrets_manager::serve(&call).await
        }
        // A client that goes away must not stop a change half-way, nor keep its answer out of the audit log.
        AwsService::SecretsManager => finish(async move { secrets_manager::serve(&call).await }).await,
        AwsService::Sts => finish(async move { sts::serve(&call).await }).await,
    };
    answered.unwrap_or_else(|failure| failure.into_response(service, &request_id))
}

/// Carries `work` to its end, whether or not somebody waits for it.
async fn finish(work: impl Future<Output = Outcome> + Send + 'static) -> Outcome {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(Failure::internal(&error, "")))
}

/// A request without a target that is a form or has none but a query is for STS.
fn service_of(parts: &Parts) -> AwsService {
    let is_form = parts
        .headers
        .get(hyper::header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let asks = || parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("Action=")));
    if !parts.headers.contains_key(TARGET_HEADER) && (is_form || asks()) {
        AwsService::Sts
    } else {
        AwsService::SecretsManager
    }
}

/// What an operation brings forth.
type Outcome = Result<Response<Body>, Failure>;
