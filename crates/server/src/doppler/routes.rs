//! The URL map, on one screen. Paths are below `/v3/`.

use hyper::Method;

use super::{Outcome, call::Call, configs, environments, error::Failure, me, projects};

/// Whether a path is open to those without a token: what comes before one, or brings one in its body.
pub(super) fn is_open(path: &str) -> bool {
    path.starts_with("auth/")
}

/// Answers one request.
pub(super) async fn answer(call: &Call) -> Outcome {
    const DELETE: &Method = &Method::DELETE;
    const GET: &Method = &Method::GET;
    const POST: &Method = &Method::POST;
    const PUT: &Method = &Method::PUT;
    let path: Vec<&str> = call.path.split('/').collect();
    match (&call.method, path.as_slice()) {
        (GET, ["me"]) => me::read(call).await,
        (GET, ["projects"]) => projects::list(call).await,
        (GET, ["projects", "project"]) => projects::read(call).await,
        (GET, ["environments"]) => environments::list(call).await,
        (GET, ["environments", "environment"]) => environments::read(call).await,
        (GET, ["configs"]) => configs::list(call).await,
        (GET, ["configs", "config"]) => configs::read(call).await,
        (GET, ["configs", "config", "ping"]) => configs::ping(call).await,
        _ => Err(Failure::not_found("this server has no such operation")),
    }
}
