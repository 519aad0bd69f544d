//! The URL map, on one screen. Paths are below `/v3/`.

use hyper::Method;

use super::{
    Outcome, activity, approve, call::Call, cli_login, config_logs, configs, dynamic_secrets, environments,
    error::Failure, groups, me, projects, roles, rotated_secrets, secrets, service_accounts, template, tokens,
    trusted_ips, users, webhooks, workplace,
};

/// Whether a path is open to those without a token: what comes before one, or brings one in its body.
pub(super) fn is_open(path: &str) -> bool {
    path.starts_with("auth/")
}

/// Answers one request. What clients ask for most goes by itself: the state of all others is large, and would be moved
/// about with it.
pub(super) async fn answer(call: &Call) -> Outcome {
    if call.method == Method::GET && call.path == "configs/config/secrets/download" {
        return secrets::download(call).await;
    }
    Box::pin(other(call)).await
}

async fn other(call: &Call) -> Outcome {
    const DELETE: &Method = &Method::DELETE;
    const GET: &Method = &Method::GET;
    const PATCH: &Method = &Method::PATCH;
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
        (GET, ["me", "tokens"]) => me::list_tokens(call).await,
        (POST, ["me", "tokens"]) => me::create_token(call).await,
        (DELETE, ["me", "tokens", "token", slug]) => me::revoke_token(call, slug).await,
        (GET, ["projects"]) => projects::list(call).await,
        (POST, ["projects"]) => projects::create(call).await,
        (GET, ["projects", "project"]) => projects::read(call).await,
        (POST, ["projects", "project"]) => projects::update(call).await,
        (DELETE, ["projects", "project"]) => projects::delete(call).await,
        (POST, ["projects", "project", "note"]) => secrets::set_project_note(call).await,
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
        (GET, ["configs", "config", "secrets"]) => secrets::list(call).await,
        (POST | PUT, ["configs", "config", "secrets"]) => secrets::change(call).await,
        (GET, ["configs", "config", "secrets", "names"]) => secrets::names(call).await,
        (GET, ["configs", "config", "secrets", "watch"]) => secrets::watch(call).await,
        (POST, ["configs", "config", "secrets", "upload"]) => secrets::upload(call).await,
        (POST, ["configs", "config", "secrets", "note"]) => secrets::set_note(call).await,
        (GET, ["configs", "config", "secret"]) => secrets::one(call).await,
        (DELETE, ["configs", "config", "secret"]) => secrets::delete(call).await,
        (_, ["configs", "config", "dynamic_secrets", rest @ ..]) => dynamic(call, rest).await,
        (GET, ["configs", "config", "rotated_secrets"]) => rotated_secrets::list(call).await,
        (POST, ["configs", "config", "rotated_secrets"]) => rotated_secrets::create(call).await,
        (GET, ["configs", "config", "rotated_secrets", "rotated_secret"]) => rotated_secrets::read(call).await,
        (PUT, ["configs", "config", "rotated_secrets", "rotated_secret"]) => rotated_secrets::update(call).await,
        (DELETE, ["configs", "config", "rotated_secrets", "rotated_secret"]) => rotated_secrets::delete(call).await,
        (GET, ["configs", "config", "tokens"]) => tokens::list(call).await,
        (POST, ["configs", "config", "tokens"]) => tokens::create(call).await,
        (DELETE, ["configs", "config", "tokens", "token"]) => tokens::revoke(call).await,
        (GET, ["configs", "config", "trusted_ips"]) => trusted_ips::list(call).await,
        (POST, ["configs", "config", "trusted_ips"]) => trusted_ips::add(call).await,
        (DELETE, ["configs", "config", "trusted_ips"]) => trusted_ips::remove(call).await,
        (GET, ["configs", "config", "logs"]) => config_logs::list(call).await,
        (GET, ["configs", "config", "logs", "log"]) => config_logs::read(call).await,
        (POST, ["configs", "config", "logs", "log", "rollback"]) => config_logs::rollback(call).await,
        (GET, ["webhooks"]) => webhooks::list(call).await,
        (POST, ["webhooks"]) => webhooks::create(call).await,
        (GET, ["webhooks", "webhook", slug]) => webhooks::read(call, slug).await,
        (PATCH, ["webhooks", "webhook", slug]) => webhooks::update(call, slug).await,
        (DELETE, ["webhooks", "webhook", slug]) => webhooks::delete(call, slug).await,
        (POST, ["webhooks", "webhook", slug, "enable"]) => webhooks::switch(call, slug, true).await,
        (POST, ["webhooks", "webhook", slug, "disable"]) => webhooks::switch(call, slug, false).await,
        (GET, ["workplace" | "projects", "roles"]) => roles::list(call).await,
        (GET, ["workplace" | "projects", "roles", "role", role]) => roles::read(call, role).await,
        (GET, ["workplace" | "projects", "permissions"]) => roles::permissions(call).await,
        (_, ["workplace", "service_accounts", rest @ ..]) => account(call, rest).await,
        (_, ["workplace", "groups", rest @ ..]) => group(call, rest).await,
        (GET, ["workplace", "users"]) => users::list(call).await,
        (GET, ["workplace", "users", slug]) => users::read(call, slug).await,
        (PATCH, ["workplace", "users", slug]) => users::update(call, slug).await,
        (POST, ["workplace", "template", "import"]) => template::import(call).await,
        (GET, ["workplace"]) => workplace::read(call).await,
        (GET, ["logs"]) => activity::list(call).await,
        (GET, ["logs", "log"]) => activity::read(call).await,
        _ => Err(Failure::not_found("this server has no such operation")),
    }
}

/// What is below `configs/config/dynamic_secrets`.
async fn dynamic(call: &Call, path: &[&str]) -> Outcome {
    match (call.method.as_str(), path) {
        ("GET", []) => dynamic_secrets::list(call).await,
        ("POST", []) => dynamic_secrets::create(call).await,
        ("DELETE", ["dynamic_secret"]) => dynamic_secrets::delete(call).await,
        ("POST", ["dynamic_secret", "leases"]) => secrets::issue(call).await,
        ("DELETE", ["dynamic_secret", "leases", "lease"]) => secrets::revoke(call).await,
        _ => Err(Failure::not_found("this server has no such operation")),
    }
}

/// What is below `workplace/groups`.
async fn group(call: &Call, path: &[&str]) -> Outcome {
    match (call.method.as_str(), path) {
        ("GET", []) => groups::list(call).await,
        ("POST", []) => groups::create(call).await,
        ("GET", ["group", slug]) => groups::read(call, slug).await,
        ("PATCH", ["group", slug]) => groups::update(call, slug).await,
        ("DELETE", ["group", slug]) => groups::delete(call, slug).await,
        ("POST", ["group", slug, "members"]) => groups::add_member(call, slug).await,
        ("GET", ["group", slug, "members", kind, member]) => groups::read_member(call, slug, kind, member).await,
        ("DELETE", ["group", slug, "members", kind, member]) => groups::remove_member(call, slug, kind, member).await,
        _ => Err(Failure::not_found("this server has no such operation")),
    }
}

/// What is below `workplace/service_accounts`.
async fn account(call: &Call, path: &[&str]) -> Outcome {
    match (call.method.as_str(), path) {
        ("GET", []) => service_accounts::list(call).await,
        ("POST", []) => service_accounts::create(call).await,
        ("GET", ["service_account", slug]) => service_accounts::read(call, slug).await,
        ("PATCH", ["service_account", slug]) => service_accounts::update(call, slug).await,
        ("DELETE", ["service_account", slug]) => service_accounts::delete(call, slug).await,
        ("GET", ["service_account", slug, "tokens"]) => service_accounts::list_tokens(call, slug).await,
        ("POST", ["service_account", slug, "tokens"]) => service_accounts::create_token(call, slug).await,
        ("GET", ["service_account", slug, "tokens", "token", id]) => service_accounts::read_token(call, slug, id).await,
        ("DELETE", ["service_account", slug, "tokens", "token", id]) => {
            service_accounts::revoke_token(call, slug, id).await
        }
        _ => Err(Failure::not_found("this server has no such operation")),
    }
}
