//! The URL map, on one screen. Paths are below `/v3/`.

use hyper::Method;

use super::{
    Outcome, activity, approve, call::Call, cli_login, config_logs, configs, environments, error::Failure, me,
    projects, tokens, trusted_ips, workplace,
};

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
        (GET, ["auth", "cli", "generate", "2"]) => cli_login::generate(call).await,
        (POST, ["auth", "cli", "authorize"]) => cli_login::authorize(call).await,
        (GET, ["auth", "cli", "approve"]) => approve::show(call).await,
        (POST, ["auth", "cli", "approve"]) => approve::submit(call).await,
        (POST, ["auth", "cli", "roll"]) => cli_login::roll(call).await,
        (POST, ["auth", "cli", "revoke"] | ["auth", "revoke"]) => cli_login::revoke(call).await,
        (POST, ["auth", "oidc"]) => cli_login::oidc(call).await,
        (GET, ["me"]) => me::read(call).await,
        (GET, ["projects"]) => projects::list(call).await,
        (POST, ["projects"]) => projects::create(call).await,
        (GET, ["projects", "project"]) => projects::read(call).await,
        (POST, ["projects", "project"]) => projects::update(call).await,
        (DELETE, ["projects", "project"]) => projects::delete(call).await,
        (GET, ["environments"]) => environments::list(call).await,
        (POST, ["environments"]) => environments::create(call).await,
        (GET, ["environments", "environment"]) => environments::read(call).await,
        (PUT, ["environments", "environment"]) => environments::update(call).await,
        (DELETE, ["environments", "environment"]) => environments::delete(call).await,
        (GET, ["configs"]) => configs::list(call).await,
        (POST, ["configs"]) => configs::create(call).await,
        (GET, ["configs", "config"]) => configs::read(call).await,
        (POST, ["configs", "config"]) => configs::rename(call).await,
        (DELETE, ["configs", "config"]) => configs::delete(call).await,
        (POST, ["configs", "config", "clone"]) => configs::copy(call).await,
        (POST, ["configs", "config", "lock"]) => configs::lock(call, true).await,
        (POST, ["configs", "config", "unlock"]) => configs::lock(call, false).await,
        (POST, ["configs", "config", "inheritable"]) => configs::inheritable(call).await,
        (POST, ["configs", "config", "inherits"]) => configs::inherits(call).await,
        (GET, ["configs", "config", "ping"]) => configs::ping(call).await,
        (GET, ["configs", "config", "tokens"]) => tokens::list(call).await,
        (POST, ["configs", "config", "tokens"]) => tokens::create(call).await,
        (DELETE, ["configs", "config", "tokens", "token"]) => tokens::revoke(call).await,
        (GET, ["configs", "config", "trusted_ips"]) => trusted_ips::list(call).await,
        (POST, ["configs", "config", "trusted_ips"]) => trusted_ips::add(call).await,
        (DELETE, ["configs", "config", "trusted_ips"]) => trusted_ips::remove(call).await,
        (GET, ["configs", "config", "logs"]) => config_logs::list(call).await,
        (GET, ["configs", "config", "logs", "log"]) => config_logs::read(call).await,
        (POST, ["configs", "config", "logs", "log", "rollback"]) => config_logs::rollback(call).await,
        (GET, ["workplace"]) => workplace::read(call).await,
        (GET, ["logs"]) => activity::list(call).await,
        (GET, ["logs", "log"]) => activity::read(call).await,
        _ => Err(Failure::not_found("this server has no such operation")),
    }
}
