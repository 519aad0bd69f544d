//! The Doppler API, version 3: what `doppler run` and its kin talk to. A config is the secret `PROJECT/CONFIG` of one
//! mount, so that the other APIs read and write the same.
//!
//! ```text
//! request -> body, bounded -> parameters -> auth: whose token -> routes -> through the door -> answer
//!                                          refused: recorded ->                              error
//! ```
//!
//! `routes.rs` shows the whole URL map; a URL's handler lies in the file of the same name. An operation asks for what it
//! would take through the Vault API:
//!
//! | operation | asks for | on |
//! |---|---|---|
//! | what a config holds: read; set, delete, upload | `read`; `create`, `update` | `MOUNT/data/PROJECT/CONFIG` |
//! | a config: read; create, rename, clone, lock, inherit, trusted IPs, tokens; delete | `read`; `create`, `update`; `delete` | `MOUNT/metadata/PROJECT/CONFIG` |
//! | a project, its environments and configs: read; create, change; delete | `list`; `create`, `update`; `delete` | `MOUNT/metadata/PROJECT/` |
//! | all projects | `list` | `MOUNT/metadata/` |

mod activity;
mod approve;
mod approve_page;
mod auth;
mod call;
mod cli_login;
mod config_logs;
mod configs;
mod dynamic_secrets;
mod environments;
mod error;
mod groups;
mod me;
mod projects;
mod reply;
mod request;
mod roles;
mod rotated_secrets;
mod routes;
mod secrets;
mod service_accounts;
mod settings;
mod shape;
mod template;
mod tokens;
mod trusted_ips;
mod users;
mod webhooks;
mod workplace;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::body::Body;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{HeaderValue, RETRY_AFTER},
};
use keyturn_core::{
    door::{Ask, Credential},
    node::Node,
    policy::Operation,
    secret::{SecretBytes, SecretString},
};

pub use self::settings::DopplerSettings;
use self::{call::Call, error::Failure, reply::Reply, request::Parameters};
use crate::{
    api::Answering,
    limits::{Limits, read_body},
    listener::{Peer, Secure},
    request_id,
};

/// The largest body, in bytes: a config holds 500 KiB with the real service, and each byte may be escaped.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// The path at which a request is recorded and counted that is yet nobody's.
const UNKNOWN: &str = "sys/doppler";

/// What every request needs.
pub(crate) struct Doppler {
    node: Arc<Node>,
    limits: Limits,
    settings: DopplerSettings,
    /// Those who follow a config.
    streams: secrets::Streams,
}

/// The Doppler API, as a service. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct Api(Arc<Doppler>);

impl Api {
    pub(crate) fn new(node: Arc<Node>, limits: Limits, settings: DopplerSettings) -> Self {
        let max_body_bytes = limits.max_body_bytes.min(MAX_BODY);
        let limits = Limits { max_body_bytes, ..limits };
        Self(Arc::new(Doppler { node, limits, settings, streams: secrets::Streams::default() }))
    }

    /// Answers one request.
    pub(crate) fn call(&self, request: Request<Body>) -> Answering {
        let doppler = Arc::clone(&self.0);
        Box::pin(async move { Ok(serve(doppler, request).await) })
    }
}

async fn serve(doppler: Arc<Doppler>, request: Request<Body>) -> Response<Body> {
    let request_id = match request_id::next() {
        Ok(id) => id,
        Err(error) => return Failure::internal(&error, "").into_reply().into_response(""),
    };
    match prepare(doppler, request, &request_id).await {
        Err(failure) => failure.into_reply().into_response(&request_id),
        Ok(call) if call.method == Method::GET && !secrets::may_lease(&call) => answer(call).await,
        Ok(call) => {
            let changed = by_itself(call).await;
            changed
                .unwrap_or_else(|error| Failure::internal(&error, &request_id).into_reply().into_response(&request_id))
        }
    }
}

/// Answers in a task of its own: a client that goes away must not stop a change half-way, nor keep its answer out of the
/// audit log.
fn by_itself(call: Call) -> tokio::task::JoinHandle<Response<Body>> {
    tokio::spawn(answer(call))
}

async fn answer(call: Call) -> Response<Body> {
    let outcome = match routes::answer(&call).await {
        // What was wrong showed before the door was asked, such as another config than the token is for.
        Err(failure) if !call.asked.load(Ordering::Relaxed) && !routes::is_open(&call.path) => {
            Err(Box::pin(turned_away(&call, None, failure)).await)
        }
        outcome => outcome,
    };
    outcome.unwrap_or_else(Failure::into_reply).into_response(&call.request_id)
}

/// A request, read whole, of somebody who is known.
async fn prepare(doppler: Arc<Doppler>, request: Request<Body>, request_id: &str) -> Result<Call, Failure> {
    let (parts, body) = request.into_parts();
    let body = read_body(body, &doppler.limits).await.map_err(|error| Failure::unread(&error))?;
    let sealed = || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the store is sealed");
    let core = doppler.node.core().map_err(|_| sealed())?;
    let path = parts.uri.path().strip_prefix("/v3/").unwrap_or_default().trim_end_matches('/').to_owned();
    let parameters = if path == cli_login::PAGE {
        Parameters::opaque(body)
    } else {
        Parameters::read(parts.uri.query().unwrap_or_default(), body, doppler.limits.json_depth)?
    };
    let secure = parts.extensions.get::<Secure>().is_some();
    let authority = parts.uri.authority().map(ToString::to_string);
    let text = |value: &HeaderValue| value.to_str().ok().map(SecretString::from);
    let recorded = core.settings().record_headers(|name| parts.headers.get_all(name).iter().filter_map(text).collect());
    let remote = parts.extensions.get::<Peer>().map(|peer| peer.0);
    let token = auth::token_of(&parts.headers);
    let (method, headers, request_id) = (parts.method, parts.headers, request_id.to_owned());
    let mut call = Call {
        doppler,
        core,
        request_id,
        method,
        path,
        parameters,
        headers,
        remote,
        secure,
        authority,
        recorded,
        known: None,
        asked: AtomicBool::new(false),
    };
    rate_limit(&call).await?;
    if !routes::is_open(&call.path) {
        match auth::know(&call.core, token.as_ref()).await {
            Ok(known) => call.known = Some(known),
            Err(failure) => return Err(Box::pin(turned_away(&call, token.as_ref(), failure)).await),
        }
    }
    Ok(call)
}

/// Counts a request against the limit of `sys/doppler`, before its token is looked at.
async fn rate_limit(call: &Call) -> Result<(), Failure> {
    let (from, data) = (call.remote.map(|remote| remote.ip()), SecretBytes::default());
    let standing = call.core.rate_limit(UNKNOWN, from, &data).await?;
    let Some(standing) = standing.filter(|standing| !standing.allowed) else { return Ok(()) };
    let told = Failure::over_limit(standing.retry_after);
    if standing.audited { Err(Box::pin(turned_away(call, None, told)).await) } else { Err(told) }
}

/// Records that somebody is turned away before the door.
async fn turned_away(call: &Call, token: Option<&SecretString>, told: Failure) -> Failure {
    let ask = call.ask(Operation::Read, UNKNOWN, call.parameters.told());
    let ask = Ask { credential: token.map(Credential::Token).or(ask.credential), ..ask };
    match call.core.turn_away(ask, &told.text()).await {
        Ok(()) => told,
        Err(error) => Failure::internal(&error, &call.request_id),
    }
}

impl Failure {
    fn over_limit(seconds: u64) -> Self {
        let text = format!("Exceeded rate limit of this server. Retry in {seconds} seconds.");
        let retry = HeaderValue::from(seconds);
        Self::new(StatusCode::TOO_MANY_REQUESTS, text).with(RETRY_AFTER, retry)
    }
}

/// What an operation brings forth.
pub(crate) type Outcome = Result<Reply, Failure>;
