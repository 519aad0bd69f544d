//! `sys/init`, `sys/seal-status`, `sys/unseal`, `sys/health`, `sys/leader`: what answers without an open store, and
//! therefore without a token and without the audit log. No envelope.

use axum::body::Body;
use hyper::{Method, Response, StatusCode};
use keyturn_core::{
    node::{Node, Status},
    policy::Operation,
    seal::SealKind,
};
use serde::Serialize;
use serde_json::json;

use super::{
    error::Failure,
    fields::Fields,
    reply,
    request::Parsed,
    share::{self, Shown},
};

/// The version that clients are told: they decide by it what to send. The API is that of Vault 1.18.
pub(super) const VERSION: &str = concat!("1.18.0+keyturn", env!("CARGO_PKG_VERSION"));

/// What clients are told for a version of this server.
pub(super) fn version_of(own: &str) -> String {
    format!("1.18.0+keyturn{own}")
}

/// A share is a byte longer than the key that it is of; what is much shorter is none.
const SHORTEST_SHARE: usize = 16;
const LONGEST_SHARE: usize = 33;

/// Whether a path is answered here whatever it is asked for.
pub(super) fn knows(path: &str) -> bool {
    matches!(path, "sys/init" | "sys/seal-status" | "sys/unseal" | "sys/health" | "sys/leader")
}

/// Answers a request that concerns the server's state; `None`: it concerns the store.
pub(super) async fn answer(node: &Node, parsed: &Parsed) -> Option<Result<Response<Body>, Failure>> {
    let reads = parsed.operation == Operation::Read;
    let writes = parsed.operation == Operation::Update;
    let answer = match parsed.path.as_str() {
        "sys/init" if reads => Ok(reply::plain(StatusCode::OK, &json!({ "initialized": node.status().initialized }))),
        // Boxed, so that they take no room in the future of every request.
        "sys/init" if writes => Box::pin(initialize(node, parsed)).await,
        "sys/seal-status" if reads => Ok(seal_status(&node.status())),
        "sys/unseal" if writes => Box::pin(unseal(node, parsed)).await,
        "sys/health" if reads => health(node, parsed),
        "sys/leader" if reads => Ok(leader(node)),
        "sys/ha-status" if reads => Ok(reply::plain(StatusCode::OK, &json!({ "nodes": [] }))),
        path if knows(path) => Err(Failure::unsupported_operation()),
        _ => return None,
    };
    Some(answer)
}

#[derive(Serialize)]
struct Initialized<'a> {
    keys: &'a [String],
    keys_base64: &'a [String],
    recovery_keys: Option<&'a [String]>,
    recovery_keys_base64: Option<&'a [String]>,
    root_token: &'a str,
}

async fn initialize(node: &Node, parsed: &Parsed) -> Result<Response<Body>, Failure> {
    let fields = Fields::parse(&parsed.data)?;
    let status = node.status();
    if status.initialized {
        return Err(Failure::bad_request("Vault is already initialized"));
    }
    let number = |name: &str| -> Result<Option<u8>, Failure> {
        let out_of_bounds = || Failure::bad_request(format!("{name} must be between 1 and 255"));
        fields.natural(name)?.map(|number| u8::try_from(number).map_err(|_| out_of_bounds())).transpose()
    };
    for name in ["pgp_keys", "root_token_pgp_key", "recovery_pgp_keys"] {
        if fields.raw(name).is_some_and(|text| text != "[]" && text != "\"\"") {
            return Err(Failure::bad_request(format!(
                "{name}: encrypting shares to PGP keys is not offered by this server"
            )));
        }
    }
    let (shares, threshold) = match status.kind {
        SealKind::Static => (1, 1),
        SealKind::Shamir => {
            if number("recovery_shares")?.unwrap_or(0) > 0 || number("recovery_threshold")?.unwrap_or(0) > 0 {
                return Err(Failure::bad_request(
                    "parameters recovery_shares,recovery_threshold not applicable to seal type shamir",
                ));
            }
            (number("secret_shares")?.unwrap_or(5), number("secret_threshold")?.unwrap_or(3))
        }
    };
    let made = node.initialize(shares, threshold, None).await?;
    let shares = Shown::new(&made.shares);
    let recovery = (status.kind == SealKind::Static).then_some([].as_slice());
    let body = Initialized {
        keys: &shares.hex,
        keys_base64: &shares.base64,
        recovery_keys: recovery,
        recovery_keys_base64: recovery,
        root_token: made.root_token.expose_secret(),
    };
    Ok(reply::plain(StatusCode::OK, &body))
}

fn seal_status(status: &Status) -> Response<Body> {
    reply::plain(
        StatusCode::OK,
        &json!({
            "type": status.kind.name(),
            "initialized": status.initialized,
            "sealed": status.sealed,
            "t": status.threshold,
            "n": status.shares,
            "progress": status.progress,
            "nonce": status.nonce,
            "version": VERSION,
            "build_date": "",
            "migration": status.migration,
            "cluster_name": "keyturn",
            "cluster_id": status.store_id,
            "recovery_seal": status.kind == SealKind::Static,
            "storage_type": status.storage,
        }),
    )
}

async fn unseal(node: &Node, parsed: &Parsed) -> Result<Response<Body>, Failure> {
    let fields = Fields::parse(&parsed.data)?;
    if fields.boolean("reset")?.unwrap_or(false) {
        return Ok(seal_status(&node.reset_unseal().await?));
    }
    let key = fields.secret("key")?.filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| {
        Failure::bad_request("'key' must be specified in request body as JSON, or 'reset' set to true")
    })?;
    let share = share::decode(key.expose_secret().trim())
        .ok_or_else(|| Failure::bad_request("'key' must be a valid hex or base64 string"))?;
    if share.len() < SHORTEST_SHARE {
        return Err(Failure::bad_request(format!("key is shorter than minimum {SHORTEST_SHARE} bytes")));
    }
    if share.len() > LONGEST_SHARE {
        return Err(Failure::bad_request(format!("key is longer than maximum {LONGEST_SHARE} bytes")));
    }
    let migrate = fields.boolean("migrate")?.unwrap_or(false);
    Ok(seal_status(&if migrate { node.unseal_migrating(share).await? } else { node.unseal(share).await? }))
}

fn health(node: &Node, parsed: &Parsed) -> Result<Response<Body>, Failure> {
    let fields = Fields::parse(&parsed.data)?;
    let status = node.status();
    let (parameter, default) = match (status.initialized, status.sealed) {
        (false, _) => ("uninitcode", 501),
        (true, true) => ("sealedcode", 503),
        (true, false) => ("activecode", 200),
    };
    let code = match fields.natural(parameter)? {
        None => StatusCode::from_u16(default).unwrap_or(StatusCode::OK),
        Some(code) => u16::try_from(code)
            .ok()
            .and_then(|code| StatusCode::from_u16(code).ok())
            .filter(|code| (200..600).contains(&code.as_u16()))
            .ok_or_else(|| Failure::bad_request(format!("{parameter} must be an HTTP status code from 200 to 599")))?,
    };
    if parsed.method == Method::HEAD {
        return Ok(reply::json(code, bytes::Bytes::new()));
    }
    let body = json!({
        "initialized": status.initialized,
        "sealed": status.sealed,
        "standby": false,
        "performance_standby": false,
        "replication_performance_mode": "disabled",
        "replication_dr_mode": "disabled",
        "server_time_utc": node.clock().now().as_second(),
        "version": VERSION,
        "cluster_name": "keyturn",
        "cluster_id": status.store_id,
    });
    Ok(reply::plain(code, &body))
}

fn leader(node: &Node) -> Response<Body> {
    if node.status().sealed {
        return Failure::new(StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed").into_response();
    }
    let body = json!({
        "ha_enabled": false,
        "is_self": false,
        "active_time": "0001-01-01T00:00:00Z",
        "leader_address": "",
        "leader_cluster_address": "",
        "performance_standby": false,
        "performance_standby_last_remote_wal": 0,
    });
    reply::plain(StatusCode::OK, &body)
}
