//! An audit entry: Vault's JSON format, one object and a line feed. Members come in this order, empty ones are left out:
//!
//! ```text
//! {"time":"2026-01-02T03:04:05.678Z",                       RFC 3339, UTC, to the nanosecond
//!  "type":"request" | "response",
//!  "auth":{"client_token":H,"accessor":H,"display_name":…,"policies":[…],"token_policies":[…],
//!          "identity_policies":[…],"no_default_policy":true,"policy_results":{"allowed":…},"metadata":{…},
//!          "num_uses":…,"remaining_uses":…,"entity_id":…,"token_type":…,"token_ttl":seconds,
//!          "token_issue_time":RFC 3339},
//!  "request":{"id":…,"operation":…,"mount_point":…,"mount_type":…,"mount_accessor":…,"client_token":H,
//!             "client_token_accessor":H,"namespace":{"id":"root"},"path":…,"data":D,"remote_address":…,
//!             "remote_port":…,"headers":{name:[H or text]},"wrap_ttl":seconds},
//!  "response":{"auth":{…},"mount_point":…,"mount_type":…,"mount_accessor":…,"secret":{"lease_id":…},"data":D,
//!              "warnings":[…],"wrap_info":{"ttl":seconds,"token":H,"accessor":H,"creation_time":RFC 3339,
//!              "creation_path":…,"wrapped_accessor":H}},   in a response entry
//!  "error":"…"}
//! ```
//!
//! `H` is a keyed hash, `D` the caller's JSON with every string value as a keyed hash ([`super::redact`]). All else,
//! the path and the error among it, is in clear, so neither may carry a secret. A request without a token has
//! `"auth":{"token_type":"default"}`.

use std::{collections::BTreeMap, net::SocketAddr};

use jiff::Timestamp;

use super::{
    hash::{HashText, Hasher},
    json::{Object, append_hash, append_text},
    redact::{RedactError, redact},
};
use crate::{secret::SecretString, wrapping::WrapInfo};

/// Members of an unwrapped `auth` object that stand in clear in any other.
const AUTH_IN_CLEAR: [&str; 5] = ["policies", "token_policies", "identity_policies", "entity_id", "token_type"];

/// What is recorded of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestRecord<'a> {
    /// When this entry is made; each of the two entries of a request has its own time.
    pub time: Timestamp,
    /// The request's UUID, the same in both entries and in the answer.
    pub request_id: &'a str,
    /// `read`, `create`, `update`, `delete`, `list` or `patch`.
    pub operation: &'a str,
    /// The full path, mount included: `secret/data/backend/prd`. In clear.
    pub path: &'a str,
    /// The mount that serves it: `secret/`.
    pub mount_path: Option<&'a str>,
    /// The kind of that mount: `kv`.
    pub mount_type: Option<&'a str>,
    /// The accessor of that mount: `kv_1a2b3c4d`.
    pub mount_accessor: Option<&'a str>,
    /// Who is connected.
    pub remote_address: Option<SocketAddr>,
    /// The token that came with the request, whether or not it is valid. Recorded as a hash.
    pub client_token: Option<&'a SecretString>,
    /// Whom the token stands for, once that is known.
    pub auth: Option<AuthRecord<'a>>,
    /// The parameters, as the text of one JSON object; may be empty. String values are recorded as hashes.
    pub data: Option<&'a [u8]>,
    /// Names in `data` whose values the mount's owner wants recorded in clear (`audit_non_hmac_request_keys`).
    pub clear_names: &'a [String],
    /// Those of its headers that are to be recorded.
    pub headers: &'a [HeaderRecord],
    /// The lifetime of the wrapping token that was asked for, in seconds.
    pub wrap_ttl: Option<u64>,
    /// Why the request is refused. In clear.
    pub error: Option<&'a str>,
}

/// A header of a request that the audit log records.
#[derive(Debug, Clone)]
pub struct HeaderRecord {
    /// Its name, in lower case.
    pub name: String,
    /// Its values, in the order they came.
    pub values: Vec<SecretString>,
    /// Whether they are recorded as hashes.
    pub hashed: bool,
}

/// What is recorded of a token, besides the token itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuthRecord<'a> {
    /// The token's accessor, empty for a batch token. Recorded as a hash.
    pub accessor: &'a str,
    /// The token's display name: `token-ci`, `approle`.
    pub display_name: &'a str,
    /// All its policies.
    pub policies: &'a [String],
    /// Those of them that the token itself holds.
    pub token_policies: &'a [String],
    /// Those of them that come from the entity.
    pub identity_policies: &'a [String],
    /// Whether the token was made without the `default` policy.
    pub no_default_policy: bool,
    /// Whether the policies allow the request; `None` where they were not asked.
    pub allowed: Option<bool>,
    /// What the auth method noted at login, in clear.
    pub metadata: Option<&'a BTreeMap<String, String>>,
    /// How often a token just issued may be used; 0 for any number.
    pub num_uses: u64,
    /// How often the request's token may be used hereafter; 0 for any number.
    pub remaining_uses: u64,
    /// The entity behind the token; may be empty.
    pub entity_id: &'a str,
    /// `service` or `batch`.
    pub token_type: &'a str,
    /// The token's lifetime in seconds; 0 for ever.
    pub token_ttl: u64,
    /// When the token was made; recorded to the second.
    pub token_issue_time: Option<Timestamp>,
}

/// What is recorded of an answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResponseRecord<'a> {
    /// The answer's data, as the text of one JSON object; may be empty. String values are recorded as hashes.
    pub data: Option<&'a [u8]>,
    /// Names in `data` whose values the mount's owner wants recorded in clear (`audit_non_hmac_response_keys`).
    pub clear_names: &'a [String],
    /// The token that the answer hands out, at a login or from `auth/token/create`.
    pub auth: Option<IssuedAuth<'a>>,
    /// The token that an unwrapped answer hands out: the text of its `auth` object, in place of `auth`.
    pub auth_text: Option<&'a [u8]>,
    /// What stands for an answer that was wrapped.
    pub wrapped: Option<&'a WrapInfo>,
    /// The lease that the answer begins. In clear.
    pub lease_id: Option<&'a str>,
    /// What the answer warns of. In clear.
    pub warnings: &'a [String],
    /// Why the request failed; [`RequestRecord::error`] where this is `None`. In clear.
    pub error: Option<&'a str>,
}

/// A token that an answer hands out.
#[derive(Debug, Clone, Copy)]
pub struct IssuedAuth<'a> {
    /// The token. Recorded as a hash.
    pub client_token: &'a SecretString,
    /// All else about it.
    pub auth: AuthRecord<'a>,
}

/// Replaces what is in `line` by the entry, line feed included. After an error the content is of no use.
pub(super) fn render(
    request: &RequestRecord<'_>,
    response: Option<&ResponseRecord<'_>>,
    hasher: &Hasher,
    line: &mut Vec<u8>,
) -> Result<(), RedactError> {
    line.clear();
    let token = TokenHashes::of(request.client_token, request.auth.as_ref(), hasher);
    let mut entry = Object::open(line);
    entry.time("time", request.time);
    entry.text("type", if response.is_some() { "response" } else { "request" });
    write_auth(entry.object("auth"), &token, request.auth.as_ref());
    write_request(entry.object("request"), request, &token, hasher)?;
    if let Some(response) = response {
        write_response(entry.object("response"), request, response, hasher)?;
    }
    entry.text("error", response.and_then(|response| response.error).or(request.error).unwrap_or_default());
    entry.close();
    line.push(b'\n');
    Ok(())
}

/// Replaces what is in `lines` by both entries of an exchange, the request's at `asked` and the answer's at
/// `request.time`. What they share is rendered once.
pub(super) fn render_exchange(
    asked: Timestamp,
    request: &RequestRecord<'_>,
    response: &ResponseRecord<'_>,
    hasher: &Hasher,
    lines: &mut Vec<u8>,
) -> Result<(), RedactError> {
    lines.clear();
    let token = TokenHashes::of(request.client_token, request.auth.as_ref(), hasher);
    let mut entry = Object::open(lines);
    entry.time("time", asked);
    entry.text("type", "request");
    let start = entry.position();
    write_auth(entry.object("auth"), &token, request.auth.as_ref());
    write_request(entry.object("request"), request, &token, hasher)?;
    let shared = start..entry.position();
    entry.text("error", request.error.unwrap_or_default());
    entry.close();
    lines.push(b'\n');
    let mut entry = Object::open(lines);
    entry.time("time", request.time);
    entry.text("type", "response");
    entry.repeat(shared);
    write_response(entry.object("response"), request, response, hasher)?;
    entry.text("error", response.error.or(request.error).unwrap_or_default());
    entry.close();
    lines.push(b'\n');
    Ok(())
}

/// A token and its accessor stand in an entry twice each, and are hashed once.
struct TokenHashes {
    token: Option<HashText>,
    accessor: Option<HashText>,
}

impl TokenHashes {
    fn of(token: Option<&SecretString>, auth: Option<&AuthRecord<'_>>, hasher: &Hasher) -> Self {
        let accessor = auth.map(|auth| auth.accessor).filter(|accessor| !accessor.is_empty());
        let token = token.filter(|token| !token.is_empty());
        if let (Some(token), Some(accessor)) = (token, accessor) {
            let [token, accessor] = hasher.hash_token(token, accessor);
            return Self { token: Some(token), accessor: Some(accessor) };
        }
        Self {
            token: token.map(|token| hasher.hash_secret(token)),
            accessor: accessor.map(|accessor| hasher.hash(accessor.as_bytes())),
        }
    }
}

fn write_auth(mut object: Object<'_>, token: &TokenHashes, auth: Option<&AuthRecord<'_>>) {
    let Some(auth) = auth else {
        object.text("token_type", "default");
        return object.close();
    };
    object.hash("client_token", token.token.as_ref());
    object.hash("accessor", token.accessor.as_ref());
    object.text("display_name", auth.display_name);
    object.texts("policies", auth.policies);
    object.texts("token_policies", auth.token_policies);
    object.texts("identity_policies", auth.identity_policies);
    if auth.no_default_policy {
        object.bool("no_default_policy", true);
    }
    if let Some(allowed) = auth.allowed {
        let mut results = object.object("policy_results");
        results.bool("allowed", allowed);
        results.close();
    }
    object.map("metadata", auth.metadata.into_iter().flatten());
    object.number("num_uses", auth.num_uses);
    object.number("remaining_uses", auth.remaining_uses);
    object.text("entity_id", auth.entity_id);
    object.text("token_type", auth.token_type);
    object.number("token_ttl", auth.token_ttl);
    if let Some(time) = auth.token_issue_time {
        object.time("token_issue_time", Timestamp::from_second(time.as_second()).unwrap_or(time));
    }
    object.close();
}

fn write_request(
    mut object: Object<'_>,
    request: &RequestRecord<'_>,
    token: &TokenHashes,
    hasher: &Hasher,
) -> Result<(), RedactError> {
    object.text("id", request.request_id);
    object.text("operation", request.operation);
    write_mount(&mut object, request);
    object.hash("client_token", token.token.as_ref());
    object.hash("client_token_accessor", token.accessor.as_ref());
    let mut namespace = object.object("namespace");
    namespace.text("id", "root");
    namespace.close();
    object.text("path", request.path);
    write_data(&mut object, request.data, request.clear_names, hasher)?;
    if let Some(address) = request.remote_address {
        object.display("remote_address", address.ip());
        object.number("remote_port", u64::from(address.port()));
    }
    write_headers(&mut object, request.headers, hasher);
    object.number("wrap_ttl", request.wrap_ttl.unwrap_or_default());
    object.close();
    Ok(())
}

fn write_headers(object: &mut Object<'_>, headers: &[HeaderRecord], hasher: &Hasher) {
    if headers.is_empty() {
        return;
    }
    let out = object.member("headers");
    for (index, header) in headers.iter().enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        append_text(out, &header.name);
        out.push(b':');
        for (index, value) in header.values.iter().enumerate() {
            out.push(if index == 0 { b'[' } else { b',' });
            if header.hashed {
                append_hash(out, &hasher.hash_secret(value));
            } else {
                append_text(out, value.expose_secret());
            }
        }
        out.push(b']');
    }
    out.push(b'}');
}

fn write_response(
    mut object: Object<'_>,
    request: &RequestRecord<'_>,
    response: &ResponseRecord<'_>,
    hasher: &Hasher,
) -> Result<(), RedactError> {
    if let Some(IssuedAuth { client_token, auth }) = &response.auth {
        let token = TokenHashes::of(Some(client_token), Some(auth), hasher);
        write_auth(object.object("auth"), &token, Some(auth));
    } else if let Some(auth) = response.auth_text {
        redact(auth, &AUTH_IN_CLEAR.map(str::to_owned), hasher, object.member("auth"))?;
    }
    write_mount(&mut object, request);
    if let Some(lease_id) = response.lease_id.filter(|id| !id.is_empty()) {
        let mut secret = object.object("secret");
        secret.text("lease_id", lease_id);
        secret.close();
    }
    write_data(&mut object, response.data, response.clear_names, hasher)?;
    object.texts("warnings", response.warnings);
    if let Some(info) = response.wrapped {
        write_wrap_info(object.object("wrap_info"), info, hasher);
    }
    object.close();
    Ok(())
}

fn write_wrap_info(mut object: Object<'_>, info: &WrapInfo, hasher: &Hasher) {
    object.number("ttl", info.ttl);
    object.hash("token", Some(&hasher.hash_secret(&info.token)));
    object.hash("accessor", Some(&hasher.hash(info.accessor.as_bytes())));
    object.display("creation_time", info.created);
    object.text("creation_path", &info.path);
    let wrapped = info.wrapped_accessor.as_deref().map(|accessor| hasher.hash(accessor.as_bytes()));
    object.hash("wrapped_accessor", wrapped.as_ref());
    object.close();
}

fn write_mount(object: &mut Object<'_>, request: &RequestRecord<'_>) {
    object.text("mount_point", request.mount_path.unwrap_or_default());
    object.text("mount_type", request.mount_type.unwrap_or_default());
    object.text("mount_accessor", request.mount_accessor.unwrap_or_default());
}

fn write_data(
    object: &mut Object<'_>,
    data: Option<&[u8]>,
    clear: &[String],
    hasher: &Hasher,
) -> Result<(), RedactError> {
    match data.map(<[u8]>::trim_ascii) {
        None | Some(b"" | b"{}" | b"null") => Ok(()),
        Some(data) => redact(data, clear, hasher, object.member("data")),
    }
}

#[cfg(test)]
mod tests;
